//! From an image back to the flow's parameters.
//!
//! An f32 image gives back what was exported, up to the rounding of one division. A fixed-point image
//! gives the real net that its integers stand for: the integer activations are taken as the real ones,
//! so that no scale is lost.

mod base;
mod coupling;
mod linear;
mod marginal;
mod net;

use super::encode::is_fixed;
use super::{dense, Ensemble, Metadata};
use crate::flow::{Flow, Logit, Permutation, SoftTail, Split, Standardize, Transform};
use flowlet::arithmetic::{Arithmetic, Fixed, Float};
use flowlet::image::descriptor::{Feature, Numeric};
use flowlet::image::Expert;
use flowlet::transform::Step;
use flowlet::Model;

/// Reads the quoted expert of a checked image, the one that `log_prob` speaks of.
#[must_use]
pub fn import(model: &Model<'_>) -> (Flow, Metadata) {
    let (mut ensemble, metadata) = import_ensemble(model);
    (ensemble.experts.to_mut().swap_remove(ensemble.quoted), metadata)
}

/// Reads all experts of a checked image, and how they judge together.
#[must_use]
pub fn import_ensemble(model: &Model<'_>) -> (Ensemble<'static>, Metadata) {
    let head = model.head();
    let metadata = Metadata {
        name: head.name.to_owned(),
        provenance: head.provenance.to_owned(),
        features: names(model.feature_names()),
        contexts: names(model.context_names()),
        trained_as: model.trained_as().to_owned(),
        front_end: head.front_end.to_vec(),
    };
    let experts = model
        .experts()
        .map(|expert| match model.numeric() {
            Numeric::F32 | Numeric::F32FastMath => flow::<Float>(model, &expert, f64::from),
            Numeric::I16 | Numeric::I8 => flow::<Fixed>(model, &expert, |q| f64::from(q) / 65536.0),
        })
        .collect();
    let ensemble = Ensemble {
        combine: head.combine,
        quoted: usize::from(head.quoted),
        statistic: head.statistic,
        ..Ensemble::new(experts)
    };
    (ensemble, metadata)
}

fn names<'a>(inputs: impl Iterator<Item = Feature<'a>>) -> Vec<(String, String)> {
    inputs.map(|f| (f.name.to_owned(), f.unit.to_owned())).collect()
}

/// A checked image has all that is asked for here.
const CHECKED: &str = "the image was checked";

fn flow<A: Arithmetic>(model: &Model<'_>, expert: &Expert<'_>, real: fn(A::Value) -> f64) -> Flow {
    let number = |v: A::Value| real(v) as f32;
    let mut transforms = vec![Transform::Standardize(standardize::<A>(model))];
    let mut active = model.features();
    for step in expert.chain.steps() {
        let transform = match &step {
            Step::SoftTail(t) => {
                Transform::SoftTail(SoftTail { knee: number(t.knee::<A>().expect(CHECKED)) })
            }
            Step::Permutation(p) => Transform::Permutation(Permutation {
                order: p.order().iter().take(active).map(|&i| usize::from(i)).collect(),
            }),
            Step::Coupling(c) => Transform::Coupling(coupling::decode::<A>(c, active, number)),
            Step::ElementwiseAffine(t) => Transform::ElementwiseAffine(linear::elementwise::<A>(t, number)),
            Step::Linear(t) => Transform::Linear(linear::linear::<A>(t, active, number)),
            Step::Marginal(t) => Transform::Marginal(marginal::decode(t, active, is_fixed(model.numeric()))),
            Step::Logit(t) => Transform::Logit(Logit { margin: number(t.margin::<A>().expect(CHECKED)) }),
            Step::Split(t) => Transform::Split(Split { keep: t.keep() }),
            other => unreachable!("no import of {}", other.name()),
        };
        active = step.keeps(active);
        transforms.push(transform);
    }
    let base = base::decode::<A>(&expert.base, model.features());
    Flow { features: model.features(), contexts: model.contexts(), transforms, base }
}

fn standardize<A: Arithmetic>(model: &Model<'_>) -> Standardize {
    let standardizer = model.standardizer::<A>().expect("the image was checked");
    let (mean, std) = standardizer
        .parameters::<A>()
        .map(|words| match *words {
            [mean, _, std] => (f32::from_bits(mean), f32::from_bits(std)),
            [low, high, _, scale, exponent] => {
                let center = i64::from(low) | i64::from(high as i32) << 32;
                let unit = f64::from(exponent as i32).exp2();
                ((center as f64 / unit) as f32, (f64::from(scale) / unit) as f32)
            }
            _ => unreachable!("a standardizer has 3 or 5 words per feature"),
        })
        .unzip();
    Standardize { mean, std }
}
