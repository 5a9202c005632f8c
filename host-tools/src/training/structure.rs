//! Which transforms a flow is made of before it is trained.

use super::config::{BaseKind, ConditionerKind, FlowKind, MaskKind};
use super::engine::{
    ConvShape, TileActNorm, TileAdditive, TileAffine, TileBase, TileConditioner, TileConv1d, TileCoupling,
    TileLinear, TileLogit, TileMap, TileMarginal, TileMixture, TileMlp, TilePermutation, TileResidual,
    TileSoftTail, TileSpline, TileSplit, TileStandardNormal, TileStudentT, TileTransform,
};
use super::multiscale::{self, Piece};
use super::preprocess::Bounded;
use super::random::Random;
use super::{TrainConfig, TrainError};
use crate::flow::{CouplingMap, ImageShape, Mask, ScaleMap, Spline, SplineParameters};

/// Features and context inputs of a flow, and the settings.
pub(super) struct Structure<'a> {
    pub(super) features: usize,
    /// Rows to train on.
    pub(super) rows: usize,
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
            FlowKind::Realnvp => self.couplings(random, &|| Box::new(self.affine()))?,
            FlowKind::Nice => self.nice(random)?,
            FlowKind::Nsf => self.couplings(random, &|| Box::new(TileSpline::new(self.spline())))?,
            FlowKind::Glow => self.glow(random)?,
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
        let setting = |name, value: &str, remedy| TrainError::Setting { name, value: value.into(), remedy };
        let map = || -> Result<Box<dyn TileMap>, TrainError> {
            match config.flow {
                FlowKind::Realnvp => Ok(Box::new(self.affine())),
                FlowKind::Nsf => Ok(Box::new(TileSpline::new(self.spline()))),
                other => Err(setting("flow", other.name(), "images have --flow realnvp or nsf")),
            }
        };
        if config.conditioner == ConditionerKind::Conv1d {
            return Err(setting("conditioner", "conv1d", "images have --conditioner mlp or residual"));
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
                    Box::new(self.coupling(Mask::split(active, given, true), map()?)?)
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
            BaseKind::Student => Ok(Box::new(TileStudentT::new(self.features))),
            BaseKind::Mixture => Ok(Box::new(TileMixture::new(self.features, self.components()))),
        }
    }

    /// Components of a mixture base: as many as asked for, or else derived.
    fn components(&self) -> usize {
        match self.config.components {
            0 => self.config.derived_components(self.rows),
            asked => asked.min(self.rows),
        }
    }

    /// Lines of a panel.
    fn stride(&self) -> usize {
        self.features + self.config.contexts
    }

    /// Couplings in turn on both halves, with a random order of the features before each further pair.
    fn couplings(
        &self,
        random: &mut Random,
        map: &dyn Fn() -> Box<dyn TileMap>,
    ) -> Result<Vec<Box<dyn TileTransform>>, TrainError> {
        let config = self.config;
        let mut chain: Vec<Box<dyn TileTransform>> = Vec::new();
        for layer in 0..config.layers {
            // Two features have no further way to be split.
            if self.permutes() && self.features > 2 && layer > 0 && layer % 2 == 0 {
                chain.push(Box::new(self.permutation(random)));
            }
            chain.push(Box::new(self.coupling(self.mask(layer)?, map())?));
        }
        Ok(chain)
    }

    /// Additive couplings, then a scale and a shift per feature: all the volume that it changes.
    fn nice(&self, random: &mut Random) -> Result<Vec<Box<dyn TileTransform>>, TrainError> {
        let mut chain = self.couplings(random, &|| Box::new(TileAdditive))?;
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
            chain.push(Box::new(self.coupling(self.mask(layer)?, Box::new(self.affine()))?));
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

    fn spline(&self) -> Spline {
        Spline {
            bins: self.config.bins,
            bound: self.config.bound,
            min_bin: 1e-3,
            min_derivative: 1e-3,
            parameters: SplineParameters::Softplus,
        }
    }

    /// Whether orders may stand between couplings: a convolution needs the features in the order of time.
    fn permutes(&self) -> bool {
        self.config.permute && self.config.conditioner != ConditionerKind::Conv1d
    }

    /// The mask of coupling `layer`.
    fn mask(&self, layer: usize) -> Result<Mask, TrainError> {
        let first = layer.is_multiple_of(2);
        Ok(match (self.config.conditioner, self.config.mask) {
            (ConditionerKind::Conv1d, _) => Sequence::of(self.features, self.config.channels)?.mask(layer),
            (_, MaskKind::Half) => Mask::half(self.features, first),
            (_, MaskKind::Alternating) => Mask::alternating(self.features, first),
        })
    }

    /// A coupling with this mask over all features.
    fn coupling(&self, mask: Mask, map: Box<dyn TileMap>) -> Result<TileCoupling, TrainError> {
        let net = self.net(&mask, map.as_ref())?;
        let inputs = (self.features, self.config.contexts);
        Ok(TileCoupling::new(inputs, mask, self.config.input_limit, map, net))
    }

    /// The conditioner of a coupling with this mask and map.
    fn net(&self, mask: &Mask, map: &dyn TileMap) -> Result<Box<dyn TileConditioner>, TrainError> {
        let config = self.config;
        let (given, moved) = (mask.given().len(), mask.moved().len());
        let (inputs, outputs) = (given + config.contexts, map.outputs(moved));
        Ok(match config.conditioner {
            ConditionerKind::Mlp => {
                Box::new(TileMlp::new(config.activation, inputs, &config.hidden, outputs))
            }
            ConditionerKind::Residual => {
                let width = config.hidden.first().copied().unwrap_or(1);
                Box::new(TileResidual::new(config.activation, inputs, width, config.hidden.len(), outputs))
            }
            ConditionerKind::Conv1d => {
                let (length, channels) = Sequence::of(self.features, config.channels)?.part(mask);
                let shape = ConvShape {
                    length,
                    channels,
                    contexts: config.contexts,
                    padding: config.padding,
                    kernel: config.kernel,
                    hidden: config.hidden.clone(),
                    parameters: outputs / moved,
                    moved: moved / length,
                    by_feature: matches!(map.export(), CouplingMap::Spline(_)),
                };
                Box::new(TileConv1d::new(config.activation, shape))
            }
        })
    }
}

