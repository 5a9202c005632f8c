//! Settings of training, with a recipe that suits sensor tables as default.

use super::engine::split_mix;
use super::TrainError;
use crate::flow::{Activation, ImageShape, Padding};
use clap::ValueEnum;

/// An option's name on the command line, in messages and in JSON.
macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
        pub enum $type {
            $($(#[$variant_doc])* #[value(name = $name)] $variant,)+
        }

        impl $type {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name on the command line.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

named! {
    /// Kinds of flows.
    FlowKind {
        /// Affine couplings (Dinh et al. 2017).
        Realnvp = "realnvp",
        /// Additive couplings and one scale per feature (Dinh et al. 2015).
        Nice = "nice",
        /// Rational-quadratic spline couplings (Durkan et al. 2019).
        Nsf = "nsf",
        /// ActNorm, dense linear map, affine coupling (Kingma and Dhariwal 2018).
        Glow = "glow",
    }
}

named! {
    /// Kinds of base distributions.
    BaseKind {
        /// Independent standard normals.
        Normal = "normal",
        /// Independent Student-t distributions.
        Student = "student",
        /// A mixture of diagonal normals.
        Mixture = "mixture",
    }
}

named! {
    /// Kinds of conditioner nets.
    ConditionerKind {
        /// Multi-layer perceptron.
        Mlp = "mlp",
        /// Residual blocks.
        Residual = "residual",
        /// Convolution over time.
        Conv1d = "conv1d",
    }
}

named! {
    /// Which features condition.
    MaskKind {
        /// One half, then the other.
        Half = "half",
        /// Every second one, then the others.
        Alternating = "alternating",
    }
}

named! {
    /// Maps of single features in front of the couplings.
    MarginalFront {
        /// None.
        None = "none",
        /// Piecewise linear, quantile to normal.
        Linear = "linear",
        /// Rational quadratic, quantile to normal.
        RationalQuadratic = "rq",
    }
}

/// Settings of [`train`](super::train). `Default` is the recipe that is measured; every field may be changed.
///
/// ```
/// use flowlet_tools::training::TrainConfig;
/// let config = TrainConfig { layers: 4, hidden: vec![16, 16], ..TrainConfig::default() };
/// assert!(config.check().is_ok());
/// let wrong = TrainConfig { lr: -1.0, ..TrainConfig::default() };
/// assert!(wrong.check().unwrap_err().to_string().contains("lr is -1"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TrainConfig {
    /// Kind of flow.
    pub flow: FlowKind,
    /// Bins of a spline, 4..=16.
    pub bins: usize,
    /// Half the side of the box that a spline acts in, in standard deviations, 1 <= bound <= 64; the identity outside.
    pub bound: f32,
    /// What the flow maps to.
    pub base: BaseKind,
    /// Components of a mixture base, 1..=64; 0 derives it from the number of rows.
    pub components: usize,
    /// Maps of single features in front of the couplings.
    pub marginal: MarginalFront,
    /// Knots of each of these maps, 2..=33.
    pub knots: usize,
    /// Shape of the features as an image, for the multi-scale form of a flow; `None` for plain vectors.
    pub image: Option<ImageShape>,
    /// Scales of an image, 1..=8.
    pub levels: usize,
    /// The largest value of features that are integers from 0 on: they get dequantizing noise and a logit instead of
    /// a standardizer fitted to them and a soft tail. Below 2^24.
    pub integers: Option<u32>,
    /// Whether a fixed linear map that whitens the data stands in front of the couplings.
    pub whiten: bool,
    /// Which features condition.
    pub mask: MaskKind,
    /// Kind of conditioner nets.
    pub conditioner: ConditionerKind,
    /// What stands between their layers.
    pub activation: Activation,
    /// Channels per time step of a convolution: features are time-major.
    pub channels: usize,
    /// Time steps under a convolution's kernel, 1..=64; odd for [`Padding::Same`].
    pub kernel: usize,
    /// Where a convolution's kernel stands.
    pub padding: Padding,
    /// Number of context inputs: the last columns of the data, which condition and are not scored.
    pub contexts: usize,
    /// Number of couplings, 0..=64; with none the front and the base alone make the density.
    pub layers: usize,
    /// Widths of the conditioners' hidden layers, each 1..=1024; empty for a linear conditioner. Of a residual
    /// net one entry per block, all the same; of a convolution the hidden channels.
    pub hidden: Vec<usize>,
    /// Passes over the training rows; `None` derives it from their number, see [`Self::epochs_for`]. With 0 what is fitted
    /// before the first one is kept: the front and, by expectation maximization, the base.
    pub epochs: Option<usize>,
    /// Epochs without a better held-out likelihood until training stops; `None` never stops early (the
    /// best epoch is restored all the same).
    pub patience: Option<usize>,
    /// Rows per step, at least 1.
    pub batch: usize,
    /// Peak learning rate, 0 < lr <= 1.
    pub lr: f32,
    /// Standard deviation of the noise added to the standardized inputs at the first step, 0..=1.
    pub noise: f32,
    /// What is left of `noise` at the last step, as a fraction, 0..=1; falls along a cosine.
    pub noise_floor: f32,
    /// Seed of everything random.
    pub seed: u64,
    /// Which of the random starts under this seed, counted from 0: another one holds out the same rows and draws other
    /// permutations, weights, orders and noise.
    pub start: u64,
    /// Threads; 0 takes all cores. The result does not depend on it.
    pub threads: usize,
    /// Share of the rows held out to choose the epoch, 0..=0.5; 0 keeps the last epoch.
    pub holdout: f64,
    /// Which block of the shuffled rows is held out, counted from 0; with another fold, everything else equal, other rows
    /// are held out. Fold `k` needs `(k + 1) * holdout` to be at most 1.
    pub fold: usize,
    /// Whether rows are in the order of time: the last ones are then held out, not random ones.
    pub time_ordered: bool,
    /// Rows in the order of time that are neither trained on nor held out, between the two: windows that share samples with
    /// windows on both sides.
    pub gap: usize,
    /// Share of the rows that may be anomalous, 0..=0.4: so many, the least likely ones, are left out of each epoch
    /// (trimmed likelihood, Neykov et al. 2007). 0 trusts every row.
    pub contamination: f64,
    /// Bound of each coupling's |log_scale| in nats, 0 < clamp <= 8.
    pub clamp: f32,
    /// Where conditioner inputs saturate, in standard deviations, positive.
    pub input_limit: f32,
    /// Where the soft tail of the standardized inputs starts, in standard deviations, positive.
    pub knee: f32,
    /// Where the soft tail behind the last coupling starts, in standard deviations of the base, positive.
    pub outer_knee: f32,
    /// Decoupled weight decay per unit of learning rate, 0..=10.
    pub weight_decay: f32,
    /// Bound of the gradient's norm, positive.
    pub grad_norm: f32,
    /// Horizon of the exponential average of the weights, in steps; 0 turns it off.
    pub average: f32,
    /// Whether fixed random permutations stand between pairs of couplings.
    pub permute: bool,
}

/// The recipe, found on one-class tables of 700 to 20,000 rows and 6 to 36 features with three seeds each;
/// "gain" is mean AUROC.
///
/// * Noise of 0.3 standard deviations that falls to 0.06: the large noise of the early steps keeps small sets from
///   being memorized, the small one of the late steps keeps the likelihood (constant 0.1: 0.005 to 0.01 less
///   and 0.2 nats worse on smooth data).
/// * |log_scale| up to 0.6 and conditioner inputs that saturate at 2 standard deviations: no far-out reading can
///   blow up the density (gain 0.005 over bounds of 2 and 4), and activations stay narrow for quantization.
/// * A peak rate of 0.01 with one cycle: 0.003 is 0.003 behind in the same number of steps.
/// * One hidden layer of 64 instead of two of 32: gain 0.001 with fewer multiply-accumulates for few features.
/// * A soft tail behind the couplings, knee 8: a knee from 2 to 14, or none, changes the mean AUROC by less than the seed
///   does. The smaller the knee, the smaller the rounding errors on wild rows, and the more a single wild feature drowns in
///   the scatter of the others: one feature of a normal cardio row moved by 5 deviations alarms (at 1 % false alarms) in
///   13, 23, 30 and 59 % of the rows with knees of 2.5, 4, 6 and 8, and in 60 % without. At 8 the largest
///   log-density on satellite is 1300 instead of 2800 nats, and f32 errs by 0.0003.
/// * Weight decay above 0.1 per unit of rate costs 0.001 to 0.003.
impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            flow: FlowKind::Realnvp,
            bins: 8,
            bound: 5.0,
            base: BaseKind::Normal,
            components: 0,
            marginal: MarginalFront::None,
            knots: 17,
            image: None,
            levels: 2,
            integers: None,
            whiten: false,
            mask: MaskKind::Half,
            conditioner: ConditionerKind::Mlp,
            activation: Activation::Relu,
            channels: 1,
            kernel: 3,
            padding: Padding::Same,
            contexts: 0,
            layers: 6,
            hidden: vec![64],
            epochs: None,
            patience: None,
            batch: 256,
            lr: 1e-2,
            noise: 0.3,
            noise_floor: 0.2,
            seed: 0,
            start: 0,
            threads: 0,
            holdout: 0.1,
            fold: 0,
            time_ordered: false,
            gap: 0,
            contamination: 0.0,
            clamp: 0.6,
            input_limit: 2.0,
            knee: 4.0,
            outer_knee: 8.0,
            weight_decay: 1e-2,
            grad_norm: 5.0,
            average: 50.0,
            permute: true,
        }
    }
}

