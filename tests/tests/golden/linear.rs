//! Additive and affine couplings, ActNorm, LU layers, NICE, RealNVP and Glow-style flows against nflows, normflows
//! and zuko. `tests/golden/make_linear.py` made the numbers.
//!
//! `cargo test --release -p flowlet-tests --test golden linear:: -- --nocapture` prints the errors found.

use flowlet_tests::golden_flows::check;

#[test]
fn linear_layers_and_couplings_give_the_numbers_of_other_libraries() {
    // z, log_det, log_prob, its mean, and the reading from z, which random matrices make ill-conditioned.
    check(
        "linear.json",
        [[1e-5, 1e-5, 1e-5, 1e-6, 1e-4], [2e-3, 2e-3, 5e-4, 2e-4, 5e-2], [5e-2, 2e-2, 5e-3, 2e-3, 1e0]],
    );
}
