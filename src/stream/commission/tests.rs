extern crate std;
use super::*;
use std::println;

struct Random(u64);

impl Random {
    /// Uniform in (0, 1).
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }
}

/// A site: the statistic is `shift + scale` times an Erlang variable, the sum of `shape` exponentials; of half as many
/// features as `2 shape` it is a negative log-likelihood.
#[derive(Clone, Copy, Debug)]
struct Site {
    shape: u32,
    shift: f64,
    scale: f64,
}

impl Site {
    fn draw(&self, random: &mut Random) -> f32 {
        let sum: f64 = (0..self.shape).map(|_| -random.uniform().ln()).sum();
        (self.shift + self.scale * sum) as f32
    }

    /// Bits of the share that exceeds a statistic, exactly.
    fn bits(&self, statistic: f64) -> f64 {
        let x = ((statistic - self.shift) / self.scale).max(0.0);
        let mut term = 1.0;
        let mut sum = 1.0;
        for i in 1..self.shape {
            term *= x / f64::from(i);
            sum += term;
        }
        (x - sum.ln()) / std::f64::consts::LN_2
    }
}

/// The smallest statistic that reaches a level.
fn threshold(site: &SiteCalibration, level: Surprise) -> f64 {
    let (mut low, mut high) = (i32::MIN / 2, i32::MAX / 2);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if site.surprise(middle as f32 / 256.0) >= level {
            high = middle;
        } else {
            low = middle;
        }
    }
    f64::from(high) / 256.0
}

#[test]
fn rates_after_commissioning_lie_within_their_intervals() {
    const TRIALS: u64 = 1000;
    // Trained on scores about 4; the site's are about 20, more spread, and an image would call them all impossible.
    let shifted = Site { shift: 12.0, scale: 2.5, shape: 3 };
    let exponential = Site { shift: -3.0, scale: 0.8, shape: 1 };
    for (site, readings, promise, level) in [
        (shifted, 1023u32, Promise::Readings, 7.0),
        (shifted, 1500, Promise::Readings, 5.3),
        (shifted, 1500, Promise::Readings, 2.0),
        (shifted, 20_000, Promise::Readings, 10.5),
        (exponential, 700, Promise::Readings, 6.0),
        (exponential, 63, Promise::Tail, 5.0),
        (exponential, 1100, Promise::Tail, 10.0),
        (shifted, 1100, Promise::Tail, 9.0),
        (shifted, 5000, Promise::Tail, 12.0),
    ] {
        let level = Surprise::from_raw((level * 256.0) as u16);
        let (mut held, mut sum) = (0, 0.0);
        for trial in 0..TRIALS {
            let mut random = Random(trial << 20 | u64::from(readings));
            let mut commissioning = Commissioning::<12>::new();
            for _ in 0..readings {
                assert!(commissioning.add(site.draw(&mut random)));
            }
            let found = commissioning.finish(level, promise).unwrap();
            let real = site.bits(threshold(&found, level)) * 256.0;
            let (low, high) = found.interval(level);
            held += u64::from((f64::from(low.raw())..=f64::from(high.raw())).contains(&real));
            sum += real / 256.0;
        }
        let share = held as f64 / TRIALS as f64;
        println!(
            "{site:?} {readings} readings, {promise:?}: level {level:?}, really {:.2} bits, held {share}",
            sum / 1e3
        );
        assert!(share >= 0.95, "{site:?} {readings} {promise:?} {level:?}: {share}");
    }
}

