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
use crate::flow::{Conditioner, Flow, Standardize, Transform};
use flowlet::image::descriptor::ExpertRecord;
use flowlet::transform::kind;

pub(super) use base::{student_inverse_scale, student_log_normalizer, StoredMixture};
pub(super) use linear::{fixed_gain, row_shift};
pub(super) use marginal::shifts as marginal_shifts;
pub(super) use net::{groups, stored_order, windowed};

/// Experts as words: standardizer first, then the chain and the base of each.
pub(super) struct Encoded {
    pub(super) words: Vec<u32>,
    pub(super) experts: Vec<ExpertRecord>,
    /// The chains before they were brought into canonical form, in words.
    pub(super) trained_as: String,
    /// The layers of each coupling's net, expert by expert.
    nets: Vec<Vec<Vec<EncodedDense>>>,
    /// Where the words of these layers begin, of nets that are perceptrons: those of others have words in between.
    places: Vec<Vec<Option<usize>>>,
}

impl Encoded {
    /// Encodes `flows`, which share their standardizer, for `numeric`; activation ranges come from `readings`.
    pub(super) fn new(flows: &[Flow], numeric: Numeric, readings: &[f32]) -> Result<Self, ExportError> {
        let trained_as = flows.iter().map(Flow::summary).collect::<Vec<_>>().join(" | ");
        let mut encoded = Encoded {
            words: Vec::new(),
            experts: Vec::new(),
            trained_as,
            nets: Vec::new(),
            places: Vec::new(),
        };
        let flows = &canonical(flows);
        let Some(first) = flows.first() else { return Err(ExportError::Flow("no experts".into())) };
        let unit = Standardize { mean: vec![0.0; first.inputs()], std: vec![1.0; first.inputs()] };
        let shared = split_standardizer(first).0.unwrap_or(&unit);
        front::standardize(shared, first.features, numeric, &mut encoded.words)?;
        for (index, flow) in flows.iter().enumerate() {
            let own = split_standardizer(flow).0.unwrap_or(&unit);
            if (flow.features, flow.contexts) != (first.features, first.contexts) || own != shared {
                return Err(ExportError::Flow(format!(
                    "expert {index} has other inputs or another standardizer than expert 0: experts share both"
                )));
            }
            encoded.append(flow, numeric, readings)?;
        }
        Ok(encoded)
    }

    /// Appends the chain and the base of a flow in canonical form.
    fn append(&mut self, flow: &Flow, numeric: Numeric, readings: &[f32]) -> Result<(), ExportError> {
        let (_, transforms) = split_standardizer(flow);
        let observed = if is_fixed(numeric) { observe(flow, readings) } else { Vec::new() };
        let words = &mut self.words;
        let chain = words.len();
        let mut nets: Vec<Vec<EncodedDense>> = Vec::new();
        let mut places = Vec::new();
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
                Transform::Permutation(p) => front::permutation(p, words),
                Transform::ElementwiseAffine(t) => linear::elementwise(t, numeric, words)?,
                Transform::Linear(t) => linear::linear(t, numeric, words)?,
                Transform::Coupling(c) => {
                    let observed = observed.get(nets.len()).map_or(&[][..], Vec::as_slice);
                    let (kind, layers) = coupling::encode(c, flow.contexts, numeric, observed, words)?;
                    // The layers are the last of the block.
                    let is_perceptron = matches!(c.conditioner, Conditioner::Mlp(_));
                    let length = layers.iter().map(EncodedDense::words).sum::<usize>();
                    places.push(is_perceptron.then(|| words.len() - length));
                    nets.push(layers);
                    kind
                }
                Transform::Marginal(t) => marginal::encode(t, numeric, words)?,
                Transform::Logit(t) => logit::encode(t, numeric, words)?,
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
        let base = base::encode(&flow.base, numeric, words)?;
        let record = ExpertRecord { chain: chain as u32, transforms: transforms.len() as u16, base };
        self.experts.push(record);
        self.nets.push(nets);
        self.places.push(places);
        Ok(())
    }

    /// Takes other integers for the perceptrons of an expert, of the same shapes: `change` is called with each net's number
    /// and its layers.
    pub(super) fn rewrite(&mut self, expert: usize, mut change: impl FnMut(usize, &mut [EncodedDense])) {
        for (index, (net, &place)) in self.nets[expert].iter_mut().zip(&self.places[expert]).enumerate() {
            let Some(place) = place else { continue };
            change(index, net);
            let mut fresh = Vec::new();
            net.iter().for_each(|layer| layer.write(&mut fresh));
            self.words[place..][..fresh.len()].copy_from_slice(&fresh);
        }
    }

    /// The same as [`Self::nets`], empty for nets that are no perceptrons.
    pub(super) fn perceptrons(&self, expert: usize) -> impl Iterator<Item = &[EncodedDense]> {
        let nets = self.nets[expert].iter().zip(&self.places[expert]);
        nets.map(|(net, place)| if place.is_some() { net.as_slice() } else { &[] })
    }

    /// The layers of each coupling's net, in density order, of an expert.
    pub(super) fn nets(&self, expert: usize) -> &[Vec<EncodedDense>] {
        &self.nets[expert]
    }
}

/// The standardizer that a flow starts with, and the transforms behind it.
fn split_standardizer(flow: &Flow) -> (Option<&Standardize>, &[Transform]) {
    match flow.transforms.split_first() {
        Some((Transform::Standardize(s), rest)) => (Some(s), rest),
        _ => (None, &flow.transforms),
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
