//! Which transforms a flow is made of before it is trained.

use super::config::{BaseKind, ConditionerKind, FlowKind, MaskKind};
use super::engine::{
    TileActNorm, TileAdditive, TileAffine, TileBase, TileConditioner, TileCoupling, TileLinear, TileMap,
    TileMlp, TilePermutation, TileSoftTail, TileStandardNormal, TileTransform,
};
use super::random::Random;
use super::{TrainConfig, TrainError};
use crate::flow::{Mask, ScaleMap};

/// Features and context inputs of a flow, and the settings.
pub(super) struct Structure<'a> {
    pub(super) features: usize,
    pub(super) config: &'a TrainConfig,
}

impl Structure<'_> {
    /// The trainable chain: couplings, what stands between them, and at the end a soft tail, behind which a
    /// wild reading's |z|^2 stays small enough for f32 and fixed point to resolve.
    pub(super) fn chain(&self, random: &mut Random) -> Result<Vec<Box<dyn TileTransform>>, TrainError> {
        let mut chain = match self.config.flow {
            FlowKind::Realnvp => self.realnvp(random)?,
            FlowKind::Nice => self.nice(random)?,
            FlowKind::Glow => self.glow(random)?,
            FlowKind::Nsf => {
                return Err(self.unsupported("flow", self.config.flow.name()));
            }
        };
        chain.push(Box::new(TileSoftTail::new(self.features, self.stride(), self.config.outer_knee)));
        Ok(chain)
    }

    /// What the chain maps to.
    pub(super) fn base(&self) -> Result<Box<dyn TileBase>, TrainError> {
        match self.config.base {
            BaseKind::Normal => Ok(Box::new(TileStandardNormal(self.features))),
            BaseKind::Student | BaseKind::Mixture => Err(self.unsupported("base", self.config.base.name())),
        }
    }

    /// Lines of a panel.
    fn stride(&self) -> usize {
        self.features + self.config.contexts
    }

    /// Couplings in turn on both halves, with a random order of the features before each further pair.
    fn realnvp(&self, random: &mut Random) -> Result<Vec<Box<dyn TileTransform>>, TrainError> {
        self.couplings(random, || Box::new(self.affine()))
    }

    /// Additive couplings, then a scale and a shift per feature: all the volume that it changes.
    fn nice(&self, random: &mut Random) -> Result<Vec<Box<dyn TileTransform>>, TrainError> {
        let mut chain = self.couplings(random, || Box::new(TileAdditive))?;
        chain.push(Box::new(self.actnorm()));
        Ok(chain)
    }

    /// Per step ActNorm, a matrix behind a fixed random order, an affine coupling.
    fn glow(&self, random: &mut Random) -> Result<Vec<Box<dyn TileTransform>>, TrainError> {
        let mut chain: Vec<Box<dyn TileTransform>> = Vec::new();
        for layer in 0..self.config.layers {
            chain.push(Box::new(self.actnorm()));
            if self.config.permute {
                chain.push(Box::new(self.permutation(random)));
            }
            chain.push(Box::new(TileLinear::new(self.features, self.stride())));
            chain.push(Box::new(self.coupling(self.mask(layer), Box::new(self.affine()))?));
        }
        Ok(chain)
    }

    /// Couplings with the maps that `map` makes.
    fn couplings(
        &self,
        random: &mut Random,
        map: impl Fn() -> Box<dyn TileMap>,
    ) -> Result<Vec<Box<dyn TileTransform>>, TrainError> {
        let config = self.config;
        let mut chain: Vec<Box<dyn TileTransform>> = Vec::new();
        for layer in 0..config.layers {
            // Two features have no further way to be split.
            if config.permute && self.features > 2 && layer > 0 && layer % 2 == 0 {
                chain.push(Box::new(self.permutation(random)));
            }
            chain.push(Box::new(self.coupling(self.mask(layer), map())?));
        }
        Ok(chain)
    }

    fn permutation(&self, random: &mut Random) -> TilePermutation {
        let mut order: Vec<usize> = (0..self.features).collect();
        random.shuffle(&mut order);
        TilePermutation::new(order, self.stride())
    }

    fn affine(&self) -> TileAffine {
        TileAffine { scale: ScaleMap::Tanh { clamp: self.config.clamp } }
    }

    fn actnorm(&self) -> TileActNorm {
        TileActNorm::new(self.features, self.features, self.stride())
    }

    /// The mask of coupling `layer`.
    fn mask(&self, layer: usize) -> Mask {
        match self.config.mask {
            MaskKind::Half => Mask::half(self.features, layer.is_multiple_of(2)),
            MaskKind::Alternating => Mask::alternating(self.features, layer.is_multiple_of(2)),
        }
    }

    /// A coupling with this mask over all features.
    fn coupling(&self, mask: Mask, map: Box<dyn TileMap>) -> Result<TileCoupling, TrainError> {
        let (given, moved) = (mask.given().len() + self.config.contexts, mask.moved().len());
        let net = self.net(given, map.outputs(moved))?;
        let inputs = (self.features, self.config.contexts);
        Ok(TileCoupling::new(inputs, mask, self.config.input_limit, map, net))
    }

    fn net(&self, inputs: usize, outputs: usize) -> Result<Box<dyn TileConditioner>, TrainError> {
        let config = self.config;
        if config.activation != crate::flow::Activation::Relu {
            return Err(self.unsupported("activation", &format!("{:?}", config.activation)));
        }
        match config.conditioner {
            ConditionerKind::Mlp => Ok(Box::new(TileMlp::new(inputs, &config.hidden, outputs))),
            ConditionerKind::Residual | ConditionerKind::Conv1d => {
                Err(self.unsupported("conditioner", config.conditioner.name()))
            }
        }
    }

    fn unsupported(&self, name: &'static str, value: &str) -> TrainError {
        TrainError::Setting { name, value: value.to_owned(), remedy: "it does not exist yet" }
    }
}
