//! What is searched: experts, and one or two of them as an architecture.

use crate::training::{BaseKind, FlowKind, MarginalFront, TrainConfig};

/// Components of mixtures, besides the number that is derived from the rows.
const COMPONENTS: [usize; 4] = [4, 8, 16, 32];
/// Components of mixtures behind couplings, likewise.
const FEW: [usize; 1] = [8];
/// Components of mixtures that stand alone where next to nothing fits.
const FEWEST: [usize; 5] = [1, 2, 3, 6, 12];
/// Couplings and widths of their nets.
const LAYERS: [usize; 4] = [6, 4, 2, 1];
const WIDTHS: [usize; 4] = [64, 32, 16, 8];
/// Knots of marginal maps where the usual number is too many.
const FEW_KNOTS: usize = 5;

/// What was asked for and is not to be searched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fixed {
    /// Couplings of the flows that have some.
    pub layers: Option<usize>,
    /// Their conditioners' hidden layers.
    pub hidden: Option<Vec<usize>>,
    /// Whether base and marginal maps stay as they are in the unconstrained flow.
    pub parts: bool,
}

/// Experts, and which of them stand together.
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    /// Settings of each expert; no two alike.
    pub experts: Vec<TrainConfig>,
    /// Indices of one or two experts each; the first is the unconstrained default.
    pub architectures: Vec<Vec<usize>>,
}

impl Space {
    /// Around `reference`, the experts of the unconstrained default: one, whose kind of flow is kept, or two as of
    /// [`auto_experts`](crate::training::auto_experts), of which the second has no couplings. `rows` are trained on.
    ///
    /// # Panics
    /// If there is no reference.
    #[must_use]
    pub fn new(reference: &[TrainConfig], fixed: &Fixed, rows: usize) -> Self {
        let mut space = Space { experts: reference.to_vec(), architectures: Vec::new() };
        space.architectures.push((0..reference.len()).collect());
        let coupled = &reference[0];
        let grid = Grid { fixed, rows };
        let Some(whitened) = reference.get(1) else {
            let kinds = grid.coupled(coupled, &LAYERS, &WIDTHS, &FEW);
            for config in kinds.into_iter().chain(grid.few_knots(coupled)) {
                let expert = space.expert(config);
                space.add(vec![expert]);
            }
            return space;
        };
        let mut firsts = grid.coupled(coupled, &LAYERS, &WIDTHS, &FEW);
        firsts.extend(grid.few_knots(coupled));
        let kind = |flow| TrainConfig { flow, ..coupled.clone() };
        firsts.extend(grid.coupled(&kind(FlowKind::Nice), &[4, 2], &[32, 16], &FEW));
        firsts.extend(grid.coupled(&kind(FlowKind::Glow), &[2], &[16], &FEW));
        firsts.extend(grid.coupled(&kind(FlowKind::Nsf), &[2], &[8], &FEW));
        let mut alone = Vec::new();
        if fixed.layers.is_none() && fixed.hidden.is_none() && !fixed.parts {
            let maps = TrainConfig { layers: 0, hidden: whitened.hidden.clone(), ..coupled.clone() };
            firsts.extend(grid.mixtures(&maps, &COMPONENTS));
            firsts.extend(grid.mixtures(&TrainConfig { knots: FEW_KNOTS, ..maps.clone() }, &COMPONENTS));
            // The smallest: no maps, few components, or none. Additive couplings cost least on cores without an FPU.
            let plain = TrainConfig { marginal: MarginalFront::None, ..maps };
            alone.extend(grid.mixtures(&plain, &FEWEST));
            alone.extend(grid.mixtures(whitened, &FEWEST));
            for flow in [FlowKind::Realnvp, FlowKind::Nice] {
                let base = BaseKind::Normal;
                let normal = TrainConfig { flow, marginal: MarginalFront::None, base, ..coupled.clone() };
                alone.extend(grid.coupled(&normal, &[4, 2], &[32, 16, 8], &[]));
            }
        }
        let seconds: Vec<usize> =
            grid.mixtures(whitened, &COMPONENTS).into_iter().map(|config| space.expert(config)).collect();
        for config in firsts {
            let first = space.expert(config);
            seconds.iter().for_each(|&second| space.add(vec![first, second]));
            space.add(vec![first]);
        }
        if !fixed.parts {
            seconds.iter().for_each(|&second| space.add(vec![second]));
        }
        for config in alone {
            let expert = space.expert(config);
            space.add(vec![expert]);
        }
        space
    }

    /// The place of an expert, which is added if it is new.
    fn expert(&mut self, config: TrainConfig) -> usize {
        self.experts.iter().position(|known| *known == config).unwrap_or_else(|| {
            self.experts.push(config);
            self.experts.len() - 1
        })
    }

