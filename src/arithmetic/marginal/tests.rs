//! Both arithmetics against the formulas in f64, on random maps with steep and with flat bins.

extern crate std;
use super::*;
use crate::arithmetic::{Arithmetic, Fixed, Float, Tables};
use std::println;
use std::vec::Vec;

type F32 = Float<Tables>;

struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }
}

/// A map in f64, and its words.
struct Map {
    form: MarginalForm,
    x: Vec<f64>,
    y: Vec<f64>,
    slopes: Vec<f64>,
    words: [Vec<u32>; 3],
    shifts: (u8, u8),
}

impl Map {
    /// Slopes of bins between `2^-steep` and `2^steep`; numbers are those that the words stand for.
    fn new(random: &mut Random, knots: usize, form: MarginalForm, steep: f64, fixed: bool) -> Self {
        let (mut x, mut y) = (std::vec![random.between(-4.0, -1.0)], std::vec![random.between(-3.0, -1.0)]);
        for k in 1..knots {
            let slope = random.between(-steep, steep).exp2();
            // Steep bins are narrow, flat ones low: as quantile maps have them.
            let size = random.between(0.02, 0.8);
            x.push(x[k - 1] + size / slope.max(1.0));
            y.push(y[k - 1] + size * slope.min(1.0));
        }
        let count = if form == MarginalForm::Linear { 2 } else { knots };
        let slopes: Vec<f64> = (0..count).map(|_| random.between(-steep, steep).exp2()).collect();
        let spare = |values: &[f64]| {
            let size = values.iter().fold(0.0f64, |a, b| a.max(b.abs()));
            (0..=MOST_KNOT_SHIFT).rev().find(|&s| size * f64::from(16 + s).exp2() < 2_147_483_647.0).unwrap()
        };
        let shifts = if fixed { (spare(&x), spare(&y)) } else { (0, 0) };
        let word = |v: f64, bits: u32| {
            if fixed {
                (v * f64::from(bits).exp2()).round() as i64 as u32
            } else {
                (v as f32).to_bits()
            }
        };
        let real = |w: u32, bits: u32| {
            if fixed {
                f64::from(w as i32) / f64::from(bits).exp2()
            } else {
                f64::from(f32::from_bits(w))
            }
        };
        let (xb, yb) = (16 + u32::from(shifts.0), 16 + u32::from(shifts.1));
        let words = [
            x.iter().map(|&v| word(v, xb)).collect::<Vec<_>>(),
            y.iter().map(|&v| word(v, yb)).collect(),
            slopes.iter().map(|&v| word(v, SLOPE_FRACTION_BITS)).collect(),
        ];
        Map {
            form,
            x: words[0].iter().map(|&w| real(w, xb)).collect(),
            y: words[1].iter().map(|&w| real(w, yb)).collect(),
            slopes: words[2].iter().map(|&w| real(w, SLOPE_FRACTION_BITS)).collect(),
            words,
            shifts,
        }
    }

    fn knots(&self) -> Knots<'_> {
        let [x, y, slopes] = &self.words;
        Knots { form: self.form, x, y, slopes, x_shift: self.shifts.0, y_shift: self.shifts.1 }
    }

    /// Image and slope by the textbook's formula (Durkan et al. 2019, equations 4 and 5).
    fn exact(&self, at: f64) -> (f64, f64) {
        let last = self.x.len() - 1;
        if at <= self.x[0] {
            return (self.y[0] + self.slopes[0] * (at - self.x[0]), self.slopes[0]);
        }
        if at >= self.x[last] {
            let slope = *self.slopes.last().unwrap();
            return (self.y[last] + slope * (at - self.x[last]), slope);
        }
        let k = self.x.iter().rposition(|&x| x <= at).unwrap();
        let (w, h) = (self.x[k + 1] - self.x[k], self.y[k + 1] - self.y[k]);
        let (s, u) = (h / w, (at - self.x[k]) / w);
        if self.form == MarginalForm::Linear {
            return (self.y[k] + s * (at - self.x[k]), s);
        }
        let (d0, d1, uv) = (self.slopes[k], self.slopes[k + 1], u * (1.0 - u));
        let below = s + (d1 + d0 - 2.0 * s) * uv;
        let n = d1 * u * u + 2.0 * s * uv + d0 * (1.0 - u) * (1.0 - u);
        (self.y[k] + h * (s * u * u + d0 * uv) / below, s * s * n / (below * below))
    }

    /// Points in every bin, at its ends, in the tails and far out.
    fn points(&self, random: &mut Random) -> Vec<f64> {
        let mut points = Vec::new();
        for pair in self.x.windows(2) {
            points.extend([pair[0], pair[1]]);
            points.extend((0..8).map(|_| random.between(pair[0], pair[1])));
        }
        let end = self.x[self.x.len() - 1];
        for far in [0.001, 0.1, 3.0, 50.0, 1000.0, 29_990.0] {
            points.extend([self.x[0] - far, end + far]);
        }
        points
    }
}

