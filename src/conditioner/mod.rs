//! The small nets inside couplings: any function of the untouched part and of the context, evaluated in
//! one direction only, so that they need not be invertible.

pub mod conv1d;
pub mod mlp;
pub mod residual;

pub use conv1d::Conv1d;
pub use mlp::Mlp;
pub use residual::Residual;

use crate::arithmetic::activation::Activation;
use crate::arithmetic::dense::Dense;
use crate::arithmetic::Arithmetic;
use crate::support::{Capabilities, Capability};
use crate::{Fault, Part};

/// Kind bytes of a coupling's conditioner.
pub mod kind {
    /// [`super::Mlp`].
    pub const MLP: u8 = 1;
    /// Residual blocks between a first and a last layer.
    pub const RESIDUAL: u8 = 2;
    /// 1-D convolutions.
    pub const CONV1D: u8 = 3;
}

/// What a net of a kind needs.
pub(crate) fn kind_needs(kind: u8) -> Capabilities {
    match kind {
        // Numbered as their capabilities are.
        kind::RESIDUAL..=kind::CONV1D => {
            Capabilities::of_number(kind - kind::RESIDUAL + Capability::Residual as u8)
        }
        _ => Capabilities::NONE,
    }
}

/// The two buffers that a net's layers read from and write to in turn.
///
/// Their size is in the image ([`Needs::scratch`] each); the words hold activations or values as the
/// layer needs.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Scratch<'w> {
    /// Where the next layer reads.
    pub front: &'w mut [u32],
    /// Where the next layer writes.
    pub back: &'w mut [u32],
}

/// What the way back needs: the buffers of the way there, and room for what one net keeps.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct GradientScratch<'w> {
    /// As for scoring.
    pub scratch: Scratch<'w>,
    /// [`Net::gradient_words`], and the outputs' slopes.
    pub kept: &'w mut [u32],
}

/// Memory that a part of a flow needs, in 32-bit words; parts run one after the other, so that needs are
/// combined by maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Needs {
    /// Words of each of the two buffers of [`Scratch`].
    pub scratch: usize,
}

impl Needs {
    /// Counts a part that takes so many words of each buffer.
    pub fn at_least(&mut self, scratch: usize) {
        self.scratch = self.scratch.max(scratch);
    }
}

/// What a net sees.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Inputs<'x, V> {
    /// The conditioning part of the vector.
    pub given: &'x [V],
    /// The context, behind it.
    pub context: &'x [V],
    /// All of them saturate here.
    pub limit: V,
    /// Right shift from a value to an integer activation (fixed point).
    pub shift: u8,
}

impl<V: Copy + PartialOrd> Inputs<'_, V> {
    /// Number of inputs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.given.len() + self.context.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the saturated inputs as activations, and zeros behind them; `None` if `out` is too short.
    pub fn load<A: Arithmetic<Value = V>>(&self, out: &mut [A::Activation]) -> Option<()> {
        if !A::SUPPORTS.has(Capability::Context) {
            A::load_inputs(self.given, self.limit, self.shift, out);
            return Some(());
        }
        let (given, rest) = out.split_at_mut_checked(self.given.len())?;
        if rest.len() < self.context.len() {
            return None;
        }
        A::load_inputs(self.given, self.limit, self.shift, given);
        if !rest.is_empty() {
            A::load_inputs(self.context, self.limit, self.shift, rest);
        }
        Some(())
    }

    /// Writes input `index`, of the given ones and the context behind them, as an activation; nothing where
    /// there is none.
    pub(crate) fn load_one<A: Arithmetic<Value = V>>(&self, index: usize, out: &mut A::Activation) {
        let beyond = index.wrapping_sub(self.given.len());
        let value = self.given.get(index).or_else(|| self.context.get(beyond));
        if let Some(value) = value {
            A::load_inputs(core::slice::from_ref(value), self.limit, self.shift, core::slice::from_mut(out));
        }
    }

    /// Adds the slopes of the loaded inputs to those of the given values; a saturated one has none.
    pub(crate) fn add_slopes<A: Arithmetic<Value = V>>(&self, loaded: &[f32], given: &mut [f32]) {
        let unit = A::input_unit(self.shift);
        for (index, (slope, loaded)) in given.iter_mut().zip(loaded).enumerate() {
            if self.is_live::<A>(index) {
                *slope += loaded * unit;
            }
        }
    }

    /// Whether input `index` of the given part lies within the limit, where it has a slope.
    pub(crate) fn is_live<A: Arithmetic<Value = V>>(&self, index: usize) -> bool {
        match self.given.get(index) {
            Some(&x) => x < self.limit && x > A::subtract(A::ZERO, self.limit),
            None => false,
        }
    }
}

