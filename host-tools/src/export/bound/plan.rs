//! A flow prepared for the analysis: both what was trained and what the image stands for, in f64.

use super::base::BasePlan;
use super::conditioner::NetPlan;
use crate::export::dense::EncodedDense;
use crate::export::encode::{fixed_gain, row_shift};
use crate::export::quantizer;
use crate::flow::{Coupling, CouplingMap, Flow, Linear, Marginal, Transform};

/// Why there is no bound: which part of a flow the analysis does not cover.
pub(super) type Reason = String;

pub(super) enum Step {
    SoftTail {
        knee: f64,
        fixed_knee: f64,
    },
    Order(Vec<usize>),
    Keep(usize),
    /// Scale and shift of each feature, as trained and as stored.
    Affine(Vec<[Affine; 2]>),
    Matrix(Matrix),
    Marginal(Marginal),
    /// With this margin.
    Logit(f64),
    Coupling(Box<CouplingPlan>),
}

#[derive(Clone, Copy)]
pub(super) struct Affine {
    pub(super) gain: f64,
    pub(super) shift: f64,
}

/// `L (U x) + shift`: rows of both factors in the order of their use, each as trained and as stored.
pub(super) struct Matrix {
    pub(super) rows: Vec<MatrixRow>,
    /// Of the stored log-determinant against that of the matrix.
    pub(super) log_error: f64,
}

pub(super) struct MatrixRow {
    pub(super) to: usize,
    pub(super) exact: Vec<(usize, f64)>,
    pub(super) fixed: Vec<(usize, f64)>,
    pub(super) shift: [f64; 2],
}

pub(super) struct CouplingPlan {
    pub(super) split: usize,
    pub(super) first: bool,
    pub(super) limit: f64,
    /// Where the fixed-point inputs saturate, once rounded.
    pub(super) fixed_limit: f64,
    /// Real size of an input's unit.
    pub(super) unit: f64,
    pub(super) net: NetPlan,
    pub(super) map: CouplingMap,
}

pub(super) struct Plan {
    pub(super) features: usize,
    pub(super) mean: Vec<f64>,
    pub(super) std: Vec<f64>,
    pub(super) steps: Vec<Step>,
    pub(super) base: BasePlan,
    /// Bound of the stored log-determinants' rounding.
    pub(super) constant_error: f64,
    pub(super) log_det: f64,
}

/// To Q15.16.
pub(super) fn fixed(x: f64) -> f64 {
    (x * 65536.0).round() / 65536.0
}

impl Plan {
    /// `flow` is in canonical form, and its nets were encoded as `nets`.
    pub(super) fn new(flow: &Flow, nets: &[Vec<EncodedDense>]) -> Result<Self, Reason> {
        let inputs = flow.inputs();
        let (mut mean, mut std) = (vec![0.0; inputs], vec![1.0; inputs]);
        let mut steps = Vec::new();
        // The sum of the logarithms of deviations is rounded once.
        let (mut constant_error, mut log_det) = (super::budgets::HALF_UNIT, 0.0);
        let mut nets = nets.iter();
        for transform in &flow.transforms {
            match transform {
                Transform::Standardize(s) => {
                    mean = s.mean.iter().map(|&m| f64::from(m)).collect();
                    std = s.std.iter().map(|&s| f64::from(s)).collect();
                    log_det -= std[..flow.features].iter().map(|s| s.ln()).sum::<f64>();
                }
                Transform::SoftTail(t) => {
                    let knee = f64::from(t.knee);
                    steps.push(Step::SoftTail { knee, fixed_knee: fixed(knee) });
                }
                Transform::Permutation(p) => steps.push(Step::Order(p.order.clone())),
                Transform::Split(s) => steps.push(Step::Keep(s.keep)),
                Transform::ElementwiseAffine(t) => {
                    let of = |(&log, &shift): (&f32, &f32)| -> Result<[Affine; 2], Reason> {
                        let (gain, shift) = (f64::from(log).exp(), f64::from(shift));
                        let stored = fixed_gain(gain).ok_or("a scale that fixed point does not hold")?;
                        Ok([
                            Affine { gain, shift },
                            Affine { gain: stored.0 / stored.1.exp2(), shift: fixed(shift) },
                        ])
                    };
                    let pairs: Vec<[Affine; 2]> =
                        t.log_scale.iter().zip(&t.shift).map(of).collect::<Result<_, _>>()?;
                    log_det += t.log_scale.iter().map(|&l| f64::from(l)).sum::<f64>();
                    constant_error += super::budgets::HALF_UNIT
                        + pairs.iter().map(|[a, b]| (b.gain / a.gain).ln().abs()).sum::<f64>();
                    steps.push(Step::Affine(pairs));
                }
                Transform::Linear(t) => {
                    let matrix = Matrix::new(t)?;
                    constant_error += matrix.log_error;
                    let n = t.shift.len();
                    log_det += (0..n).map(|i| f64::from(t.upper[i * n + i]).abs().ln()).sum::<f64>();
                    steps.push(Step::Matrix(matrix));
                }
                Transform::Coupling(c) => {
                    let layers = nets.next().ok_or("a coupling without its net")?;
                    steps.push(Step::Coupling(Box::new(CouplingPlan::new(c, layers)?)));
                }
                Transform::Marginal(t) => steps.push(Step::Marginal(t.clone())),
                Transform::Logit(t) => steps.push(Step::Logit(t.margin.into())),
            }
        }
        let base = BasePlan::new(&flow.base, flow.features)?;
        Ok(Plan { features: flow.features, mean, std, steps, base, constant_error, log_det })
    }
}