/// Largest errors: of the image relative to what the input's last digit is worth, of the log-slope, of a
/// round trip, and of the log-slopes both ways.
#[derive(Default, Debug)]
struct Worst {
    image: f64,
    log: f64,
    back: f64,
    ways: f64,
    far: f64,
}

fn examine<A: Arithmetic>(fixed: bool, form: MarginalForm, steep: f64, ulp: f64) -> Worst {
    let mut random = Random(17);
    let mut worst = Worst::default();
    let log = |l: A::Log| f64::from(A::log_to_f32(l));
    for round in 0..200 {
        let map = Map::new(&mut random, 2 + round % 32, form, steep, fixed);
        let knots = map.knots();
        assert!(A::marginal_is_valid(&knots), "{:?} {:?}", map.x, map.y);
        for at in map.points(&mut random) {
            let x = A::from_f32(at as f32);
            let at = f64::from(A::to_f32(x));
            let (image, slope) = map.exact(at);
            if image.abs() > 32_000.0 {
                continue;
            }
            let (z, log_slope) = A::marginal(&knots, x).unwrap();
            let found = f64::from(A::to_f32(z));
            // A unit in the last place of x is worth `slope` of them in z.
            let unit = ulp * (1.0 + image.abs() + slope * (1.0 + at.abs()));
            worst.image = worst.image.max((found - image).abs() / unit);
            // At a knot the slope may be that of either side.
            let near = [map.exact(at - 1e-9).1, slope, map.exact(at + 1e-9).1];
            let error = near.iter().map(|s| (log(log_slope) - s.ln()).abs()).fold(f64::MAX, f64::min);
            worst.log = worst.log.max(error);
            let (back, log_back) = A::marginal_inverse(&knots, z).unwrap();
            let back = f64::from(A::to_f32(back));
            // z's last digit is worth most where the slope is least, be that on the other side of a knot.
            let between = (0..=32).map(|i| map.exact(at + (back - at) * f64::from(i) / 32.0).1);
            let least = between.fold(slope, f64::min);
            let unit = ulp * ((1.0 + found.abs()) / least + 1.0 + at.abs());
            if at.abs() < 100.0 {
                worst.back = worst.back.max((back - at).abs() / unit);
            } else {
                worst.far = worst.far.max((back - at).abs() / at.abs());
            }
            let inside = map.x.iter().all(|k| (k - at).abs() > 8.0 * unit);
            if inside && form == MarginalForm::Linear {
                worst.ways = worst.ways.max((log(log_back) - log(log_slope)).abs());
            }
        }
    }
    worst
}

#[test]
fn both_arithmetics_are_the_formulas_and_invert() {
    for form in [MarginalForm::Linear, MarginalForm::RationalQuadratic] {
        for (steep, limits) in [
            // image and back in units of the last place, log-slope in nats, far out relative
            (6.7, [[1.0, 3e-6, 1.0, 5e-7], [1.0, 4e-5, 1.0, 1e-6]]),
            (9.99, [[1.0, 3e-6, 1.0, 5e-7], [1.0, 1e-3, 1.0, 2e-5]]),
        ] {
            // u, v and the masses are rounded to 2^-31 and 2^-30 of the largest: where the slopes of a bin are up to
            // 2^20 apart, that is what log-slopes lose.
            let ulp = [1.2e-7, 1.0 / 65536.0];
            let found =
                [examine::<F32>(false, form, steep, ulp[0]), examine::<Fixed>(true, form, steep, ulp[1])];
            for (found, limits) in found.iter().zip(limits) {
                println!("{form:?}, slopes 2^±{steep}: {found:?}");
                assert!(found.image < limits[0] && found.log < limits[1], "{found:?}");
                assert!(found.back < limits[2] && found.far < limits[3], "{found:?}");
                assert!(found.ways < 1e-6, "{found:?}");
            }
        }
    }
}

