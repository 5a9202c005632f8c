//! The errors of the elementary functions against f64, which `docs/numerics.md` quotes.
//!
//! `cargo test --release -p flowlet-tests --features fast-math --test flow elementary:: -- --nocapture` prints
//! them. The budgets here are those of the document; the unit tests beside the functions hold them too.

use flowlet::arithmetic::fixed::elementary as fixed;
use flowlet::arithmetic::float::elementary as float;
use flowlet::arithmetic::{Elementary, Libm, Tables};

/// Largest of `f` over `inputs`, and the input that gives it.
fn worst<T: Copy + Default>(inputs: impl Iterator<Item = T>, f: impl Fn(T) -> f64) -> (f64, T) {
    let larger = |a: (f64, T), b: (f64, T)| if b.0 > a.0 { b } else { a };
    inputs.map(|x| (f(x), x)).fold((0.0, T::default()), larger)
}

/// f32s of both signs from `low` to `high` in size, evenly in their bits: as many in each octave.
fn floats(low: f32, high: f32, signs: u32) -> impl Iterator<Item = f32> {
    let all = (low.to_bits()..=high.to_bits()).step_by(997);
    all.flat_map(move |bits| (0..signs).map(move |sign| f32::from_bits(bits | sign << 31)))
}

fn relative(found: f32, exact: f64) -> f64 {
    (f64::from(found) / exact - 1.0).abs()
}

/// Error in units of the last place of the exact value as f32.
fn ulps(found: f32, exact: f64) -> f64 {
    let near = (exact as f32).abs();
    let unit = f64::from(f32::from_bits(near.to_bits() + 1)) - f64::from(near);
    (f64::from(found) - exact).abs() / unit
}

#[test]
fn f32_functions_keep_their_budgets() {
    let error = |found: f32, exact: f64| (f64::from(found) - exact).abs();
    let exp = worst(floats(1e-6, 30.0, 2), |x| relative(Tables::exp(x), f64::from(x).exp()));
    let near = worst(floats(1e-6, 3.0, 2), |x| relative(Tables::exp(x), f64::from(x).exp()));
    let wide = worst(floats(30.0, 87.3, 2), |x| relative(Tables::exp(x), f64::from(x).exp()));
    let tanh = worst(floats(1e-6, 20.0, 2), |x| error(Tables::tanh(x), f64::from(x).tanh()));
    let silu = worst(floats(1e-6, 80.0, 2), |x| {
        relative(float::silu(x), f64::from(x) / (1.0 + (-f64::from(x)).exp()))
    });
    println!("f32: exp {:.1e} relative within 3, {:.1e} within 30, {:.1e} beyond", near.0, exp.0, wide.0);
    println!("f32: tanh {:.1e} absolute, silu {:.1e} relative", tanh.0, silu.0);
    assert!(near.0 <= 4e-7, "{near:?}");
    assert!(exp.0 <= float::EXP_RELATIVE, "{exp:?}");
    assert!(wide.0 <= float::EXP_RELATIVE_ALL, "{wide:?}");
    assert!(tanh.0 <= float::TANH_ABSOLUTE, "{tanh:?}");
    assert!(silu.0 <= float::SILU_RELATIVE, "{silu:?}");
}

#[test]
fn libm_errs_by_units_in_the_last_place() {
    let exp = worst(floats(1e-6, 80.0, 2), |x| ulps(Libm::exp(x), f64::from(x).exp()));
    let ln = worst(floats(1.0, 40_000.0, 1), |x| ulps(Libm::ln(x), f64::from(x).ln()));
    let tanh = worst(floats(1e-6, 20.0, 2), |x| ulps(Libm::tanh(x), f64::from(x).tanh()));
    println!("libm, units in the last place: exp {exp:.2?}, ln {ln:.2?}, tanh {tanh:.2?}");
    let exp = worst(floats(1e-6, 80.0, 2), |x| relative(Libm::exp(x), f64::from(x).exp()));
    println!("libm, relative: exp {:.1e} at {}", exp.0, exp.1);
    assert!(exp.0 < 1e-7);
    assert!(ln.0 < 1.0);
    // tanh is made from expm1 and a division.
    assert!(tanh.0 < 2.5);
}

