//! What a candidate costs, before it is trained.
//!
//! Bytes and instructions follow from the shape of the flows: they are those of an image of untrained flows of that
//! shape, made by the same exporter and read back by the same code as `flowlet inspect` uses.

use super::space::Space;
use super::Budget;
use crate::chips::{self, cost_core, Footprint};
use crate::cost;
use crate::export::{self, Combine, Core, Ensemble, ExportError, ImageFile, Metadata, Numeric};
use crate::flow::Flow;
use crate::training::{untrained, TrainConfig, TrainError};
use rayon::prelude::*;
use serde::Serialize;

/// What an image costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Bytes of the image in flash.
    pub image_bytes: usize,
    /// Bytes of the workspace in RAM.
    pub workspace_bytes: usize,
    /// Predicted instructions of a score: of all experts.
    pub instructions: u64,
    /// The smallest ready-made [`flowlet::Support`] that opens the image.
    pub support: &'static str,
    /// Bytes of code of a runtime with it.
    pub code_bytes: usize,
    /// Bytes of stack that the same takes at most.
    pub stack_bytes: usize,
}

impl Cost {
    /// Of an image on a core, as `flowlet inspect` says it.
    ///
    /// # Errors
    /// What the device's loader finds wrong.
    pub fn of(image: &ImageFile, core: Core) -> Result<Self, flowlet::Error> {
        let model = image.model()?;
        let (ensemble, _) = export::import_ensemble(&model);
        let running = match ensemble.combine {
            Combine::Quoted => std::slice::from_ref(ensemble.quoted_flow()),
            Combine::Minimum | Combine::Mean => &ensemble.experts,
        };
        let predicted = cost::instructions(running, model.numeric());
        let support = flowlet::support::smallest(model.needs());
        let Footprint { code_bytes, stack_bytes } = chips::footprint(core, support).unwrap_or_default();
        Ok(Cost {
            support,
            code_bytes,
            stack_bytes,
            image_bytes: image.bytes().len(),
            workspace_bytes: model.workspace_bytes(),
            instructions: predicted.get(cost_core(core)).and_then(serde_json::Value::as_u64).unwrap_or(0),
        })
    }

    /// Whether it is at most the other in all that does not hang on the runtime.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.image_bytes <= other.image_bytes
            && self.workspace_bytes <= other.workspace_bytes
            && self.instructions <= other.instructions
    }
}

/// An architecture in some numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Priced {
    /// Its place in the space.
    pub(super) architecture: usize,
    pub(super) numeric: Numeric,
    pub(super) cost: Cost,
}

/// Data that images depend on.
pub(super) struct Shape<'a> {
    pub(super) features: usize,
    /// Rows trained on, and rows calibrated on.
    pub(super) rows: (usize, usize),
    /// What an image of experts with these settings says of itself.
    pub(super) metadata: &'a (dyn Fn(&[&TrainConfig]) -> Metadata + Sync),
}

/// How experts stand in one image: the least of their densities counts.
pub(super) fn ensemble(flows: Vec<Flow>) -> Ensemble<'static> {
    let combine = if flows.len() > 1 { Combine::Minimum } else { Combine::Quoted };
    Ensemble { combine, ..Ensemble::new(flows) }
}

/// All architectures in all `numerics`, in order; those that cannot be written are left out.
pub(super) fn price(
    space: &Space,
    shape: &Shape<'_>,
    numerics: &[Numeric],
    budget: &Budget,
) -> Result<Vec<Priced>, PriceError> {
    let flows: Vec<Flow> = space
        .experts
        .par_iter()
        .map(|config| untrained(shape.features, shape.rows.0, config))
        .collect::<Result<_, _>>()?;
    let each = space.architectures.par_iter().enumerate().flat_map_iter(|(architecture, experts)| {
        let ensemble = ensemble(experts.iter().map(|&e| flows[e].clone()).collect());
        let members: Vec<&TrainConfig> = space.members(experts).collect();
        let metadata = (shape.metadata)(&members);
        let price = move |&numeric: &Numeric| {
            let image = export::dummy(&ensemble, numeric, &metadata, shape.rows.1).ok()?;
            let cost = Cost::of(&image, budget.core).ok()?;
            Some(Priced { architecture, numeric, cost })
        };
        numerics.iter().filter_map(price).collect::<Vec<_>>()
    });
    let all: Vec<Priced> = each.collect();
    if all.is_empty() {
        // Why not: of the first.
        let ensemble = ensemble(vec![flows[0].clone()]);
        let metadata = (shape.metadata)(&[&space.experts[0]]);
        export::dummy(&ensemble, numerics[0], &metadata, shape.rows.1)?;
    }
    Ok(all)
}

/// Why nothing could be priced.
#[derive(Debug, thiserror::Error)]
pub(super) enum PriceError {
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error(transparent)]
    Export(#[from] ExportError),
}

impl From<PriceError> for super::SearchError {
    fn from(error: PriceError) -> Self {
        match error {
            PriceError::Train(error) => error.into(),
            PriceError::Export(error) => error.into(),
        }
    }
}