impl TrainConfig {
    /// What the flow is made of, in a line.
    #[must_use]
    pub fn summary(&self) -> String {
        let hidden: Vec<String> = self.hidden.iter().map(ToString::to_string).collect();
        let mut text = if self.layers == 0 {
            "no couplings".to_owned()
        } else {
            format!("{}, {} layers of {}", self.flow.name(), self.layers, hidden.join("x"))
        };
        if self.whiten {
            text.push_str(", whitened");
        }
        if self.marginal != MarginalFront::None {
            text.push_str(&format!(", {} marginals", self.marginal.name()));
            if self.knots != Self::default().knots {
                text.push_str(&format!(" of {} knots", self.knots));
            }
        }
        if self.base != BaseKind::Normal {
            text.push_str(&format!(", {} base", self.base.name()));
            if self.base == BaseKind::Mixture && self.components > 0 {
                text.push_str(&format!(" of {}", self.components));
            }
        }
        if self.contamination > 0.0 {
            text.push_str(&format!(", without the worst {} %", (1e4 * self.contamination).round() / 100.0));
        }
        if self.start > 0 {
            text.push_str(&format!(", start {}", self.start));
        }
        text
    }

    /// Seed of all but the choice of the held-out rows.
    pub(super) fn start_seed(&self) -> u64 {
        match self.start {
            0 => self.seed,
            start => split_mix(self.seed ^ split_mix(!start)),
        }
    }