#[test]
fn images_never_fall() {
    let mut random = Random(5);
    for form in [MarginalForm::Linear, MarginalForm::RationalQuadratic] {
        let map = Map::new(&mut random, 9, form, 5.0, true);
        let mut before = i32::MIN;
        for x in (-6 * 65536..6 * 65536).chain((6 * 65536..i32::MAX).step_by(65_521)) {
            let (z, _) = Fixed::marginal(&map.knots(), x).unwrap();
            assert!(z >= before, "{form:?} falls at {x}: {before} to {z}");
            before = z;
        }
    }
}

#[test]
fn slopes_of_the_way_back_are_those_of_differences() {
    let mut random = Random(8);
    for form in [MarginalForm::Linear, MarginalForm::RationalQuadratic] {
        for fixed in [false, true] {
            let map = Map::new(&mut random, 12, form, 3.0, fixed);
            for at in map.points(&mut random) {
                if at.abs() > 20.0 || map.x.iter().any(|k| (k - at).abs() < 1e-3) {
                    continue;
                }
                let at = if fixed { (at * 65536.0).round() / 65536.0 } else { f64::from(at as f32) };
                let piece = if fixed {
                    Fixed::marginal_piece(&map.knots(), Fixed::from_f32(at as f32))
                } else {
                    F32::marginal_piece(&map.knots(), at as f32)
                };
                let (slope, bend) = piece.unwrap().derivatives();
                let h = 1e-5;
                let want = map.exact(at).1;
                let bends = (map.exact(at + h).1.ln() - map.exact(at - h).1.ln()) / (2.0 * h);
                assert!((f64::from(slope) / want - 1.0).abs() < 2e-3, "{form:?} {slope} against {want}");
                assert!(
                    (f64::from(bend) - bends).abs() < 2e-2 * (1.0 + bends.abs()),
                    "{bend} against {bends}"
                );
            }
        }
    }
}

#[test]
fn knots_out_of_order_and_slopes_out_of_range_are_refused() {
    let mut random = Random(2);
    for form in [MarginalForm::Linear, MarginalForm::RationalQuadratic] {
        for fixed in [false, true] {
            let valid = |map: &Map| {
                if fixed {
                    Fixed::marginal_is_valid(&map.knots())
                } else {
                    F32::marginal_is_valid(&map.knots())
                }
            };
            let good = || Map::new(&mut Random(3), 5, form, 2.0, fixed);
            assert!(valid(&good()));
            for axis in 0..2 {
                let mut same = good();
                same.words[axis][2] = same.words[axis][1];
                assert!(!valid(&same));
                let mut falls = good();
                falls.words[axis].swap(1, 2);
                assert!(!valid(&falls));
            }
            let (low, high) = if fixed { (1 << 11, 1 << 31) } else { (0x3a80_0000, 0x4480_0000) };
            for (slope, fine) in [(low, true), (low - 1, false), (high, true), (high + 1, false), (0, false)]
            {
                let mut map = good();
                map.words[2][1] = slope;
                assert_eq!(valid(&map), fine, "{slope:#x}");
            }
            for change in 0..3 {
                let mut short = good();
                short.words[change].pop();
                assert!(!valid(&short));
            }
            // A bin of slope 2000.
            let mut steep = Map::new(&mut random, 3, form, 1.0, fixed);
            let unit = |v: f64, shift: u8| (v * f64::from(16 + shift).exp2()) as i32 as u32;
            for (k, (x, y)) in [(0.0, 0.0), (0.001, 2.0), (1.0, 3.0)].into_iter().enumerate() {
                let [wx, wy] = if fixed {
                    [unit(x, steep.shifts.0), unit(y, steep.shifts.1)]
                } else {
                    [(x as f32).to_bits(), (y as f32).to_bits()]
                };
                (steep.words[0][k], steep.words[1][k]) = (wx, wy);
            }
            assert!(!valid(&steep));
        }
    }
    let mut odd = Map::new(&mut random, 3, MarginalForm::Linear, 1.0, true);
    odd.shifts.0 = MOST_KNOT_SHIFT + 1;
    assert!(!Fixed::marginal_is_valid(&odd.knots()));
    let mut lowest = Map::new(&mut random, 3, MarginalForm::Linear, 1.0, true);
    lowest.words[0][0] = 1 << 31;
    assert!(!Fixed::marginal_is_valid(&lowest.knots()));
    let mut infinite = Map::new(&mut random, 3, MarginalForm::Linear, 1.0, false);
    infinite.words[0][2] = f32::INFINITY.to_bits();
    assert!(!F32::marginal_is_valid(&infinite.knots()));
    infinite.words[0][2] = f32::NAN.to_bits();
    assert!(!F32::marginal_is_valid(&infinite.knots()));
}
