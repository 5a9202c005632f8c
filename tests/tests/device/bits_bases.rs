//! Host and emulated chip give the same bits for every base distribution, and what each costs there.
//!
//! `cargo test --release -p flowlet-tests --test device bits_bases:: -- --nocapture` prints the instructions.

use flowlet_tests::bases::{mixture, readings, student};
use flowlet_tests::device_compare::{on_host, simulator};
use flowlet_tests::evaluate::image_of;
use flowlet_tests::{random_flow, Random, NUMERICS};
use flowlet_tools::device::{Simulation, Simulator};
use flowlet_tools::export::{ImageFile, Numeric};
use flowlet_tools::flow::{Base, Flow, Mixture};

fn compare(
    simulator: &Simulator,
    image: &ImageFile,
    rows: &[f32],
    features: usize,
    what: &str,
) -> Simulation {
    let simulation =
        simulator.run(image.bytes(), rows, features, |_| {}).unwrap_or_else(|error| panic!("{error}"));
    let host = on_host(image, rows);
    assert_eq!(simulation.rows.len(), host.len(), "{what}");
    for (row, (device, host)) in simulation.rows.iter().zip(&host).enumerate() {
        assert_eq!(device, host, "{what}: row {row}, {:?}", &rows[row * features..][..features]);
    }
    simulation
}

#[test]
fn every_base_gives_the_hosts_bits() {
    let Some(simulator) = simulator("every_base_gives_the_hosts_bits") else { return };
    for numeric in NUMERICS {
        let mut compared = 0;
        for (features, components) in [(1, 0), (5, 0), (9, 0), (1, 3), (3, 1), (8, 5), (9, 32), (21, 64)] {
            let mut random = Random((features * 100 + components) as u64);
            let base = match components {
                0 => student(&mut random, features),
                k => mixture(&mut random, features, k),
            };
            // No standardizer's statistics and no chain: readings are base variables.
            let flow = Flow { features, base, ..Flow::default() };
            let rows = readings(&mut random, features);
            let what = format!("{numeric:?}, {features} features, {components} components");
            compared += compare(&simulator, &image_of(&flow, numeric), &rows, features, &what).rows.len();
        }
        println!("{numeric:?}: {compared} rows alike");
        assert!(compared > 2000);
    }
}

#[test]
fn a_base_behind_couplings_gives_the_hosts_bits() {
    let Some(simulator) = simulator("a_base_behind_couplings_gives_the_hosts_bits") else { return };
    for numeric in NUMERICS {
        let mut random = Random(4);
        for components in [0, 16] {
            let mut flow = random_flow(&mut random, 6, 4, &[12]);
            flow.base = match components {
                0 => student(&mut random, 6),
                k => mixture(&mut random, 6, k),
            };
            let mut rows = flowlet_tests::normal_readings(&mut random, &flow, 200);
            rows.extend(readings(&mut random, 6));
            compare(&simulator, &image_of(&flow, numeric), &rows, 6, &format!("{numeric:?}, {components}"));
        }
    }
}

/// Instructions of a score whose rows are samples of the mixture: what the loop costs on readings that it is for.
#[test]
fn a_mixture_costs_some_instructions_per_component_and_feature() {
    let Some(simulator) = simulator("a_mixture_costs_some_instructions_per_component_and_feature") else {
        return;
    };
    for numeric in [Numeric::F32, Numeric::I16] {
        for (features, components) in [(9, 32), (9, 64), (21, 64), (36, 64)] {
            let mut random = Random(11);
            // Components on top of each other, of which none may be left early, and ones that lie apart.
            let mut counts = Vec::new();
            for spread in [0.0, 1.0] {
                let count = components * features;
                let base = Base::Mixture(Mixture {
                    log_weights: vec![0.0; components],
                    means: (0..count).map(|_| spread * random.normal()).collect(),
                    log_std: vec![if spread > 0.0 { -0.7 } else { 0.0 }; count],
                });
                let Base::Mixture(mixture) = &base else { unreachable!() };
                let rows: Vec<f32> = (0..100)
                    .flat_map(|row| {
                        let (means, log_std) = mixture.component(row % components);
                        let one = |(m, s): (&f32, &f32)| m + s.exp() * random.normal();
                        means.iter().zip(log_std).map(one).collect::<Vec<_>>()
                    })
                    .collect();
                let count = |base: Base, components: usize| {
                    let flow = Flow { features, base, ..Flow::default() };
                    let what = format!("{numeric:?} {features} {components}");
                    let found = compare(&simulator, &image_of(&flow, numeric), &rows, features, &what);
                    found.instructions_per_score.expect("rows that can be scored")
                };
                let bare = count(Base::StandardNormal, 0);
                counts.push((count(base.clone(), components) - bare) / (components * features) as f64);
            }
            println!(
                "{numeric:?}, {features} features, {components} components: per component and feature {:.1} \
                 instructions if all count, {:.1} if they lie apart",
                counts[0], counts[1]
            );
            assert!(counts[0] < 45.0 && counts[1] < counts[0], "{counts:?}");
        }
    }
    for numeric in [Numeric::F32, Numeric::I16] {
        let mut random = Random(12);
        let rows: Vec<f32> = (0..100 * 9).map(|_| random.normal()).collect();
        let count = |base: Base| {
            let flow = Flow { features: 9, base, ..Flow::default() };
            let found = compare(&simulator, &image_of(&flow, numeric), &rows, 9, "student");
            found.instructions_per_score.expect("rows that can be scored")
        };
        let each = (count(student(&mut random, 9)) - count(Base::StandardNormal)) / 9.0;
        println!("{numeric:?}, Student-t: {each:.0} instructions per feature more than the standard normal");
        assert!(each < 250.0, "{each}");
    }
}
