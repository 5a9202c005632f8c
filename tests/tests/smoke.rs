//! smoke
use flowlet_tests::*;
use flowlet_tools::export::{build, import, scores, Calibration};

#[test]
fn smoke() {
    for (d, hidden) in [(2, vec![8]), (3, vec![5, 7]), (8, vec![32, 32]), (16, vec![32, 32]), (21, vec![32])]
    {
        let mut r = Random(d as u64);
        let flow = random_flow(&mut r, d, 6, &hidden);
        let rows = normal_readings(&mut r, &flow, 500);
        let cal = Calibration { readings: &rows, false_alarm_rate: 0.01 };
        let images: Vec<_> = NUMERICS.iter().map(|&n| build(&flow, n, &metadata(d), cal).unwrap()).collect();
        let s: Vec<_> = images.iter().map(|i| scores(i, &rows).unwrap()).collect();
        for k in 1..3 {
            let e: Vec<f32> = s[0].iter().zip(&s[k]).map(|(a, b)| (a.log_prob - b.log_prob).abs()).collect();
            let mean = e.iter().sum::<f32>() / e.len() as f32;
            println!(
                "d {d} {:?} mean {mean} max {} bytes {} ws {} first {:?} {:?}",
                NUMERICS[k],
                e.iter().fold(0.0f32, |a, &b| a.max(b)),
                images[k].bytes().len(),
                images[k].model().unwrap().workspace_bytes(),
                s[0][0],
                s[k][0]
            );
        }
        // import
        for (i, image) in images.iter().enumerate() {
            let (f, m) = import(&image.model().unwrap());
            let again = build(&f, NUMERICS[0], &m, cal).unwrap();
            let t = scores(&again, &rows).unwrap();
            let e = t.iter().zip(&s[i]).map(|(a, b)| (a.log_prob - b.log_prob).abs()).fold(0.0f32, f32::max);
            println!("   import {:?}: {e}", NUMERICS[i]);
        }
    }
}
