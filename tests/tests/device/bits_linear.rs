//! Host and emulated chip give the same bits for every scale map, for scales and shifts, and for matrices.

use flowlet_tests::device_compare::{compare, readings, simulator};
use flowlet_tests::linear_flows::flows;
use flowlet_tests::{Random, NUMERICS};

#[test]
fn couplings_scales_and_matrices_give_the_hosts_bits() {
    let Some(simulator) = simulator("couplings_scales_and_matrices_give_the_hosts_bits") else { return };
    for numeric in NUMERICS {
        let mut rows = 0;
        for (index, (name, flow)) in flows().into_iter().enumerate() {
            let readings = readings(&mut Random(index as u64), &flow);
            rows += compare(&simulator, &flow, &readings, numeric, &format!("{numeric:?}, {name}"));
        }
        println!("{numeric:?}: {rows} rows alike");
        assert!(rows >= 2000, "{rows}");
    }
}
