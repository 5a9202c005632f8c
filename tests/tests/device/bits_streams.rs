//! Alarm, drift, re-centring and commissioning say the same on the chip as on the host, bit by bit.

use flowlet_tools::device::{skips, stream_digests, Board, DeviceError, Inquirer, Install};

fn streams_give_the_hosts_bits(board: Board, test: &str) {
    let inquirer = match Inquirer::of_streams(board, Install::Forbidden) {
        Ok(inquirer) => inquirer,
        Err(DeviceError::Missing(missing)) => return skips::record(test, &missing),
        Err(error) => panic!("{error}"),
    };
    let rows: Vec<f32> =
        (1..=20u32).flat_map(|seed| [seed * 4099, 200 + seed * 37].map(f32::from_bits)).collect();
    let found = inquirer.run(&[], &rows, 2).expect("an answer").rows;
    let expected: Vec<Result<Vec<u32>, u8>> =
        rows.chunks_exact(2).map(|row| Ok(stream_digests(row).expect("settings that work"))).collect();
    assert_eq!(found, expected);
    // Each word is of something that happened: no two streams agree in it.
    let words = |at: usize| -> Vec<u32> { found.iter().flatten().map(|words| words[at]).collect() };
    for at in 0..8 {
        let mut all = words(at);
        all.sort_unstable();
        all.dedup();
        assert!(all.len() > 15, "word {at}: {} different digests", all.len());
    }
}

#[test]
fn streams_give_the_hosts_bits_on_a_cortex_m0() {
    streams_give_the_hosts_bits(Board::Microbit, "streams_give_the_hosts_bits_on_a_cortex_m0");
}

#[test]
fn streams_give_the_hosts_bits_on_a_cortex_m4f() {
    streams_give_the_hosts_bits(Board::Mps2An386, "streams_give_the_hosts_bits_on_a_cortex_m4f");
}