/// Of each architecture the numbers that no other numbers beat in everything; of equals the first.
pub(super) fn undominated(priced: &[Priced]) -> Vec<Priced> {
    let beaten = |index: usize| {
        let own = &priced[index];
        priced.iter().enumerate().any(|(other, p)| {
            let comes_first = p.cost != own.cost || other < index;
            other != index && p.architecture == own.architecture && p.cost.covers(&own.cost) && comes_first
        })
    };
    (0..priced.len()).filter(|&index| !beaten(index)).map(|index| priced[index]).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Fixed;
    use super::*;
    use crate::export::{build_observing, certify, Calibration, Effort};
    use crate::training::{auto_experts, train, Matrix, Random};

    fn named(inputs: usize, contexts: usize, experts: &[&TrainConfig]) -> Metadata {
        let names = |n: usize| (0..n).map(|i| (format!("column {i}"), String::new())).collect();
        let provenance = experts.iter().map(|c| c.summary()).collect::<Vec<_>>().join("; ");
        Metadata {
            provenance,
            features: names(inputs - contexts),
            contexts: names(contexts),
            ..Metadata::default()
        }
    }

    /// The filter is exact: no candidate is dropped that would have fitted, and none is trained that does not.
    #[test]
    fn prices_are_the_costs_of_trained_images() {
        for (columns, contexts) in [(2, 0), (5, 1)] {
            let mut random = Random::new(4, 4);
            let mut normal = move || (0..12).map(|_| random.uniform()).sum::<f32>() - 6.0;
            let values = (0..240 * columns).map(|_| normal()).collect();
            let data = Matrix::new(240, columns, values).expect("a matrix");
            let settings = TrainConfig { contexts, threads: 1, ..TrainConfig::default() };
            let reference: Vec<TrainConfig> = auto_experts(&settings).concat();
            let mut space = Space::new(&reference, &Fixed::default(), 216);
            // Every expert in some architecture; all of them would take a minute.
            space.architectures = space.architectures.into_iter().step_by(5).collect();
            let metadata = |experts: &[&TrainConfig]| named(columns, contexts, experts);
            let shape = Shape { features: columns - contexts, rows: (216, 24), metadata: &metadata };
            let numerics = [Numeric::I8, Numeric::I16, Numeric::F32];
            let budget = Budget {
                core: Core::CortexM0Plus,
                has_fpu: false,
                flash: None,
                ram: None,
                instructions: None,
            };
            let priced = price(&space, &shape, &numerics, &budget).expect("prices");
            assert_eq!(priced.len(), 3 * space.architectures.len());
            let used: Vec<bool> = (0..space.experts.len())
                .map(|e| space.architectures.iter().any(|a| a.contains(&e)))
                .collect();
            let trained: Vec<Option<_>> = space
                .experts
                .par_iter()
                .zip(used)
                .map(|(config, is_used)| {
                    let config = TrainConfig { epochs: Some(1), ..config.clone() };
                    is_used.then(|| train(&data, &config, &mut ()).expect("trained"))
                })
                .collect();
            priced.par_iter().for_each(|p| {
                let members: Vec<_> =
                    space.architectures[p.architecture].iter().filter_map(|&e| trained[e].as_ref()).collect();
                let flows = ensemble(members.iter().map(|t| t.flow.clone()).collect());
                let held: Vec<f32> =
                    members[0].holdout_rows.iter().flat_map(|&row| data.row(row)).copied().collect();
                let configs: Vec<&TrainConfig> =
                    space.members(&space.architectures[p.architecture]).collect();
                let calibration = Calibration { readings: &held, false_alarm_rate: 0.01 };
                let image =
                    build_observing(&flows, p.numeric, &metadata(&configs), calibration, &data.values)
                        .expect("an image");
                let effort = Effort { parts: 1, rows: 3, radius: 0.01 };
                let certificate =
                    certify(&flows, p.numeric, &held, &data.values, effort).expect("a certificate");
                let image = certificate.map_or(image.clone(), |c| image.certified(&c));
                let cost = Cost::of(&image, budget.core).expect("a cost");
                assert_eq!(
                    cost,
                    p.cost,
                    "{} in {:?}",
                    space.name(&space.architectures[p.architecture]),
                    p.numeric
                );
            });
        }
    }

    #[test]
    fn numbers_that_are_beaten_in_everything_are_dropped() {
        let cost = |image_bytes, instructions| Cost {
            image_bytes,
            workspace_bytes: 8,
            instructions,
            ..Cost::default()
        };
        let priced = |architecture, numeric, cost| Priced { architecture, numeric, cost };
        let all = [
            priced(0, Numeric::I8, cost(10, 10)),
            priced(0, Numeric::I16, cost(12, 9)),
            priced(0, Numeric::F32, cost(12, 9)),
            priced(1, Numeric::F32, cost(20, 20)),
        ];
        assert_eq!(undominated(&all), [all[0], all[1], all[3]]);
    }
}
