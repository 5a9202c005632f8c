//! Training throughput of one thread: forward, backward and AdamW of a RealNVP and of a spline flow of 8 bins, with
//! 6 couplings of (32, 32), batches of 256, on standard normal data. Prints one JSON object per line:
//! `{"name", "lanes", "d", "samples_per_second"}`, of the best epoch of 8 batches: short, so that some epochs
//! run undisturbed on a shared machine.
//!
//! `cargo bench -p flowlet-tools --bench training [-- EPOCHS]`; `peers/throughput.py` calls it next to the Python
//! libraries.

use flowlet_tools::training::{train, FlowKind, Matrix, TrainConfig};

const ROWS: usize = 256 * 8;

/// Sums of twelve uniform numbers less six: near enough to normal for timing.
fn data(columns: usize) -> Result<Matrix, flowlet_tools::training::TrainError> {
    let mut state = 1_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 16_777_216.0
    };
    let values = (0..ROWS * columns).map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0).collect();
    Matrix::new(ROWS, columns, values)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Cargo adds `--bench`, and `cargo test --benches` runs this without it: one short run then.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let short = !arguments.iter().any(|a| a == "--bench");
    let epochs = arguments.iter().find_map(|a| a.parse().ok()).unwrap_or(if short { 1 } else { 300 });
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
    for columns in [8, 16, 32] {
        let data = data(columns)?;
        for (name, config) in
            [("flowlet", &plain), ("flowlet, noise and average", &regularized), ("flowlet, NSF", &spline)]
        {
            let trained = train(&data, config, &mut ())?;
            let seconds = trained.history.iter().map(|e| e.duration.as_secs_f64());
            let best = ROWS as f64 / seconds.fold(f64::INFINITY, f64::min);
            let line = serde_json::json!({
                "name": name, "lanes": trained.lanes, "d": columns, "samples_per_second": best,
            });
            println!("{line}");
        }
    }
    Ok(())
}