    fn add(&mut self, architecture: Vec<usize>) {
        if !self.architectures.contains(&architecture) {
            self.architectures.push(architecture);
        }
    }

    /// The settings of an architecture's experts.
    pub fn members<'s>(&'s self, architecture: &'s [usize]) -> impl Iterator<Item = &'s TrainConfig> + 's {
        architecture.iter().map(|&expert| &self.experts[expert])
    }

    /// What an architecture is, in words.
    #[must_use]
    pub fn name(&self, architecture: &[usize]) -> String {
        self.members(architecture).map(TrainConfig::summary).collect::<Vec<_>>().join(" & ")
    }
}

/// Variations of settings.
struct Grid<'a> {
    fixed: &'a Fixed,
    rows: usize,
}

impl Grid<'_> {
    /// Flows with couplings of all these numbers and widths, onto mixtures of the derived number of components or of some
    /// of `components`.
    fn coupled(
        &self,
        template: &TrainConfig,
        layers: &[usize],
        widths: &[usize],
        components: &[usize],
    ) -> Vec<TrainConfig> {
        let layers = self.fixed.layers.map_or_else(|| layers.to_vec(), |fixed| vec![fixed]);
        let hidden: Vec<Vec<usize>> = match &self.fixed.hidden {
            Some(fixed) => vec![fixed.clone()],
            // As many layers as the template has: a residual net has a block for each.
            None => widths.iter().map(|&width| vec![width; template.hidden.len().max(1)]).collect(),
        };
        let shapes = layers.iter().flat_map(|&layers| hidden.iter().map(move |hidden| (layers, hidden)));
        shapes
            .flat_map(|(layers, hidden)| {
                self.mixtures(&TrainConfig { layers, hidden: hidden.clone(), ..template.clone() }, components)
            })
            .collect()
    }

    /// Small flows whose marginal maps have few knots.
    fn few_knots(&self, template: &TrainConfig) -> Vec<TrainConfig> {
        if template.marginal == MarginalFront::None || self.fixed.parts {
            return Vec::new();
        }
        let template = TrainConfig { knots: FEW_KNOTS, ..template.clone() };
        let all = self.coupled(&template, &[4, 2, 1], &[32, 16, 8], &FEW);
        all.into_iter().filter(|config| config.base != BaseKind::Mixture || config.components > 0).collect()
    }

    /// The template with the derived number of components and those of `components` that are fewer.
    fn mixtures(&self, template: &TrainConfig, components: &[usize]) -> Vec<TrainConfig> {
        if template.base != BaseKind::Mixture || self.fixed.parts || template.components > 0 {
            return vec![template.clone()];
        }
        let derived = template.derived_components(self.rows);
        let fewer = components.iter().copied().filter(|&some| some < derived);
        std::iter::once(0)
            .chain(fewer)
            .map(|components| TrainConfig { components, ..template.clone() })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::auto_experts;

    fn auto() -> Vec<TrainConfig> {
        auto_experts(&TrainConfig::default()).into_iter().flatten().collect()
    }

    #[test]
    fn the_default_comes_first_and_nothing_twice() {
        for rows in [30, 400, 20_000] {
            let space = Space::new(&auto(), &Fixed::default(), rows);
            assert_eq!(space.architectures[0], [0, 1]);
            assert_eq!(space.experts[..2], auto()[..]);
            for (index, expert) in space.experts.iter().enumerate() {
                expert.check().expect("settings in range");
                assert!(!space.experts[..index].contains(expert), "{expert:?}");
                assert!(space.architectures.iter().any(|a| a.contains(&index)), "{expert:?} is never used");
            }
            println!(
                "{rows} rows: {} experts, {} architectures",
                space.experts.len(),
                space.architectures.len()
            );
        }
    }

    #[test]
    fn what_is_fixed_stays() {
        let fixed = Fixed { layers: Some(3), hidden: Some(vec![12]), parts: false };
        let space = Space::new(&auto(), &fixed, 1000);
        let coupled = || space.experts[2..].iter().filter(|e| e.layers > 0);
        assert!(coupled().count() > 3 && coupled().all(|e| e.layers == 3 && e.hidden == [12]));
        let one = TrainConfig { flow: FlowKind::Nsf, base: BaseKind::Student, ..TrainConfig::default() };
        let space = Space::new(&[one], &Fixed { parts: true, ..Fixed::default() }, 1000);
        assert!(space.experts.len() > 10);
        assert!(space.experts.iter().all(|e| e.flow == FlowKind::Nsf && e.base == BaseKind::Student));
        assert!(space.architectures.iter().all(|a| a.len() == 1));
    }
}