/// Features as a sequence, time-major: `length` steps of `channels`.
///
/// Couplings alternate over what can be halved so that both parts are sequences of the same length, and a
/// transformed step faces the conditioning step beside it:
///
/// * an even number of steps: the even ones condition the odd ones, then the other way round;
/// * more than one channel: the first half of the channels conditions the others at the same time steps, then
///   the other way round.
///
/// With both, the four take turns.
#[derive(Clone, Copy, Debug)]
struct Sequence {
    length: usize,
    channels: usize,
}

impl Sequence {
    fn of(features: usize, channels: usize) -> Result<Self, TrainError> {
        let fail = |remedy| TrainError::Setting { name: "channels", value: channels.to_string(), remedy };
        if !features.is_multiple_of(channels) {
            return Err(fail("use a divisor of the number of features: they are time steps times channels"));
        }
        let length = features / channels;
        if channels == 1 && !length.is_multiple_of(2) {
            return Err(fail("a single channel needs an even number of time steps"));
        }
        Ok(Self { length, channels })
    }

    /// Which features condition in coupling `layer`.
    fn mask(self, layer: usize) -> Mask {
        let by_time = self.length.is_multiple_of(2);
        let in_time = by_time && (self.channels == 1 || layer % 4 < 2);
        let first = layer.is_multiple_of(2);
        let half = self.channels / 2;
        let conditions = |feature: usize| {
            let (step, channel) = (feature / self.channels, feature % self.channels);
            (if in_time { step.is_multiple_of(2) } else { channel < half }) == first
        };
        Mask((0..self.length * self.channels).map(conditions).collect())
    }

    /// Steps and channels of the conditioning part of [`Self::mask`].
    fn part(self, mask: &Mask) -> (usize, usize) {
        match mask.0.iter().take(self.channels).filter(|&&conditions| conditions).count() {
            // All or nothing of a step: the mask is over time.
            given if given.is_multiple_of(self.channels) => (self.length / 2, self.channels),
            given => (self.length, given),
        }
    }
}
