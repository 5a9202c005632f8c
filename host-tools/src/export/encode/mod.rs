//! Transforms, nets and bases as the image's words; one file per kind.
//!
//! What is encoded is brought into canonical form first: couplings condition on one end of the vector (see
//! [`super::canonical`]).

mod base;
mod coupling;
mod front;
mod linear;
mod logit;
mod marginal;
mod net;

use super::canonical::canonical;
use super::dense::EncodedDense;
use super::observe::{observe, Observed};
use super::{ExportError, Numeric};
use crate::flow::{Flow, Standardize, Transform};
use flowlet::base::BaseRecord;
use flowlet::transform::kind;

pub(super) use net::{normalized, windowed};

/// A flow as words: standardizer first, then its chain, then its base.
pub(super) struct Encoded {
    pub(super) words: Vec<u32>,
    pub(super) chain: usize,
    pub(super) transforms: usize,
    pub(super) base: BaseRecord,
    /// The chain before it was brought into canonical form, in words.
    pub(super) trained_as: String,
    /// The layers of each coupling's net, for the certified bound.
    nets: Vec<Vec<EncodedDense>>,
}

impl Encoded {
    /// Encodes `flow` for `numeric`; activation ranges come from `readings`.
    pub(super) fn new(flow: &Flow, numeric: Numeric, readings: &[f32]) -> Result<Self, ExportError> {
        let trained_as = flow.summary();
        let flow = &canonical(flow);
        let mut transforms = flow.transforms.as_slice();
        let unit = Standardize { mean: vec![0.0; flow.inputs()], std: vec![1.0; flow.inputs()] };
        let standardizer = match transforms.split_first() {
            Some((Transform::Standardize(s), rest)) => {
                transforms = rest;
                s
            }
            _ => &unit,
        };
        let observed = if is_fixed(numeric) { observe(flow, readings) } else { Vec::new() };
        let mut words = Vec::new();
        front::standardize(standardizer, flow.features, numeric, &mut words)?;
        let chain = words.len();
        let mut nets: Vec<Vec<EncodedDense>> = Vec::new();
        for transform in transforms {
            let head = words.len();
            words.push(0);
            let kind = match transform {
                Transform::Standardize(_) => {
                    return Err(ExportError::Flow("only the first transform can standardize".into()))
                }
                Transform::SoftTail(t) => {
                    words.push(value(t.knee, numeric, "knee")?);
                    kind::SOFT_TAIL
                }
                Transform::Permutation(p) => front::permutation(p, &mut words),
                Transform::ElementwiseAffine(t) => linear::elementwise(t, numeric, &mut words)?,
                Transform::Linear(t) => linear::linear(t, numeric, &mut words)?,
                Transform::Coupling(c) => {
                    let observed = observed.get(nets.len()).map_or(&[][..], Vec::as_slice);
                    let (kind, layers) = coupling::encode(c, flow.contexts, numeric, observed, &mut words)?;
                    nets.push(layers);
                    kind
                }
                Transform::Marginal(t) => marginal::encode(t, numeric, &mut words)?,
                Transform::Logit(t) => logit::encode(t, numeric, &mut words)?,
                Transform::Split(t) => {
                    words.push(t.keep as u32);
                    kind::SPLIT
                }
            };
            let length = words.len() - head - 1;
            if length >= 1 << 24 {
                return Err(ExportError::Flow("a transform has more than 64 MiB of parameters".into()));
            }
            words[head] = u32::from(kind) | (length as u32) << 8;
        }
        let base = base::encode(&flow.base, numeric, &mut words)?;
        Ok(Encoded { words, chain, transforms: transforms.len(), base, trained_as, nets })
    }

    /// The layers of each coupling's net, in density order.
    pub(super) fn nets(&self) -> &[Vec<EncodedDense>] {
        &self.nets
    }
}

pub(super) fn is_fixed(numeric: Numeric) -> bool {
    matches!(numeric, Numeric::I16 | Numeric::I8)
}

/// A parameter of the chain in the arithmetic's numbers.
pub(super) fn value(x: f32, numeric: Numeric, what: &str) -> Result<u32, ExportError> {
    if !is_fixed(numeric) {
        return Ok(x.to_bits());
    }
    let scaled = (f64::from(x) * 65536.0).round();
    if scaled.abs() < f64::from(i32::MAX) {
        Ok(scaled as i32 as u32)
    } else {
        Err(ExportError::Flow(format!("a {what} of {x} does not fit Q15.16 (below 32768)")))
    }
}

/// A log-density as two words.
pub(super) fn log(x: f64, numeric: Numeric) -> [u32; 2] {
    if is_fixed(numeric) {
        let fixed = (x * 65536.0).round() as i64;
        [fixed as u32, (fixed >> 32) as u32]
    } else {
        [(x as f32).to_bits(), 0]
    }
}

/// What this version cannot write.
fn unsupported(what: &str) -> ExportError {
    ExportError::Flow(format!("{what} cannot be written yet"))
}