    /// These settings from each of so many random starts, for a [`search`](super::search).
    #[must_use]
    pub fn starts(&self, starts: u64) -> Vec<Self> {
        (0..starts).map(|start| Self { start, ..self.clone() }).collect()
    }

    /// Epochs for `rows` training rows: the given number, or else enough for about 2000 steps (20 to 500 epochs).
    #[must_use]
    pub fn epochs_for(&self, rows: usize) -> usize {
        let batches = rows.div_ceil(self.batch.max(1)).max(1);
        self.epochs.unwrap_or_else(|| (STEPS / batches).clamp(20, 500))
    }

    /// Components of a mixture base for `rows` training rows where their number is not given: one for every eight rows, up
    /// to 32 (64 without couplings).
    #[must_use]
    pub fn derived_components(&self, rows: usize) -> usize {
        (rows / 8).clamp(1, if self.layers == 0 { MOST_ALONE } else { MOST_DERIVED })
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`TrainError::Setting`] names the first field out of range and what it should be.
    pub fn check(&self) -> Result<(), TrainError> {
        let number = |name, value: f32, low: f32, high: f32, remedy| {
            if value >= low && value <= high {
                Ok(())
            } else {
                Err(TrainError::Setting { name, value: value.to_string(), remedy })
            }
        };
        let count = |name, value: usize, low: usize, high: usize, remedy| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(TrainError::Setting { name, value: value.to_string(), remedy })
            }
        };
        let tiny = f32::MIN_POSITIVE;
        count("layers", self.layers, 0, 64, "use 0 to 64 couplings")?;
        count("bins", self.bins, 4, 16, "use 4 to 16 bins")?;
        count("components", self.components, 0, 64, "use 1 to 64 components, or 0 to have it derived")?;
        count("knots", self.knots, 2, 33, "use 2 to 33 knots")?;
        count("levels", self.levels, 1, 8, "use 1 to 8 scales")?;
        if let Some(most) = self.integers {
            count("integers", most as usize, 1, (1 << 24) - 1, "use the largest value, 1 to 16777215")?;
        }
        count("channels", self.channels, 1, 256, "use at least 1 channel")?;
        count("hidden", self.hidden.len(), 0, 8, "use at most 8 hidden layers")?;
        for &width in &self.hidden {
            count("hidden", width, 1, 1024, "use widths of 1 to 1024")?;
        }
        let odd = self.kernel % 2 == 1 || self.padding == Padding::Causal;
        count(
            "kernel",
            if odd { self.kernel } else { 0 },
            1,
            64,
            "use 1 to 64 time steps, an odd number for same padding",
        )?;
        if self.conditioner == ConditionerKind::Residual {
            let blocks = if self.hidden.windows(2).all(|w| w[0] == w[1]) { self.hidden.len() } else { 0 };
            count("hidden", blocks, 1, 7, "use one width per residual block, all the same and at most 7")?;
        }
        if self.conditioner == ConditionerKind::Conv1d && (self.flow == FlowKind::Glow || self.whiten) {
            let value = self.conditioner.name().to_owned();
            let remedy = "a linear map would mix time steps: leave out glow and whitening";
            return Err(TrainError::Setting { name: "conditioner", value, remedy });
        }
        if let Some(epochs) = self.epochs {
            count("epochs", epochs, 0, 1_000_000, "use at most 1000000")?;
        }
        if let Some(patience) = self.patience {
            count("patience", patience, 1, usize::MAX, "use at least 1, or none")?;
        }
        count("batch", self.batch, 1, 1 << 20, "use 1 to 1048576 rows")?;
        count("threads", self.threads, 0, 1024, "use at most 1024, or 0 for all cores")?;
        number("lr", self.lr, tiny, 1.0, "use a positive rate up to 1, such as 0.01")?;
        number("noise", self.noise, 0.0, 1.0, "use 0 to 1 standard deviations, such as 0.3")?;
        number("noise_floor", self.noise_floor, 0.0, 1.0, "use a fraction from 0 to 1")?;
        number("holdout", self.holdout as f32, 0.0, 0.5, "hold out a fraction from 0 to 0.5")?;
        let most = if self.time_ordered { 0 } else { (1.0 / self.holdout.max(1e-9) + 1e-9) as usize };
        count(
            "fold",
            self.fold,
            0,
            most.saturating_sub(1),
            "there are 1 / holdout folds, and one of rows in time order",
        )?;
        number(
            "contamination",
            self.contamination as f32,
            0.0,
            0.4,
            "use a share of the rows from 0 to 0.4",
        )?;
        number("clamp", self.clamp, tiny, 8.0, "use a positive bound up to 8 nats, such as 0.6")?;
        number("bound", self.bound, 1.0, 64.0, "use 1 to 64 standard deviations, such as 5")?;
        number("input_limit", self.input_limit, tiny, 1e6, "use a positive bound, such as 2")?;
        number("knee", self.knee, tiny, 1e6, "use a positive number, such as 4")?;
        number("outer_knee", self.outer_knee, tiny, 1e6, "use a positive number, such as 8")?;
        number("weight_decay", self.weight_decay, 0.0, 10.0, "use 0 to 10, such as 0.01")?;
        number("grad_norm", self.grad_norm, tiny, f32::MAX, "use a positive bound, such as 5")?;
        number("average", self.average, 0.0, 1e9, "use a number of steps, or 0 for none")
    }
}

/// Steps of training when the number of epochs is not given.
const STEPS: usize = 2000;
/// Most components of a mixture base behind couplings when their number is not given: more cost time and gain nothing.
const MOST_DERIVED: usize = 32;
/// The same without couplings, where the mixture alone has to take the shape of the data.
const MOST_ALONE: usize = 64;
