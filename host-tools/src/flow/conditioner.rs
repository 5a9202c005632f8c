//! The nets inside couplings.

use serde::{Deserialize, Serialize};

/// From the conditioning features and the context to the parameters of the transformed features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Conditioner {
    /// Multi-layer perceptron.
    Mlp(Mlp),
    /// Residual blocks.
    Residual(ResidualNet),
    /// Convolution over time.
    Conv1d(Conv1d),
}

/// What stands between layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(0, x)`.
    #[default]
    Relu,
    /// `x` or, below zero, `0.01 x`.
    LeakyRelu,
    /// Hyperbolic tangent.
    Tanh,
    /// `x sigmoid(x)`.
    Silu,
}

/// A multi-layer perceptron: the activation after every layer but the last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mlp {
    /// Between layers.
    #[serde(default)]
    pub activation: Activation,
    /// Its dense layers, first to last; at least one.
    pub layers: Vec<Dense>,
}

/// `y = W x + b`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dense {
    /// Number of inputs.
    pub inputs: usize,
    /// Number of outputs.
    pub outputs: usize,
    /// `W`, row-major, `outputs x inputs`.
    pub weights: Vec<f32>,
    /// `b`, one per output.
    pub bias: Vec<f32>,
}

/// nflows' residual net: `h = initial(x)`; per block `h += second(act(first(act(h))))`; the outputs are
/// `last(h)`, with no activation before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResidualNet {
    /// Inside blocks.
    #[serde(default)]
    pub activation: Activation,
    /// Inputs to `h`.
    pub initial: Dense,
    /// In order.
    pub blocks: Vec<ResidualBlock>,
    /// `h` to outputs.
    pub last: Dense,
}

/// One residual block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResidualBlock {
    /// Behind the first activation.
    pub first: Dense,
    /// Behind the second.
    pub second: Dense,
}

/// Convolutions over `length` time steps, the activation after every layer but the last.
///
/// The given inputs are time-major, `t channels + c`; context values are appended as constant channels. Output
/// channel `p mc + c` at time `t` is parameter `p` of transformed feature `t mc + c`, `mc` transformed channels
/// per time step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conv1d {
    /// Between layers.
    #[serde(default)]
    pub activation: Activation,
    /// Time steps.
    pub length: usize,
    /// Input channels per time step, without context.
    pub channels: usize,
    /// What stands before the first and behind the last step: zeros.
    pub padding: Padding,
    /// First to last; at least one.
    pub layers: Vec<ConvLayer>,
}

/// Where a kernel stands at time `t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Over `t - kernel + 1 ..= t`.
    Causal,
    /// Centred on `t`; odd kernels.
    Same,
}

/// `y[t][o] = b[o] + sum over k, i of W[o][k][i] x[t + k - offset][i]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConvLayer {
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Time steps under the kernel.
    pub kernel: usize,
    /// `outputs x kernel x inputs`.
    pub weights: Vec<f32>,
    /// Per output channel.
    pub bias: Vec<f32>,
}

impl Activation {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Activation::Relu => "relu",
            Activation::LeakyRelu => "leaky-relu",
            Activation::Tanh => "tanh",
            Activation::Silu => "silu",
        }
    }
}

impl Conditioner {
    /// Its name on the command line.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Conditioner::Mlp(_) => "mlp",
            Conditioner::Residual(_) => "residual",
            Conditioner::Conv1d(_) => "conv1d",
        }
    }

    /// What stands between its layers.
    #[must_use]
    pub fn activation(&self) -> Activation {
        match self {
            Conditioner::Mlp(net) => net.activation,
            Conditioner::Residual(net) => net.activation,
            Conditioner::Conv1d(net) => net.activation,
        }
    }

    /// Number of weights and biases.
    #[must_use]
    pub fn parameters(&self) -> usize {
        match self {
            Conditioner::Conv1d(net) => net.layers.iter().map(|l| l.weights.len() + l.bias.len()).sum(),
            _ => self.dense_layers().iter().map(|d| d.weights.len() + d.bias.len()).sum(),
        }
    }

    /// Multiply-accumulates of one evaluation.
    #[must_use]
    pub fn macs(&self) -> usize {
        match self {
            Conditioner::Conv1d(net) => {
                net.length * net.layers.iter().map(|l| l.weights.len()).sum::<usize>()
            }
            _ => self.dense_layers().iter().map(|d| d.weights.len()).sum(),
        }
    }

    /// Its dense layers in order of evaluation; none of a convolution.
    #[must_use]
    pub fn dense_layers(&self) -> Vec<&Dense> {
        match self {
            Conditioner::Mlp(net) => net.layers.iter().collect(),
            Conditioner::Residual(net) => {
                let blocks = net.blocks.iter().flat_map(|b| [&b.first, &b.second]);
                std::iter::once(&net.initial).chain(blocks).chain([&net.last]).collect()
            }
            Conditioner::Conv1d(_) => Vec::new(),
        }
    }
}
