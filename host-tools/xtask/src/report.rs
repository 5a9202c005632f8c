//! What came of each step, gathered to the end.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use flowlet_tools::device::{skips, DeviceError, Missing};

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done, with a word on it.
    Passed(String),
    /// Failed, with the reason.
    Failed(String),
    /// Not possible here.
    Skipped(Missing),
}

impl From<Result<(), DeviceError>> for Outcome {
    fn from(result: Result<(), DeviceError>) -> Self {
        match result {
            Ok(()) => Self::Passed(String::new()),
            Err(DeviceError::Missing(missing)) => Self::Skipped(missing),
            Err(error) => Self::Failed(error.to_string()),
        }
    }
}

/// Tests counted in the output of `cargo test`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tests {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) ignored: usize,
    /// Tests that recorded that they could not run; they count as passed in cargo's eyes.
    pub(crate) skipped: Vec<String>,
}

impl Tests {
    /// Counts a line of the output, if it is a result.
    pub(crate) fn count(&mut self, line: &str) {
        let Some(result) = line.trim().strip_prefix("test result: ") else { return };
        for part in result.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let Some(count) = words.next().and_then(|word| word.parse::<usize>().ok()) else { continue };
            match words.next() {
                Some("passed") => self.passed += count,
                Some("failed") => self.failed += count,
                Some("ignored") => self.ignored += count,
                _ => {}
            }
        }
    }
}

/// All steps of a command.
#[derive(Default)]
pub(crate) struct Report {
    steps: Vec<(String, Outcome, Duration)>,
    pub(crate) tests: Option<Tests>,
}

impl Report {
    /// Does a step and records what came of it.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> Outcome) {
        eprintln!("\n=== {name}");
        let start = Instant::now();
        let outcome = work();
        match &outcome {
            Outcome::Passed(_) => {}
            Outcome::Failed(reason) => eprintln!("FAILED: {reason}"),
            Outcome::Skipped(missing) => eprintln!("skipped: {missing}"),
        }
        self.steps.push((name.into(), outcome, start.elapsed()));
    }

    /// Prints the summary; whether all is well.
    pub(crate) fn finish(self) -> bool {
        let (text, well) = self.summary(skips::forbidden());
        println!("\n{text}");
        well
    }

    fn summary(&self, skips_fail: bool) -> (String, bool) {
        let mut text = String::from("=== summary\n");
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        for (name, outcome, time) in &self.steps {
            let (word, detail) = match outcome {
                Outcome::Passed(detail) => ("passed", detail.clone()),
                Outcome::Failed(reason) => ("FAILED", reason.lines().next().unwrap_or_default().into()),
                Outcome::Skipped(missing) => ("skipped", missing.to_string().replace('\n', "")),
            };
            match outcome {
                Outcome::Passed(_) => passed += 1,
                Outcome::Failed(_) => failed += 1,
                Outcome::Skipped(_) => skipped += 1,
            }
            let line = format!("{word:8} {name:44} {:6.1} s  {detail}", time.as_secs_f64());
            let _ = writeln!(text, "{}", line.trim_end());
        }
        let (mut skipped_tests, mut optional) = (0, 0);
        if let Some(tests) = &self.tests {
            for test in &tests.skipped {
                let _ = writeln!(text, "skipped  {test}");
            }
            skipped_tests = tests.skipped.len();
            optional = tests.skipped.iter().filter(|test| test.starts_with(skips::OPTIONAL)).count();
            let ran = tests.passed.saturating_sub(skipped_tests);
            let _ = writeln!(
                text,
                "tests: {ran} passed, {} failed, {} skipped, {} ignored",
                tests.failed, skipped_tests, tests.ignored
            );
        }
        let _ = write!(text, "steps: {passed} passed, {failed} failed, {skipped} skipped");
        let skips_count = skipped + skipped_tests - optional;
        if skips_fail && skips_count > 0 {
            text += "\nCI is set, so what was skipped counts as failed";
        }
        (text, failed == 0 && (skips_count == 0 || !skips_fail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_cargo_test_are_counted() {
        let mut tests = Tests::default();
        tests.count(
            "test result: ok. 18 passed; 0 failed; 2 ignored; 0 measured; 3 filtered out; finished in 0.07s",
        );
        tests.count("test result: FAILED. 1 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out");
        tests.count("test some::test ... ok");
        assert_eq!((tests.passed, tests.failed, tests.ignored), (19, 4, 2));
    }

    #[test]
    fn a_failure_fails_and_a_skip_fails_where_it_must() {
        let missing = Missing { what: "qemu".into(), command: "apt-get it".into() };
        let report = |outcomes: &[Outcome]| Report {
            steps: outcomes.iter().map(|o| ("step".into(), o.clone(), Duration::ZERO)).collect(),
            tests: Some(Tests { passed: 3, ..Tests::default() }),
        };
        let passed = Outcome::Passed("fine".into());
        let (text, well) = report(&[passed.clone(), Outcome::Failed("why\nmore".into())]).summary(false);
        assert!(!well && text.contains("1 passed, 1 failed, 0 skipped"), "{text}");
        let skipping = report(&[passed, Outcome::Skipped(missing)]);
        let (text, well) = skipping.summary(false);
        assert!(well && text.contains("apt-get it"), "{text}");
        assert!(!skipping.summary(true).1);
        let mut inside = report(&[]);
        inside.tests.as_mut().unwrap().skipped.push("a test: qemu".into());
        let (text, well) = inside.summary(false);
        assert!(well && text.contains("2 passed, 0 failed, 1 skipped"), "{text}");
        assert!(!inside.summary(true).1);
        // A browser that is missing is counted, and fails nothing.
        inside.tests.as_mut().unwrap().skipped = vec![format!("{}a test: chromium", skips::OPTIONAL)];
        let (text, well) = inside.summary(true);
        assert!(well && text.contains("1 skipped") && text.contains("chromium"), "{text}");
    }
}