#[test]
fn the_surprise_of_a_site_is_that_of_its_readings() {
    let site = Site { shift: 100.0, scale: 30.0, shape: 4 };
    let mut random = Random(5);
    let mut commissioning: Commissioning = Commissioning::new();
    (0..100_000).for_each(|_| assert!(commissioning.add(site.draw(&mut random))));
    let found = commissioning.finish(Surprise::from_bits(12), Promise::Readings).unwrap();
    // In each octave; at ranks of 16 and more relative errors of the share are some 25 %.
    let mut before = Surprise::ZERO;
    let mut mean = 0.0;
    for i in 0..3000u16 {
        let statistic = 100.0 + f64::from(i) * 0.2;
        let surprise = found.surprise(statistic as f32);
        assert!(surprise >= before);
        before = surprise;
        let exact = site.bits(statistic);
        if exact > 0.1 && exact < 12.0 {
            assert!(
                (f64::from(surprise.raw()) / 256.0 - exact).abs() < 0.9,
                "{statistic}: {surprise:?} {exact}"
            );
        }
    }
    for _ in 0..100_000 {
        mean += f64::from(found.surprise(site.draw(&mut random)).raw()) / 256.0 / 1e5;
    }
    assert!((mean - 1.44).abs() < 0.12, "{mean}");
    assert_eq!(before, found.ceiling());
    for wild in [f32::INFINITY, f32::NAN, f32::MAX] {
        assert_eq!(found.surprise(wild), found.ceiling());
    }
    assert_eq!(found.surprise(f32::MIN), Surprise::ZERO);
}

#[test]
fn too_few_readings_are_said_to_be_and_how_many_more() {
    let needs = Surprise::from_raw(6 * 256 + 1);
    let mut commissioning = Commissioning::<8>::new();
    assert_eq!(
        commissioning.finish(needs, Promise::Readings),
        Err(CommissioningError::TooFew { more: 1023 })
    );
    for i in 0..1022 {
        commissioning.add(i as f32);
    }
    assert_eq!(commissioning.finish(needs, Promise::Readings), Err(CommissioningError::TooFew { more: 1 }));
    assert!(commissioning.finish(needs, Promise::Tail).unwrap().ceiling() > needs);
    commissioning.add(0.0);
    assert!(commissioning.finish(needs, Promise::Readings).unwrap().ceiling() >= needs);
    // A capacity of 3967 vouches for 8 bits and no more.
    assert_eq!(Commissioning::<8>::CAPACITY, 3967);
    let nine = Surprise::from_bits(9);
    assert_eq!(commissioning.finish(nine, Promise::Readings), Err(CommissioningError::TooRare));
    assert_eq!(Commissioning::<8>::readings_for(Surprise::MAX, Promise::Tail), None);
    while commissioning.add(1.0) {}
    assert_eq!(commissioning.readings(), 3967);
}

#[test]
fn it_survives_a_power_cut_and_refuses_what_was_damaged() {
    let site = Site { shift: 0.0, scale: 1.0, shape: 2 };
    let mut random = Random(9);
    let mut straight = Commissioning::<10>::new();
    let mut cut = straight.clone();
    for i in 0..3000 {
        let statistic = site.draw(&mut random);
        straight.add(statistic);
        cut.add(statistic);
        if i % 97 == 0 {
            cut = postcard::from_bytes(&postcard::to_stdvec(&cut).unwrap()).unwrap();
        }
    }
    assert_eq!(straight, cut);
    let bytes = postcard::to_stdvec(&straight).unwrap();
    assert!(bytes.len() < 1000, "{}", bytes.len());
    let (mut refused, mut taken) = (0, 0);
    for round in 0..2000 {
        let mut damaged = bytes.clone();
        let at = (random.uniform() * bytes.len() as f64) as usize;
        damaged[at] ^= 1 << (round % 8);
        let Ok(state) = postcard::from_bytes::<Commissioning<10>>(&damaged) else { continue };
        match state.finish(Surprise::from_bits(5), Promise::Readings) {
            Ok(site) => {
                // Whatever passes is total.
                assert!([-1e9, 0.0, 3.0, 1e9].map(|s| site.surprise(s)).is_sorted());
                taken += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 200 && taken > 0, "{refused} {taken}");
}

#[test]
fn equal_readings_give_a_calibration_that_is_total() {
    let mut commissioning = Commissioning::<8>::new();
    (0..1000).for_each(|_| assert!(commissioning.add(7.5)));
    let site = commissioning.finish(Surprise::from_bits(6), Promise::Tail).unwrap();
    assert_eq!(site.surprise(7.0), Surprise::ZERO);
    assert_eq!(site.surprise(8.0), site.ceiling());
}
