//! Every board gives the host's bits: a few flows in every arithmetic.

use flowlet_tests::device_compare::{compare, readings, simulator_of};
use flowlet_tests::{random_flow, splines, Random, NUMERICS};
use flowlet_tools::device::Board;
use flowlet_tools::flow::SplineParameters;

/// Flows that the smallest board has room for.
fn the_board_gives_the_hosts_bits(board: Board, test: &str) {
    let Some(simulator) = simulator_of(board, test) else { return };
    let mut random = Random(31);
    let spline = splines::Shape {
        features: 4,
        couplings: 2,
        hidden: &[8],
        bins: 5,
        parameters: SplineParameters::Softplus,
        size: 0.3,
    };
    let flows = [
        ("an affine flow", random_flow(&mut random, 5, 4, &[13, 9])),
        ("a wider affine flow", random_flow(&mut random, 8, 2, &[32, 32])),
        ("a spline flow", splines::spline_flow(&mut random, spline)),
    ];
    for (name, flow) in flows {
        let rows = readings(&mut random, &flow);
        for numeric in NUMERICS {
            let compared =
                compare(&simulator, &flow, &rows, numeric, &format!("{board}, {name}, {numeric:?}"));
            assert!(compared > 200, "{compared} rows");
        }
    }
}

#[test]
fn a_cortex_m0_gives_the_hosts_bits() {
    the_board_gives_the_hosts_bits(Board::Microbit, "a_cortex_m0_gives_the_hosts_bits");
}

#[test]
fn a_cortex_m3_gives_the_hosts_bits() {
    the_board_gives_the_hosts_bits(Board::Mps2An385, "a_cortex_m3_gives_the_hosts_bits");
}

#[test]
fn a_cortex_m4f_gives_the_hosts_bits() {
    the_board_gives_the_hosts_bits(Board::Mps2An386, "a_cortex_m4f_gives_the_hosts_bits");
}

#[test]
fn a_cortex_m7_gives_the_hosts_bits() {
    the_board_gives_the_hosts_bits(Board::Mps2An500, "a_cortex_m7_gives_the_hosts_bits");
}

#[test]
fn a_cortex_m33_gives_the_hosts_bits() {
    the_board_gives_the_hosts_bits(Board::Mps2An505, "a_cortex_m33_gives_the_hosts_bits");
}

#[test]
fn a_cortex_m55_gives_the_hosts_bits() {
    the_board_gives_the_hosts_bits(Board::Mps3An547, "a_cortex_m55_gives_the_hosts_bits");
}
