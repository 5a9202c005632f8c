//! `--fine-tune` of `flowlet train` and `flowlet quantize`: when weights are tuned, what is said of it, and that the image is the
//! same on any number of threads.

use flowlet_tests::command::{normal_csv, Folder};
use serde_json::Value;

const TRAIN: &str = "train t.csv --flow realnvp --epochs 40 --layers 8 --hidden 8 --seed 3 --json";

fn number(json: &Value, key: &str) -> f64 {
    json[key].as_f64().unwrap_or_else(|| panic!("{key} in {json}"))
}

#[test]
fn weights_are_tuned_when_asked_and_never_to_the_worse() {
    let folder = Folder::new();
    folder.write("t.csv", normal_csv(1500, 4));
    let train = |options: &str| folder.flowlet(&format!("{TRAIN} --numeric i8 {options}")).json();
    let never = train("--fine-tune never -o never.flow");
    assert_eq!((&never["fine_tuned"], &never["fine_tuning"]), (&Value::Bool(false), &Value::Null));
    let always = train("--fine-tune always --threads 1 -o one.flow");
    let again = train("--fine-tune always --threads 2 -o two.flow");
    assert!(folder.read("one.flow") == folder.read("two.flow"), "the threads changed the image");
    assert_eq!(always["fine_tuning"], again["fine_tuning"]);

    let tuning = &always["fine_tuning"];
    let [before, after] =
        ["before", "after"].map(|key| number(tuning, &format!("mean_abs_delta_log_prob_{key}")));
    assert_eq!(before, number(&never, "mean_abs_delta_log_prob"));
    assert_eq!(after, number(&always, "mean_abs_delta_log_prob"));
    assert_eq!(always["fine_tuned"], Value::Bool(after < before));
    let expert = &tuning["experts"][0];
    for loss in ["trimmed_nll_loss", "mean_abs_delta_log_prob"] {
        assert!(number(&expert["after"], loss) <= number(&expert["before"], loss), "{expert}");
    }
    // What is told of the numbers, of the image and of its scores belongs together.
    let reason = always["numeric_reason"].as_str().expect("a reason");
    assert!(reason.contains("fine-tun"), "{reason}");
    let verified = folder.flowlet("verify one.flow");
    assert_eq!(verified.code, 0, "{verified:?}");
    assert!(number(&always, "certified_bound_at_rows") > 0.0);

    // Rounding alone is within the budget here: auto leaves the image as never does.
    assert!(before < 0.1, "{before}");
    train("--fine-tune auto -o auto.flow");
    assert!(folder.read("auto.flow") == folder.read("never.flow"));
    let other = folder.flowlet(&format!("{TRAIN} --numeric i16 --fine-tune always -o i16.flow")).json();
    assert_eq!(other["fine_tuned"], Value::Bool(false));
}

#[test]
fn an_f32_image_is_tuned_while_it_is_quantized() {
    let folder = Folder::new();
    folder.write("t.csv", normal_csv(1500, 4));
    folder.flowlet(&format!("{TRAIN} --numeric f32 -o f32.flow")).json();
    let quantize = |options: &str| {
        folder.flowlet(&format!("quantize f32.flow --numeric i8 --calibration t.csv --json {options}")).json()
    };
    let never = quantize("--fine-tune never -o never.flow");
    let always = quantize("--fine-tune always -o always.flow");
    let (before, after) =
        (number(&never, "mean_abs_delta_log_prob"), number(&always, "mean_abs_delta_log_prob"));
    assert!(after <= before, "{before} and {after}");
    assert_eq!(always["fine_tuned"], Value::Bool(folder.read("always.flow") != folder.read("never.flow")));
    assert_eq!(number(&always["fine_tuning"], "mean_abs_delta_log_prob_before"), before);
    // The bound is that of the weights in the image.
    assert!(number(&always, "certified_bound_at_rows") >= number(&always, "mean_abs_delta_log_prob"));
    let verified = folder.flowlet("verify always.flow");
    assert_eq!(verified.code, 0, "{verified:?}");
}
