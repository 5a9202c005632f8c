//! What a flow is made of, besides its couplings, as `flowlet train` is told.

use crate::flow::{Activation, ImageShape, Padding};
use crate::training::{BaseKind, ConditionerKind, MarginalFront, MaskKind, TrainConfig};
use clap::{Args, ValueEnum};

/// What the flow is made of, besides its couplings.
#[derive(Args, Debug)]
#[command(next_help_heading = "Parts of the flow")]
pub(super) struct Parts {
    /// Base distribution, which normal readings are mapped to [default: normal; of auto and likeliest mixture]
    #[arg(long, value_enum)]
    pub(super) base: Option<BaseKind>,
    /// Components of --base mixture, 1 to 64 [default: by the number of rows]
    #[arg(long, value_name = "K", default_value_t = 0, hide_default_value = true)]
    pub(super) components: usize,
    /// Monotone map of each feature in front of the couplings, from quantiles to those of a normal [default: none; of
    /// auto and likeliest linear]
    #[arg(long, value_enum)]
    pub(super) marginal: Option<MarginalFront>,
    /// The features are an image, row by row, channels last: a multi-scale flow with checkerboard and channel masks
    #[arg(long, value_name = "HxW[xC]")]
    pub(super) image: Option<ImageShape>,
    /// Scales of --image [default: 2]
    #[arg(long, value_name = "N", requires = "image")]
    pub(super) levels: Option<usize>,
    /// The features are integers from 0 to MAX: dequantizing noise and a logit in front of the flow
    #[arg(long, value_name = "MAX")]
    pub(super) integers: Option<u32>,
    /// Whiten the data in front of the couplings: a fixed linear map that takes out correlations
    #[arg(long)]
    pub(super) whiten: bool,
    /// Which features condition the others
    #[arg(long, value_enum, default_value = "half")]
    pub(super) mask: MaskKind,
    /// Net that computes a coupling's parameters
    #[arg(long, value_enum, default_value = "mlp")]
    pub(super) conditioner: ConditionerKind,
    /// What stands between the layers of conditioners
    #[arg(long, value_enum, default_value = "relu")]
    pub(super) activation: ActivationArg,
    /// Channels per time step, for --conditioner conv1d: columns are those of the first step, then of the second ...
    #[arg(long, value_name = "C", default_value_t = 1)]
    pub(super) channels: usize,
    /// Time steps under the kernel, for --conditioner conv1d
    #[arg(long, value_name = "K", default_value_t = TrainConfig::default().kernel)]
    pub(super) kernel: usize,
    /// Where the kernel stands: up to its time step, or around it (odd kernels), for --conditioner conv1d
    #[arg(long, value_enum, default_value = "same")]
    pub(super) padding: PaddingArg,
}

/// Padding of convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PaddingArg {
    Causal,
    Same,
}

impl From<PaddingArg> for Padding {
    fn from(arg: PaddingArg) -> Self {
        match arg {
            PaddingArg::Causal => Self::Causal,
            PaddingArg::Same => Self::Same,
        }
    }
}

/// Activation functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ActivationArg {
    Relu,
    LeakyRelu,
    Tanh,
    Silu,
}

impl From<ActivationArg> for Activation {
    fn from(arg: ActivationArg) -> Self {
        match arg {
            ActivationArg::Relu => Self::Relu,
            ActivationArg::LeakyRelu => Self::LeakyRelu,
            ActivationArg::Tanh => Self::Tanh,
            ActivationArg::Silu => Self::Silu,
        }
    }
}
