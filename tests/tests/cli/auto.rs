//! `flowlet train` without `--flow`: two experts in one image; and `--flow likeliest`: three candidates, and the likeliest
//! of them as the image.

use flowlet::{FixedAuto, Model};
use flowlet_tests::command::{normal_csv, Folder};
use flowlet_tools::export::ImageFile;
use serde_json::Value;

fn nll(candidate: &Value) -> f64 {
    candidate["val_nll_trimmed_standardized"].as_f64().expect("a number")
}

#[test]
fn auto_holds_two_experts_and_quotes_the_likelier() {
    let folder = Folder::new();
    folder.write("t.csv", normal_csv(600, 4));
    let train = |more: &str| {
        folder.flowlet(&format!("train t.csv --json -q --epochs 4 --layers 2 --hidden 8 --seed 3 {more}"))
    };
    let json = train("-o m.flow --threads 1").json();
    let experts = json["experts"].as_array().expect("a list");
    let recipes: Vec<&str> = experts.iter().map(|e| e["recipe"].as_str().expect("a line")).collect();
    assert_eq!(
        recipes,
        ["realnvp, 2 layers of 8, linear marginals, mixture base", "no couplings, whitened, mixture base"]
    );
    let quoted = json["quoted"].as_u64().expect("an index") as usize;
    assert!(experts.iter().all(|e| nll(e) >= nll(&experts[quoted])), "{json}");
    assert_eq!(json["val_nll"], experts[quoted]["val_nll"]);
    let image = ImageFile::from_bytes(&folder.read("m.flow"));
    let model = image.model().expect("a good image");
    assert_eq!((model.experts().count(), usize::from(model.head().quoted)), (2, quoted));
    // The runtime for what this command writes opens it, and is what the user is told to link.
    assert!(Model::<FixedAuto>::open(image.bytes()).is_ok());
    assert_eq!(folder.flowlet("inspect m.flow --json").json()["support"], "FixedAuto");
    let parameters = |e: &Value| e["parameters"].as_u64().expect("a number");
    assert_eq!(parameters(&json), experts.iter().map(parameters).sum::<u64>());
    train("-o two.flow --threads 2").json();
    assert!(folder.read("m.flow") == folder.read("two.flow"), "images differ by the number of threads");
}

#[test]
fn the_likeliest_candidate_becomes_the_image() {
    let folder = Folder::new();
    folder.write("t.csv", normal_csv(600, 4));
    let json = folder.flowlet("train t.csv -o m.flow --flow likeliest --json -q --epochs 4 --seed 3").json();
    let candidates = json["candidates"].as_array().expect("a list");
    let flows: Vec<&str> = candidates.iter().map(|c| c["flow"].as_str().expect("a name")).collect();
    assert_eq!(flows, ["realnvp", "nsf", "glow"]);
    let chosen = json["chosen"].as_u64().expect("an index") as usize;
    assert_eq!(json["flow"], flows[chosen]);
    assert!(candidates.iter().all(|c| nll(c) >= nll(&candidates[chosen])), "{json}");
    assert_eq!(json["parameters"], candidates[chosen]["parameters"]);
    let image = ImageFile::from_bytes(&folder.read("m.flow"));
    let model = image.model().expect("a good image");
    assert!(model.head().provenance.contains(flows[chosen]), "{}", model.head().provenance);
    assert!(model.trained_as().contains("marginal"), "{}", model.trained_as());
}

#[test]
fn the_likeliest_of_several_starts_is_kept() {
    let folder = Folder::new();
    folder.write("t.csv", normal_csv(600, 4));
    let train = |more: &str| {
        folder.flowlet(&format!("train t.csv --json -q --epochs 3 --layers 2 --hidden 8 --seed 3 {more}"))
    };
    let json = train("-o m.flow --starts 4 --threads 1").json();
    for expert in json["experts"].as_array().expect("a list") {
        let candidates = expert["candidates"].as_array().expect("a list");
        let chosen = &candidates[expert["chosen"].as_u64().expect("an index") as usize];
        assert_eq!(candidates.len(), 4);
        assert_eq!(nll(chosen), nll(expert));
        assert!(candidates.iter().all(|c| nll(c) >= nll(chosen)), "{json}");
        let mut all: Vec<f64> = candidates.iter().map(nll).collect();
        all.sort_by(f64::total_cmp);
        assert!(all.windows(2).all(|w| w[0] < w[1]), "two starts are one: {all:?}");
    }
    // The first start is what is trained without the option, on the same held-out rows.
    let single = train("-o single.flow").json();
    for (expert, alone) in json["experts"]
        .as_array()
        .into_iter()
        .flatten()
        .zip(single["experts"].as_array().into_iter().flatten())
    {
        assert_eq!(nll(&expert["candidates"][0]), nll(alone));
    }
    train("-o two.flow --starts 4 --threads 2").json();
    assert!(folder.read("m.flow") == folder.read("two.flow"), "images differ by the number of threads");
    train("-o three.flow --starts 2 --holdout 0").fails(1, &["holdout", "one start"]);
    train("-o four.flow --starts 2 --chip stm32f401").fails(2, &["--starts", "budget"]);
}

#[test]
fn what_is_given_holds_for_all_candidates_and_threads_change_nothing() {
    let folder = Folder::new();
    folder.write("t.csv", normal_csv(400, 5));
    let train = |more: &str| {
        folder.flowlet(&format!(
            "train t.csv --flow likeliest --json -q --epochs 2 --layers 2 --hidden 8 --base normal --marginal none {more}"
        ))
    };
    let json = train("-o one.flow --threads 1").json();
    for candidate in json["candidates"].as_array().expect("a list") {
        let recipe = candidate["recipe"].as_str().expect("a line");
        assert!(recipe.ends_with("2 layers of 8"), "{recipe}");
    }
    train("-o two.flow --threads 2").json();
    assert!(folder.read("one.flow") == folder.read("two.flow"), "images differ by the number of threads");
    // There is nothing to judge by.
    train("-o three.flow --holdout 0").fails(1, &["holdout", "--flow"]);
}
