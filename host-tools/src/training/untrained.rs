//! What a flow will be made of, before there is anything to train it on.

use super::engine::Engine;
use super::random::Random;
use super::structure::Structure;
use super::{MarginalFront, TrainConfig, TrainError};
use crate::flow::{Flow, Linear, Marginal, MarginalKind, MarginalMap, SoftTail, Standardize, Transform};

/// A flow of the shape that [`train`](super::train) gives for these settings, over so many features and trained on `rows`
/// rows, those held out not counted. Nothing is fitted, and its parameters mean nothing. Takes milliseconds.
///
/// # Errors
/// [`TrainError::Setting`]: settings out of range, and integers, whose front needs data.
///
/// ```
/// use flowlet_tools::training::{untrained, TrainConfig};
/// let flow = untrained(16, 1000, &TrainConfig::default())?;
/// assert_eq!(flow.couplings().count(), 6);
/// # Ok::<(), flowlet_tools::training::TrainError>(())
/// ```
pub fn untrained(features: usize, rows: usize, config: &TrainConfig) -> Result<Flow, TrainError> {
    config.check()?;
    if features < 2 {
        return Err(TrainError::TooFewFeatures(features));
    }
    if let Some(most) = config.integers {
        let remedy = "the shape of a flow for integers depends on the data: train it";
        return Err(TrainError::Setting { name: "integers", value: most.to_string(), remedy });
    }
    let inputs = features + config.contexts;
    let mut transforms = vec![
        Transform::Standardize(Standardize { mean: vec![0.0; inputs], std: vec![1.0; inputs] }),
        Transform::SoftTail(SoftTail { knee: config.knee }),
    ];
    let form = match config.marginal {
        MarginalFront::None => None,
        MarginalFront::Linear => Some(MarginalKind::Linear),
        MarginalFront::RationalQuadratic => Some(MarginalKind::RationalQuadratic),
    };
    if let Some(form) = form {
        let line: Vec<f32> = (0..config.knots).map(|k| k as f32 - 0.5 * config.knots as f32).collect();
        let slopes = if form == MarginalKind::Linear { 2 } else { config.knots };
        let map = MarginalMap { x: line.clone(), y: line, slopes: vec![1.0; slopes] };
        transforms.push(Transform::Marginal(Marginal { form, features: vec![map; features] }));
    }
    if config.whiten {
        // Not the identity, which may be dropped where flows are simplified.
        let triangle = |diagonal: f32, above: bool| -> Vec<f32> {
            let entry = |i: usize, j: usize| match j.cmp(&i) {
                std::cmp::Ordering::Equal => diagonal,
                std::cmp::Ordering::Greater if above => 0.1,
                std::cmp::Ordering::Less if !above => 0.1,
                _ => 0.0,
            };
            (0..features * features).map(|at| entry(at / features, at % features)).collect()
        };
        transforms.push(Transform::Linear(Linear {
            lower: triangle(1.0, false),
            upper: triangle(1.5, true),
            shift: vec![0.1; features],
        }));
    }
    let structure = Structure { features, rows, config };
    let mut random = Random::new(config.seed, 0);
    let chain = structure.chain(&mut random)?;
    let engine = Engine::new((features, config.contexts), chain, structure.base()?);
    let parameters = engine.initialize(&mut random);
    transforms.extend(engine.export(&parameters));
    for transform in &mut transforms {
        // Scales of one would be dropped where flows are simplified; those of a trained flow are not.
        if let Transform::ElementwiseAffine(t) = transform {
            t.log_scale.fill(0.1);
            t.shift.fill(0.1);
        }
    }
    let base = engine.export_base(&parameters);
    Ok(Flow { features, contexts: config.contexts, transforms, base })
}
