//! Training throughput of one thread: forward, backward and AdamW of a RealNVP and of a spline flow of 8 bins, with
//! 6 couplings of (32, 32), batches of 256, on standard normal data. Prints one JSON object per line:
//! `{"name", "lanes", "d", "samples_per_second"}`, of the best epoch of 8 batches in processor time: short, so that
//! some epochs run undisturbed on a shared machine.
//!
//! Then `"threads"` and `"threads, NSF"`: the same flows on one thread and on two by turns. `speedup` is the ratio of the
//! best epochs, of 32 batches, in wall-clock time; it needs two idle cores, since threads that wait for one another spin.
//!
//! `cargo bench -p flowlet-tools --bench training [-- EPOCHS [NAME [D]]]`, of all names those that begin with `NAME`;
//! `peers/throughput.py` calls it next to the Python libraries.

use flowlet_tools::training::{train, Epoch, FlowKind, Matrix, Progress, TrainConfig, TrainError};
use std::time::Duration;

const ROWS: usize = 256 * 8;
/// The same to compare threads by: 8,192 rows, a usual table, so that the start of the threads, once an epoch, weighs as usual.
const ROWS_OF_THREADS: usize = 256 * 32;
/// Turns of one thread and two threads.
const TURNS: usize = 3;

/// Sums of twelve uniform numbers less six: near enough to normal for timing.
fn data(rows: usize, columns: usize) -> Result<Matrix, TrainError> {
    let mut state = 1_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 16_777_216.0
    };
    let values = (0..rows * columns).map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0).collect();
    Matrix::new(rows, columns, values)
}

/// Processor time of all threads so far.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The best epoch: wall-clock time and processor time in seconds, each by itself.
struct Stopwatch {
    before: Duration,
    wall: f64,
    processor: f64,
}

impl Progress for Stopwatch {
    fn epoch(&mut self, epoch: &Epoch, _: bool) {
        let now = processor_time();
        self.wall = self.wall.min(epoch.duration.as_secs_f64());
        // The first epoch's would hold the preparation too.
        if epoch.number > 1 {
            self.processor = self.processor.min((now - self.before).as_secs_f64());
        }
        self.before = processor_time();
    }
}

/// Trains; the stopwatch and the lanes.
fn timed(data: &Matrix, config: &TrainConfig) -> Result<(Stopwatch, &'static str), TrainError> {
    let mut watch = Stopwatch { before: Duration::ZERO, wall: f64::INFINITY, processor: f64::INFINITY };
    let trained = train(data, config, &mut watch)?;
    Ok((watch, trained.lanes))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Cargo adds `--bench`, and `cargo test --benches` runs this without it: one short run then.
    let (flags, arguments): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|a| a.starts_with("--"));
    let epochs = match arguments.first() {
        Some(epochs) => epochs.parse()?,
        None if flags.iter().any(|f| f == "--bench") => 300,
        None => 2,
    };
    let wanted = arguments.get(1).map_or("", String::as_str);
    let only: Option<usize> = arguments.get(2).map(|d| d.parse()).transpose()?;

    let plain = TrainConfig {
        layers: 6,
        hidden: vec![32, 32],
        batch: 256,
        threads: 1,
        holdout: 0.0,
        noise: 0.0,
        average: 0.0,
        epochs: Some(epochs),
        patience: None,
        ..TrainConfig::default()
    };
    let regularized = TrainConfig { noise: 0.1, average: 50.0, ..plain.clone() };
    let spline = TrainConfig { flow: FlowKind::Nsf, ..plain.clone() };
    let kinds =
        [("flowlet", &plain), ("flowlet, noise and average", &regularized), ("flowlet, NSF", &spline)];
    for columns in [8, 16, 32].into_iter().filter(|&d| only.is_none_or(|only| only == d)) {
        let table = data(ROWS, columns)?;
        for (name, config) in kinds.iter().filter(|(name, _)| name.starts_with(wanted)) {
            let (best, lanes) = timed(&table, config)?;
            let rate = ROWS as f64 / best.processor;
            let line = serde_json::json!({
                "name": name, "lanes": lanes, "d": columns, "samples_per_second": rate,
            });
            println!("{line}");
        }
        let table = data(ROWS_OF_THREADS, columns)?;
        for (name, config) in [("threads", &plain), ("threads, NSF", &spline)] {
            if !name.starts_with(wanted) {
                continue;
            }
            let mut wall = [f64::INFINITY; 2];
            for _ in 0..TURNS {
                for threads in [1, 2] {
                    let epochs = config.epochs.map(|epochs| epochs.div_ceil(ROWS_OF_THREADS / ROWS));
                    let (best, _) = timed(&table, &TrainConfig { threads, epochs, ..config.clone() })?;
                    wall[threads - 1] = wall[threads - 1].min(best.wall);
                }
            }
            let line = serde_json::json!({ "name": name, "d": columns, "speedup": wall[0] / wall[1] });
            println!("{line}");
        }
    }
    Ok(())
}