/// A conditioner, borrowed from the image.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Net<'a> {
    /// See [`Mlp`].
    Mlp(Mlp<'a>),
    /// See [`Residual`].
    Residual(Residual<'a>),
    /// See [`Conv1d`].
    Conv1d(Conv1d<'a>),
}

impl<'a> Net<'a> {
    /// The net of `kind` with `layers` layers in `words`; `None` for a kind that this build does not have.
    #[must_use]
    pub fn parse(kind: u8, layers: u8, words: &'a [u32]) -> Option<Self> {
        Self::parse_within(kind, layers, words, Capabilities::ALL)
    }

    /// The same; `None` too for what is not in `supports`.
    pub(crate) fn parse_within(
        kind: u8,
        layers: u8,
        words: &'a [u32],
        supports: Capabilities,
    ) -> Option<Self> {
        match kind {
            kind::MLP => Some(Net::Mlp(Mlp::new(usize::from(layers), words))),
            kind::RESIDUAL if supports.has(Capability::Residual) => {
                Some(Net::Residual(Residual::new(usize::from(layers), words)))
            }
            kind::CONV1D if supports.has(Capability::Conv1d) => {
                Conv1d::parse(usize::from(layers), words).map(Net::Conv1d)
            }
            _ => None,
        }
    }

    /// Its standard name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Net::Mlp(_) => "mlp",
            Net::Residual(_) => "residual",
            Net::Conv1d(_) => "conv1d",
        }
    }

    /// What its layers need besides ReLU.
    pub(crate) fn needs(&self) -> Capabilities {
        let of = |a: Activation| match a {
            Activation::Relu | Activation::Linear => Capabilities::NONE,
            _ => Capabilities::of(&[Capability::Activations]),
        };
        let layer = |layer: &Dense<'_>| of(layer.activation).union(layer.needs());
        let all = Capabilities::union;
        match self {
            Net::Mlp(net) => net.layers().map(|dense| layer(&dense)).fold(Capabilities::NONE, all),
            Net::Residual(net) => net
                .initial()
                .into_iter()
                .chain(net.stages().flat_map(|stage| [Some(stage.first), stage.second].into_iter().flatten()))
                .map(|dense| layer(&dense))
                .chain(net.stages().map(|stage| of(stage.gate.activation)))
                .fold(Capabilities::NONE, all),
            Net::Conv1d(net) => net.layers().map(|each| layer(&each.dense)).fold(Capabilities::NONE, all),
        }
    }

    /// Words of [`GradientScratch::kept`] that the way back through a net of so many inputs takes.
    #[must_use]
    pub fn gradient_words(&self, inputs: usize) -> usize {
        match self {
            Net::Mlp(net) => net.gradient_words(inputs),
            Net::Residual(net) => net.gradient_words(inputs),
            Net::Conv1d(net) => net.gradient_words(),
        }
    }

    /// Checks shapes and numbers once; raises `needs` to what the net takes.
    ///
    /// # Errors
    /// [`crate::Error::Malformed`] with [`Part::Conditioner`], and what the layers report.
    pub fn check<A: Arithmetic>(
        &self,
        inputs: usize,
        outputs: usize,
        needs: &mut Needs,
    ) -> Result<(), Fault> {
        // No layer has no inputs or no outputs, so that neither has a net.
        match self {
            Net::Mlp(net) => net.check::<A>(inputs, outputs, needs),
            Net::Residual(net) if A::SUPPORTS.has(Capability::Residual) => {
                net.check::<A>(inputs, outputs, needs)
            }
            Net::Conv1d(net) if A::SUPPORTS.has(Capability::Conv1d) => net.check::<A>(inputs, outputs, needs),
            _ => Err(Fault::unsupported(Part::Conditioner)),
        }
    }

    /// Evaluates the net; gives its outputs, with padding behind them, for the map to work in.
    ///
    /// Outputs stand as the coupling wants them: `[shift (m)]`, `[shift (m), raw (m)]`, or, of a spline,
    /// the parameters of one transformed feature after those of the other.
    pub fn evaluate<'w, A: Arithmetic>(
        &self,
        inputs: &Inputs<'_, A::Value>,
        scratch: &'w mut Scratch<'_>,
    ) -> Option<&'w mut [A::Value]> {
        match self {
            Net::Mlp(net) => net.evaluate::<A>(inputs, scratch),
            Net::Residual(net) if A::SUPPORTS.has(Capability::Residual) => net.evaluate::<A>(inputs, scratch),
            Net::Conv1d(net) if A::SUPPORTS.has(Capability::Conv1d) => net.evaluate::<A>(inputs, scratch),
            _ => None,
        }
    }

    /// From the slopes of the outputs to those of the given inputs, which are added to `slope_given`.
    ///
    /// Recomputes the activations of this one net, so that memory does not grow with the flow.
    pub fn backward<A: Arithmetic>(
        &self,
        inputs: &Inputs<'_, A::Value>,
        slope_outputs: &[f32],
        slope_given: &mut [f32],
        scratch: &mut GradientScratch<'_>,
    ) -> Option<()> {
        match self {
            Net::Mlp(net) => net.backward::<A>(inputs, slope_outputs, slope_given, scratch),
            Net::Residual(net) if A::SUPPORTS.has(Capability::Residual) => {
                net.backward::<A>(inputs, slope_outputs, slope_given, scratch)
            }
            Net::Conv1d(net) if A::SUPPORTS.has(Capability::Conv1d) => {
                net.backward::<A>(inputs, slope_outputs, slope_given, scratch)
            }
            _ => None,
        }
    }
}