#[test]
fn fixed_point_functions_keep_their_budgets() {
    let real = |x: i32| f64::from(x) / 65536.0;
    let power = |(mantissa, exponent): (u32, i32)| {
        f64::from(mantissa) / f64::from(1u32 << 30) * f64::from(exponent).exp2()
    };
    let exp2 = worst(-300_000..300_000, |x| (power(fixed::exp2(x)) / real(x).exp2() - 1.0).abs());
    let exp = worst(-20 * 65536..20 * 65536, |x| (power(fixed::exp(x)) / real(x).exp() - 1.0).abs());
    let tanh = worst(-10 * 65536..10 * 65536, |x| (real(fixed::tanh(x)) - real(x).tanh()).abs());
    let all = (65536..u32::MAX).step_by(4093).chain(65536..1_000_000);
    let ln = worst(all, |x: u32| (real(fixed::ln(x)) - (f64::from(x) / 65536.0).ln()).abs());
    println!("fixed: exp2 {:.1e} relative, exp {:.1e} relative", exp2.0, exp.0);
    println!("fixed: tanh {:.1e} absolute, ln {:.1e} absolute", tanh.0, ln.0);
    assert!(exp2.0 < fixed::EXP2_RELATIVE, "{exp2:?}");
    assert!(exp.0 < fixed::EXP_RELATIVE, "{exp:?}");
    assert!(tanh.0 < fixed::TANH_ABSOLUTE, "{tanh:?}");
    assert!(ln.0 < fixed::LN_ABSOLUTE, "{ln:?}");
}

#[cfg(feature = "fast-math")]
#[test]
fn fast_math_keeps_its_budget() {
    use flowlet::arithmetic::FastMath;
    let exp = worst(floats(1e-6, 20.0, 2), |x| relative(FastMath::exp(x), f64::from(x).exp()));
    let tanh = worst(floats(1e-6, 20.0, 2), |x| (f64::from(FastMath::tanh(x)) - f64::from(x).tanh()).abs());
    println!(
        "fast-math: exp {:.1e} relative at {}, tanh {:.1e} absolute at {}",
        exp.0, exp.1, tanh.0, tanh.1
    );
    assert!(exp.0 < 3e-3, "{exp:?}");
    assert!(tanh.0 < 2e-3, "{tanh:?}");
}

#[cfg(feature = "fast-math")]
#[test]
fn fast_math_moves_scores_a_little() {
    use flowlet_tests::evaluate::image_of;
    use flowlet_tools::export::{scores, Numeric};
    let mut random = flowlet_tests::Random(77);
    let flow = flowlet_tests::random_flow(&mut random, 8, 4, &[24, 24]);
    let rows = flowlet_tests::normal_readings(&mut random, &flow, 2000);
    let exact = scores(&image_of(&flow, Numeric::F32), &rows).unwrap();
    let fast = scores(&image_of(&flow, Numeric::F32FastMath), &rows).unwrap();
    let errors: Vec<f32> = exact.iter().zip(&fast).map(|(a, b)| (a.log_prob - b.log_prob).abs()).collect();
    let mean = errors.iter().sum::<f32>() / errors.len() as f32;
    let worst = errors.iter().fold(0f32, |a, &b| a.max(b));
    println!("fast-math scores: {mean:.1e} nats from f32 in the mean, {worst:.1e} at worst");
    assert!(mean < 0.1, "{mean}");
    // No logarithm of micromath's, which would cost 0.1 for each soft tail: far-out scores agree as well.
    assert!(errors.iter().all(|e| e.is_finite()));
}
