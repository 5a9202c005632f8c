//! Which transforms a flow is made of before it is trained.

use super::config::{BaseKind, ConditionerKind, FlowKind, MaskKind};
use super::engine::{
    TileAffine, TileBase, TileConditioner, TileCoupling, TileLogit, TileMap, TileMarginal, TileMlp,
    TilePermutation, TileSoftTail, TileSplit, TileStandardNormal, TileTransform,
};
use super::multiscale::{self, Piece};
use super::preprocess::Bounded;
use super::random::Random;
use super::{TrainConfig, TrainError};
use crate::flow::{ImageShape, Mask};

/// Features and context inputs of a flow, and the settings.
pub(super) struct Structure<'a> {
    pub(super) features: usize,
    pub(super) config: &'a TrainConfig,
}

impl Structure<'_> {
    /// The trainable chain: couplings, what stands between them, and at the end a soft tail, behind which a
    /// wild reading's |z|^2 stays small enough for f32 and fixed point to resolve.
    pub(super) fn chain(&self, random: &mut Random) -> Result<Vec<Box<dyn TileTransform>>, TrainError> {
        if let Some(shape) = self.config.image {
            return self.multiscale(shape);
        }
        let mut chain = match self.config.flow {
            FlowKind::Realnvp => self.realnvp(random)?,
            FlowKind::Nice | FlowKind::Nsf | FlowKind::Glow => {
                return Err(self.unsupported("flow", self.config.flow.name()));
            }
        };
        chain.push(Box::new(TileSoftTail::new(self.features, self.stride(), self.config.outer_knee)));
        Ok(chain)
    }

    /// What stands between the noise that makes integers continuous and the trained chain: logit, map of each
    /// feature, soft tail.
    pub(super) fn bounded(&self, bounded: Option<&Bounded>) -> Vec<Box<dyn TileTransform>> {
        let Some(Bounded { logit, marginal, .. }) = bounded else { return Vec::new() };
        let (features, stride) = (self.features, self.stride());
        vec![
            Box::new(TileLogit::new(features, stride, logit.margin)),
            Box::new(TileMarginal::new(stride, marginal.clone())),
            Box::new(TileSoftTail::new(features, stride, self.config.knee)),
        ]
    }

    /// The form for images; see [`multiscale`].
    fn multiscale(&self, shape: ImageShape) -> Result<Vec<Box<dyn TileTransform>>, TrainError> {
        let config = self.config;
        if config.flow != FlowKind::Realnvp {
            let remedy = "images have --flow realnvp only";
            return Err(TrainError::Setting { name: "flow", value: config.flow.name().into(), remedy });
        }
        if shape.features() != self.features {
            let remedy = "its pixels times channels must be the number of features";
            return Err(TrainError::Setting { name: "image", value: shape.to_string(), remedy });
        }
        let pieces = multiscale::chain(shape, config.levels).map_err(|remedy| {
            let value = format!("{} of {shape}", config.levels);
            TrainError::Setting { name: "levels", value, remedy }
        })?;
        let mut chain: Vec<Box<dyn TileTransform>> = Vec::new();
        for piece in pieces {
            chain.push(match piece {
                Piece::Order(order) => Box::new(TilePermutation::new(order, self.stride())),
                Piece::Coupling { active, given } => {
                    let map = Box::new(TileAffine { clamp: config.clamp });
                    Box::new(self.coupling(Mask::split(active, given, true), map)?)
                }
                Piece::Tail { active } => {
                    Box::new(TileSoftTail::new(active, self.stride(), config.outer_knee))
                }
                Piece::Split { keep } => Box::new(TileSplit { keep }),
            });
        }
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
        let config = self.config;
        let mut chain: Vec<Box<dyn TileTransform>> = Vec::new();
        for layer in 0..config.layers {
            // Two features have no further way to be split.
            if config.permute && self.features > 2 && layer > 0 && layer % 2 == 0 {
                let mut order: Vec<usize> = (0..self.features).collect();
                random.shuffle(&mut order);
                chain.push(Box::new(TilePermutation::new(order, self.stride())));
            }
            let map = Box::new(TileAffine { clamp: config.clamp });
            chain.push(Box::new(self.coupling(self.mask(layer), map)?));
        }
        Ok(chain)
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
