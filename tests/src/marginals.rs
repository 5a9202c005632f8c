//! Random maps of single features through knots.

use crate::Random;
use flowlet_tools::flow::{Marginal, MarginalKind, MarginalMap};

/// As quantile maps are: knots by the thousand and by ones, bins steep and flat.
///
/// # Panics
/// With fewer than two knots.
#[must_use]
pub fn marginal(random: &mut Random, features: usize, knots: usize, form: MarginalKind) -> Marginal {
    let y: Vec<f32> = (0..knots).map(|k| 3.6 * (k as f32 / (knots - 1) as f32 - 0.5)).collect();
    let map = |random: &mut Random| {
        let mut x = vec![-2.5];
        for k in 1..knots {
            let slope = (6.0 * random.uniform() - 2.0).exp2();
            x.push(x[k - 1] + (y[k] - y[k - 1]) / slope);
        }
        let count = if form == MarginalKind::Linear { 2 } else { knots };
        let slopes = (0..count).map(|_| (3.0 * random.uniform() - 1.5).exp2()).collect();
        MarginalMap { x, y: y.clone(), slopes }
    };
    Marginal { form, features: (0..features).map(|_| map(random)).collect() }
}
