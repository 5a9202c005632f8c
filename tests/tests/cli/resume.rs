//! `flowlet train` killed at random moments goes on, and writes the image that it would have written.

use flowlet_tests::command::{normal_csv, Folder};
use flowlet_tests::Random;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Two experts, so that kills meet the first, the second and what lies between.
const TRAIN: &str =
    "train t.csv --epochs 60 --layers 2 --hidden 8 --seed 3 --numeric f32 --checkpoint-every 0";
const CHECKPOINT: &str = "m.flow.checkpoint";

/// Starts training, waits until it has kept a state of its own and a random while longer, and kills it. False if it
/// ended before that.
fn train_and_kill(folder: &Folder, options: &str, longer: Duration) -> bool {
    let state = || std::fs::read(folder.path().join(CHECKPOINT)).ok();
    let before = state();
    let mut command = folder.command(&format!("{TRAIN} -o m.flow {options} -q"));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("flowlet starts");
    let started = Instant::now();
    while state() == before && child.try_wait().expect("a child").is_none() {
        assert!(started.elapsed() < Duration::from_secs(120), "no state is kept");
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(longer);
    if child.try_wait().expect("a child").is_some() {
        return false;
    }
    child.kill().expect("it can be killed");
    child.wait().expect("it was there");
    true
}

#[test]
fn a_killed_training_goes_on_to_the_same_image() {
    goes_on_to_the_same_image("");
}

#[test]
fn so_it_does_where_the_rows_that_are_trained_on_change() {
    goes_on_to_the_same_image("--contamination 0.05");
}

fn goes_on_to_the_same_image(options: &str) {
    let folder = Folder::new();
    folder.write("t.csv", normal_csv(600, 4));
    let whole = folder.flowlet(&format!("{TRAIN} -o whole.flow --json {options}"));
    whole.json();
    assert!(!folder.list().contains(&"whole.flow.checkpoint".to_owned()), "{whole:?}");

    let mut random = Random(7);
    let mut kills = 0;
    let mut longer = || Duration::from_micros(random.bits() % 20_000);
    while kills < 8 && train_and_kill(&folder, &format!("{options} --threads {}", 1 + kills % 2), longer()) {
        kills += 1;
        assert!(!folder.list().contains(&"m.flow".to_owned()), "an image of half a training");
    }
    assert!(kills >= 2, "only {kills} kills met a training under way");
    if kills == 8 {
        let end = folder.flowlet(&format!("{TRAIN} -o m.flow {options}"));
        assert_eq!(end.code, 0, "{end:?}");
        assert!(end.stderr.contains("going on behind epoch"), "{end:?}");
    }
    assert!(folder.read("m.flow") == folder.read("whole.flow"), "{kills} kills changed the image");
    // Not even the file that a kill found half written is taken for anything.
    let left: Vec<String> = folder.list().into_iter().filter(|n| n.ends_with(".checkpoint")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn only_the_same_training_goes_on_from_a_state() {
    let folder = Folder::new();
    folder.write("t.csv", normal_csv(600, 4));
    assert!(train_and_kill(&folder, "", Duration::ZERO));
    let state = folder.read(CHECKPOINT);
    let goes_on = |arguments: &str| {
        folder.write(CHECKPOINT, &state);
        let run = folder.flowlet(&format!("{TRAIN} -o m.flow {arguments}"));
        assert_eq!(run.code, 0, "{run:?}");
        run.stderr.contains("going on behind epoch")
    };
    assert!(goes_on(""));
    assert!(!goes_on("--fresh"));
    assert!(!goes_on("--lr 0.02"), "another learning rate");
    folder.write("t.csv", normal_csv(600, 5));
    assert!(!goes_on(""), "other rows");

    folder.write("t.csv", normal_csv(600, 4));
    let fresh = folder.flowlet(&format!("{TRAIN} -o whole.flow"));
    assert_eq!(fresh.code, 0, "{fresh:?}");
    let mut random = Random(9);
    for cut in [0, 7, state.len() / 2, state.len()] {
        let mut damaged = state[..cut].to_vec();
        damaged.iter_mut().for_each(|byte| *byte ^= u8::from(random.below(200) == 0));
        folder.write(CHECKPOINT, damaged);
        let run = folder.flowlet(&format!("{TRAIN} -o m.flow"));
        assert_eq!(run.code, 0, "{run:?}");
        assert!(
            folder.read("m.flow") == folder.read("whole.flow"),
            "a state cut to {cut} bytes was believed"
        );
    }
}