impl Matrix {
    fn new(t: &Linear) -> Result<Self, Reason> {
        let n = t.shift.len();
        let mut rows = Vec::new();
        let mut log_error = super::budgets::HALF_UNIT;
        let stored = |weights: &[f32]| -> Vec<f64> {
            let unit = row_shift(weights).exp2();
            weights.iter().map(|&w| (f64::from(w) * unit).round() / unit).collect()
        };
        for i in 0..n {
            let diagonal = f64::from(t.upper[i * n + i]);
            let (gain, shift) = fixed_gain(diagonal).ok_or("a matrix that fixed point does not hold")?;
            let gain = gain / shift.exp2();
            log_error += (gain / diagonal).abs().ln().abs();
            let weights = &t.upper[i * n + i + 1..(i + 1) * n];
            let behind = |(k, w): (usize, f64)| (i + 1 + k, w);
            let exact = weights.iter().map(|&w| f64::from(w)).enumerate().map(behind);
            rows.push(MatrixRow {
                to: i,
                exact: std::iter::once((i, diagonal)).chain(exact).collect(),
                fixed: std::iter::once((i, gain))
                    .chain(stored(weights).into_iter().enumerate().map(behind))
                    .collect(),
                shift: [0.0; 2],
            });
        }
        for i in (0..n).rev() {
            let weights = &t.lower[i * n..i * n + i];
            let shift = f64::from(t.shift[i]);
            rows.push(MatrixRow {
                to: i,
                exact: weights.iter().map(|&w| f64::from(w)).enumerate().chain([(i, 1.0)]).collect(),
                fixed: stored(weights).into_iter().enumerate().chain([(i, 1.0)]).collect(),
                shift: [shift, fixed(shift)],
            });
        }
        Ok(Matrix { rows, log_error })
    }
}

impl CouplingPlan {
    fn new(c: &Coupling, encoded: &[EncodedDense]) -> Result<Self, Reason> {
        let (split, first) = c.mask.as_split().ok_or("a mask that is no split")?;
        let (limit_word, shift) = quantizer::input_format(c.input_limit).map_err(|e| e.to_string())?;
        let unit = (f64::from(shift) - 16.0).exp2();
        let rounded = (i64::from(limit_word) + (1 << (shift - 1))) >> shift;
        let net = NetPlan::new(&c.conditioner, &c.map, encoded, 1.0 / unit)?;
        Ok(CouplingPlan {
            split,
            first,
            limit: f64::from(c.input_limit),
            fixed_limit: rounded as f64 * unit,
            unit,
            net,
            map: c.map.clone(),
        })
    }
}
