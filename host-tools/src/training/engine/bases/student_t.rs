//! Independent Student-t distributions: location and scale are trained, degrees of freedom are fitted to the values
//! that the untrained chain gives and then stay.

use super::TileBase;
use crate::flow;
use crate::training::engine::kernels::Kernels;
use crate::training::engine::lanes::{Line, LINE};
use crate::training::mixture::STD_FLOOR;
use crate::training::random::Random;
use std::sync::OnceLock;

/// The base that [`flow::StudentT`] documents.
pub(crate) struct TileStudentT {
    features: usize,
    /// Set once, by the fit.
    degrees: OnceLock<Vec<f32>>,
    /// What stands for them before.
    start: Vec<f32>,
}

/// Degrees of freedom to choose from.
const DEGREES: [f64; 10] = [1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0, 40.0, 100.0];
/// Most rows that they are fitted to.
const ROWS: usize = 5000;
/// Steps of the fit for each of them.
const STEPS: usize = 25;

impl TileStudentT {
    /// Over so many features; 5 degrees of freedom before the fit.
    pub(crate) fn new(features: usize) -> Self {
        Self { features, degrees: OnceLock::new(), start: vec![5.0; features] }
    }

    fn degrees(&self) -> &[f32] {
        self.degrees.get().unwrap_or(&self.start)
    }

    fn stride(&self) -> usize {
        self.features.div_ceil(LINE)
    }
}

/// Part of `log_prob` that depends on the degrees alone.
fn constant(degrees: f64) -> f64 {
    flow::ln_gamma(0.5 * (degrees + 1.0))
        - flow::ln_gamma(0.5 * degrees)
        - 0.5 * (std::f64::consts::PI * degrees).ln()
}

/// Degrees, location and scale of the largest likelihood: for each number of degrees by expectation maximization
/// (Lange, Little and Taylor 1989).
fn fit(values: &[f64]) -> (f64, f64, f64) {
    let n = values.len() as f64;
    let mut location = values.iter().sum::<f64>() / n;
    let mut square = values.iter().map(|x| (x - location).powi(2)).sum::<f64>() / n;
    let mut best = (f64::NEG_INFINITY, (DEGREES[0], location, square.sqrt()));
    // From many degrees, where the start is right, to few.
    for nu in DEGREES.into_iter().rev() {
        for _ in 0..STEPS {
            square = square.max(STD_FLOOR * STD_FLOOR);
            let weight = |x: f64| (nu + 1.0) / (nu + (x - location).powi(2) / square);
            let (mut sum, mut first) = (0.0, 0.0);
            for &x in values {
                let w = weight(x);
                sum += w;
                first += w * x;
            }
            let centre = first / sum;
            let spread = values.iter().map(|&x| weight(x) * (x - centre).powi(2)).sum::<f64>() / n;
            (location, square) = (centre, spread.max(STD_FLOOR * STD_FLOOR));
        }
        let energy = |x: &f64| 0.5 * (nu + 1.0) * ((x - location).powi(2) / square / nu).ln_1p();
        let mean = values.iter().map(energy).sum::<f64>() / n;
        let log_prob = constant(nu) - 0.5 * square.ln() - mean;
        if log_prob > best.0 {
            best = (log_prob, (nu, location, square.sqrt()));
        }
    }
    best.1
}

impl TileBase for TileStudentT {
    fn parameters(&self) -> usize {
        2 * self.stride()
    }
    fn scratch(&self) -> usize {
        0
    }

    fn fit(&self, parameters: &mut [Line], values: &[f32], _: &mut Random) {
        let rows = values.len() / self.features;
        let step = rows.div_ceil(ROWS).max(1);
        let mut degrees = Vec::new();
        for i in 0..self.features {
            let column: Vec<f64> =
                values.iter().skip(i).step_by(self.features * step).map(|&x| f64::from(x)).collect();
            let (nu, location, scale) = fit(&column);
            degrees.push(nu as f32);
            parameters[i / LINE].0[i % LINE] = location as f32;
            parameters[self.stride() + i / LINE].0[i % LINE] = scale.ln() as f32;
        }
        // A second fit would find the same: the chain is as untrained as before.
        self.degrees.get_or_init(|| degrees);
    }

    fn project(&self, parameters: &mut [Line]) {
        let floor = STD_FLOOR.ln() as f32;
        for value in parameters[self.stride()..].iter_mut().flat_map(|line| &mut line.0) {
            *value = value.max(floor);
        }
    }

    fn export(&self, parameters: &[Line]) -> flow::Base {
        let part =
            |from: usize| (0..self.features).map(|i| parameters[from + i / LINE].0[i % LINE]).collect();
        flow::Base::StudentT(flow::StudentT {
            degrees: self.degrees().to_vec(),
            location: part(0),
            log_scale: part(self.stride()),
        })
    }

    fn constant(&self) -> f64 {
        -self.degrees().iter().map(|&nu| constant(f64::from(nu))).sum::<f64>()
    }

    fn loss(&self, k: &dyn Kernels, parameters: &[Line], z: &mut [Line], _: &mut [Line]) -> Line {
        k.student(self.degrees(), parameters, None, z, &Line::ZERO)
    }

    fn gradient(
        &self,
        k: &dyn Kernels,
        (parameters, gradient): (&[Line], &mut [Line]),
        z: &mut [Line],
        weight: &Line,
        _: &mut [Line],
    ) -> Line {
        k.student(self.degrees(), parameters, Some(gradient), z, weight)
    }
}
