//! What a firmware can evaluate, chosen when it is compiled: a type that names the capabilities to link.
//!
//! [`Everything`] is the default of every type that takes a [`Support`], and opens every image. A firmware whose
//! images are all of one kind names a smaller one, and the linker leaves the rest out:
//!
//! ```
//! use flowlet::{FixedAffine, Model, Scorer};
//! # fn demo(image: &[u8]) -> Result<(), flowlet::Error> {
//! let model = Model::<FixedAffine>::open(image)?;
//! let mut workspace = [0u32; 256];
//! let mut scorer = Scorer::new(&model, &mut workspace)?;
//! # let _ = scorer.score(&[0.1, 0.2, 0.3]);
//! # Ok(())
//! # }
//! ```
//!
//! An image that needs more is refused there, with [`crate::Error::LeftOut`] and the capability that is missing.
//! What is evaluated gives the same bits whatever else is supported. A support of one's own is a few lines:
//!
//! ```
//! use flowlet::{Capability, Capabilities, FixedAffine, Support};
//!
//! /// Affine flows in fixed point whose base may be a mixture.
//! #[derive(Clone, Copy, Debug)]
//! struct Ours;
//!
//! impl Support for Ours {
//!     const CAPABILITIES: Capabilities = FixedAffine::CAPABILITIES.with(Capability::Mixture);
//! }
//! # assert!(Ours::CAPABILITIES.has(Capability::Mixture));
//! ```
//!
//! `flowlet inspect` names the smallest of the ready-made ones that an image needs.

use crate::arithmetic::activation::Activation;
use crate::Fault;
use core::fmt;

/// Something that an image may need and a firmware may leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)]
pub enum Capability {
    /// The f32 arithmetic.
    Float = 0,
    /// The f32 arithmetic with functions of micromath; needs the cargo feature `fast-math` too.
    FastMath = 1,
    /// The fixed-point arithmetic.
    Fixed = 2,
    /// See [`crate::transform::SoftTail`].
    SoftTail = 3,
    /// Couplings that shift; see [`crate::transform::coupling::additive`].
    AdditiveCoupling = 4,
    /// Couplings that shift and scale, with a tanh clamp; see [`crate::transform::coupling::affine`].
    AffineCoupling = 5,
    /// The other maps of an affine coupling's log-scale: hard clamp, soft sign, sigmoid; and tanh, where the block names it.
    ScaleMaps = 6,
    /// Rational-quadratic splines; see [`crate::transform::coupling::spline`].
    SplineCoupling = 7,
    /// See [`crate::transform::ElementwiseAffine`].
    ElementwiseAffine = 8,
    /// See [`crate::transform::Linear`].
    Linear = 9,
    /// See [`crate::transform::Marginal`].
    Marginal = 10,
    /// See [`crate::transform::Logit`].
    Logit = 11,
    /// Activation functions besides ReLU: leaky ReLU, tanh, SiLU.
    Activations = 12,
    /// See [`crate::conditioner::Residual`].
    Residual = 13,
    /// See [`crate::conditioner::Conv1d`].
    Conv1d = 14,
    /// See [`crate::base::StudentT`].
    StudentT = 15,
    /// See [`crate::base::Mixture`].
    Mixture = 16,
    /// Images of more than one expert.
    Experts = 17,
    /// See [`crate::transform::Split`].
    Split = 18,
    /// Integer weights in an order that is fast on another core: see [`crate::arithmetic::dense`]. Without it a core with kernels
    /// of its own, as every Cortex-M has, opens images that were arranged for it alone.
    OtherOrders = 19,
    /// Integer weights of 8 bits: images of [`Numeric::I8`](crate::image::descriptor::Numeric::I8).
    I8Weights = 20,
    /// Integer weights of 16 bits: images of [`Numeric::I16`](crate::image::descriptor::Numeric::I16).
    I16Weights = 21,
    /// In fixed point, affine couplings whose tanh clamp is above 3.4 nats.
    WideClamps = 22,
    /// Context inputs.
    Context = 23,
    /// Images that alarm by another statistic than `-log_prob`. Without it [`crate::Scorer::statistics`] still has all.
    OtherStatistics = 24,
    /// The image's self-test vectors. Every image opens without it, its vectors unchecked, and
    /// [`crate::Scorer::self_test`] is an error.
    SelfTest = 25,
    /// What no score needs: names, units and notes, calibrations of statistics that are not in use, the certificate. Every
    /// image opens without it; these are then not checked, and calibrations of other statistics count as absent.
    Records = 26,
    /// In fixed point, layers of more than [`NARROW`](crate::arithmetic::dense::NARROW) inputs.
    WideLayers = 27,
}

impl Capability {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 28] = [
        Capability::Float,
        Capability::FastMath,
        Capability::Fixed,
        Capability::SoftTail,
        Capability::AdditiveCoupling,
        Capability::AffineCoupling,
        Capability::ScaleMaps,
        Capability::SplineCoupling,
        Capability::ElementwiseAffine,
        Capability::Linear,
        Capability::Marginal,
        Capability::Logit,
        Capability::Activations,
        Capability::Residual,
        Capability::Conv1d,
        Capability::StudentT,
        Capability::Mixture,
        Capability::Experts,
        Capability::Split,
        Capability::OtherOrders,
        Capability::I8Weights,
        Capability::I16Weights,
        Capability::WideClamps,
        Capability::Context,
        Capability::OtherStatistics,
        Capability::SelfTest,
        Capability::Records,
        Capability::WideLayers,
    ];

    /// The capability of a number that [`Fault`] has kept.
    pub(crate) fn from_number(number: u8) -> Self {
        // In order, so that no table is made of it.
        match number {
            0 => Capability::Float,
            1 => Capability::FastMath,
            2 => Capability::Fixed,
            3 => Capability::SoftTail,
            4 => Capability::AdditiveCoupling,
            5 => Capability::AffineCoupling,
            6 => Capability::ScaleMaps,
            7 => Capability::SplineCoupling,
            8 => Capability::ElementwiseAffine,
            9 => Capability::Linear,
            10 => Capability::Marginal,
            11 => Capability::Logit,
            12 => Capability::Activations,
            13 => Capability::Residual,
            14 => Capability::Conv1d,
            15 => Capability::StudentT,
            16 => Capability::Mixture,
            17 => Capability::Experts,
            18 => Capability::Split,
            19 => Capability::OtherOrders,
            20 => Capability::I8Weights,
            21 => Capability::I16Weights,
            22 => Capability::WideClamps,
            23 => Capability::Context,
            24 => Capability::OtherStatistics,
            25 => Capability::SelfTest,
            26 => Capability::Records,
            _ => Capability::WideLayers,
        }
    }

    /// Its name, in words that complete "the image needs".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Capability::Float => "the f32 arithmetic",
            Capability::FastMath => "the fast-math arithmetic",
            Capability::Fixed => "the fixed-point arithmetic",
            Capability::SoftTail => "soft tails",
            Capability::AdditiveCoupling => "additive couplings",
            Capability::AffineCoupling => "affine couplings",
            Capability::ScaleMaps => "scale maps besides tanh",
            Capability::SplineCoupling => "spline couplings",
            Capability::ElementwiseAffine => "elementwise affine maps",
            Capability::Linear => "linear maps",
            Capability::Marginal => "marginal maps",
            Capability::Logit => "logits",
            Capability::Activations => "activation functions besides ReLU",
            Capability::Residual => "residual nets",
            Capability::Conv1d => "1-D convolutions",
            Capability::StudentT => "a Student-t base",
            Capability::Mixture => "a mixture base",
            Capability::Experts => "several experts",
            Capability::Split => "splits",
            Capability::OtherOrders => "weights in the order of another core",
            Capability::I8Weights => "weights of 8 bits",
            Capability::I16Weights => "weights of 16 bits",
            Capability::WideClamps => "affine couplings with a clamp above 3.4 in fixed point",
            Capability::Context => "context inputs",
            Capability::OtherStatistics => "a statistic other than -log_prob",
            Capability::SelfTest => "a self-test",
            Capability::Records => "records besides those of a score",
            Capability::WideLayers => "layers of more than 32 inputs in fixed point",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of [`Capability`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Capabilities(u32);

impl Capabilities {
    /// None: the door opens for no image.
    pub const NONE: Self = Capabilities(0);
    /// All of them.
    pub const ALL: Self = Self::of(&Capability::ALL);

    /// A set of these.
    #[must_use]
    pub const fn of(capabilities: &[Capability]) -> Self {
        let mut set = Self::NONE;
        let mut rest = capabilities;
        while let Some((&first, behind)) = rest.split_first() {
            set = set.with(first);
            rest = behind;
        }
        set
    }

    /// A bit each.
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// The set of these bits.
    pub(crate) const fn of_bits(bits: u32) -> Self {
        Capabilities(bits)
    }

    /// The capability of a number alone.
    pub(crate) const fn of_number(number: u8) -> Self {
        Capabilities(1 << (number & 31))
    }

    /// This set and one more.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Capabilities(self.0 | 1 << capability as u8)
    }

    /// This set without one.
    #[must_use]
    pub const fn without(self, capability: Capability) -> Self {
        Capabilities(self.0 & !(1 << capability as u8))
    }

    /// This set without those of another.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Capabilities(self.0 & !other.0)
    }

    /// Whether one is in the set.
    #[must_use]
    #[inline(always)]
    pub const fn has(self, capability: Capability) -> bool {
        self.0 & 1 << capability as u8 != 0
    }

    /// Whether one of `other` is in the set.
    #[inline(always)]
    pub(crate) const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all of `other` are in the set.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The fault of an image that needs `needs`: the first capability that is not in this set. For needs of which there are
    /// few, so that the compiler knows each number.
    pub(crate) fn refusal(self, needs: Self) -> Option<Fault> {
        let missing = needs.0 & !self.0;
        (missing != 0).then(|| Fault::left_out_number(missing.trailing_zeros() as u8))
    }

    /// The same for any needs; `otherwise` if none is missing. Bit by bit: where a core has no instruction that counts zeros,
    /// the compiler's way is a table of 32 bytes.
    #[cold]
    #[inline(never)]
    pub(crate) fn refusal_or(self, needs: Self, otherwise: Fault) -> Fault {
        let missing = needs.0 & !self.0;
        if missing == 0 {
            return otherwise;
        }
        let mut number = 0;
        while missing >> (number & 31) & 1 == 0 {
            number += 1;
        }
        Fault::left_out_number(number)
    }

    /// Whether an activation function of a layer is in the set.
    pub(crate) fn check_activation(self, activation: Activation) -> Result<(), Fault> {
        if self.has(Capability::Activations) || matches!(activation, Activation::Relu | Activation::Linear) {
            Ok(())
        } else {
            Err(Fault::left_out(Capability::Activations))
        }
    }

    /// This set and another.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Capabilities(self.0 | other.0)
    }

    /// How many there are.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in the set, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |&capability| self.has(capability))
    }
}

/// What a firmware supports: a type without values, given to [`crate::Model`].
pub trait Support: Copy + fmt::Debug + 'static {
    /// What is linked; of couplings, conditioners with ReLU and the standard normal base are always there.
    const CAPABILITIES: Capabilities;
}

/// Every image: the default.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Everything;

/// The least that is useful: RealNVP with i8 weights as `flowlet train --flow realnvp --numeric i8 --core ..` writes it, which
/// alarms by `-log_prob`. A self-test, context inputs, additive couplings and the image's other records are left out: see
/// [`Capability`], and add what is wanted.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct I8Affine;

/// The same with i16 weights.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct I16Affine;

/// Flows of additive and affine couplings in fixed point: what `--flow nice` and `--flow realnvp` train, their weights in
/// the order of the core (`--core`): see [`Capability::OtherOrders`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FixedAffine;

/// The same in f32.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FloatAffine;

/// What `flowlet train` writes if no flow is asked for, in fixed point: several experts of affine couplings behind linear and
/// marginal maps, with mixture bases. Weights in the order of the core, as in [`FixedAffine`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FixedAuto;

/// Every transform in fixed point, with the usual conditioner (layers with ReLU) and a normal or Student-t base. Weights in the
/// order of the core, as in [`FixedAffine`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FixedTransforms;

/// Every flow in fixed point.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FixedEverything;

/// Every flow in f32.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FloatEverything;

const LEAST: Capabilities =
    Capabilities::of(&[Capability::Fixed, Capability::SoftTail, Capability::AffineCoupling]);

const AFFINE: Capabilities = Capabilities::of(&[
    Capability::SoftTail,
    Capability::AdditiveCoupling,
    Capability::AffineCoupling,
    Capability::Context,
    Capability::OtherStatistics,
    Capability::SelfTest,
    Capability::Records,
]);

/// What the fixed-point arithmetic has and that of f32 does not ask for.
const FIXED: Capabilities = Capabilities::of(&[
    Capability::Fixed,
    Capability::I8Weights,
    Capability::I16Weights,
    Capability::WideClamps,
    Capability::WideLayers,
    Capability::OtherOrders,
]);

/// The same without weights in an order that is slow on the core.
const FIXED_HERE: Capabilities = FIXED.without(Capability::OtherOrders);

impl Support for Everything {
    const CAPABILITIES: Capabilities = Capabilities::ALL;
}

impl Support for I8Affine {
    const CAPABILITIES: Capabilities = LEAST.with(Capability::I8Weights);
}

impl Support for I16Affine {
    const CAPABILITIES: Capabilities = LEAST.with(Capability::I16Weights);
}

impl Support for FixedAffine {
    const CAPABILITIES: Capabilities = AFFINE.union(FIXED_HERE);
}

impl Support for FloatAffine {
    const CAPABILITIES: Capabilities = AFFINE.with(Capability::Float);
}

impl Support for FixedAuto {
    const CAPABILITIES: Capabilities = AFFINE
        .union(FIXED_HERE)
        .minus(Capabilities::of(&[Capability::AdditiveCoupling, Capability::WideClamps]))
        .union(Capabilities::of(&[
            Capability::Linear,
            Capability::Marginal,
            Capability::Mixture,
            Capability::Experts,
        ]));
}

impl Support for FixedTransforms {
    const CAPABILITIES: Capabilities = AFFINE.union(FIXED_HERE).union(Capabilities::of(&[
        Capability::ScaleMaps,
        Capability::SplineCoupling,
        Capability::ElementwiseAffine,
        Capability::Linear,
        Capability::Marginal,
        Capability::Logit,
        Capability::Split,
        Capability::StudentT,
    ]));
}

impl Support for FixedEverything {
    const CAPABILITIES: Capabilities =
        Capabilities::ALL.without(Capability::Float).without(Capability::FastMath);
}

impl Support for FloatEverything {
    const CAPABILITIES: Capabilities = Capabilities::ALL.minus(FIXED).without(Capability::FastMath);
}

/// The ready-made supports with their names, the smallest first.
pub const READY_MADE: [(&str, Capabilities); 9] = [
    ("I8Affine", I8Affine::CAPABILITIES),
    ("I16Affine", I16Affine::CAPABILITIES),
    ("FixedAffine", FixedAffine::CAPABILITIES),
    ("FloatAffine", FloatAffine::CAPABILITIES),
    ("FixedAuto", FixedAuto::CAPABILITIES),
    ("FixedTransforms", FixedTransforms::CAPABILITIES),
    ("FixedEverything", FixedEverything::CAPABILITIES),
    ("FloatEverything", FloatEverything::CAPABILITIES),
    ("Everything", Everything::CAPABILITIES),
];

/// Name of the smallest ready-made support that has all of `needs`.
#[must_use]
pub fn smallest(needs: Capabilities) -> &'static str {
    READY_MADE.iter().find(|(_, has)| has.covers(needs)).map_or("Everything", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_was_put_in() {
        for (number, capability) in Capability::ALL.into_iter().enumerate() {
            assert_eq!(capability as usize, number);
            let one = Capabilities::of(&[capability]);
            assert!(one.iter().eq([capability]));
            assert!(Capabilities::ALL.covers(one) && !Capabilities::ALL.without(capability).covers(one));
            assert!(one.without(capability).is_empty());
        }
        assert_eq!(Capabilities::ALL.len(), Capability::ALL.len());
        assert!(Capabilities::NONE.covers(Capabilities::NONE));
    }

    #[test]
    fn the_smallest_ready_made_support_is_named() {
        for (name, capabilities) in READY_MADE {
            assert_eq!(smallest(capabilities), name);
        }
        assert_eq!(smallest(Capabilities::of(&[Capability::Fixed])), "I8Affine");
        assert_eq!(smallest(Capabilities::of(&[Capability::Fixed, Capability::WideClamps])), "FixedAffine");
        assert_eq!(smallest(Capabilities::of(&[Capability::Fixed, Capability::Mixture])), "FixedAuto");
        assert_eq!(
            smallest(Capabilities::of(&[Capability::Fixed, Capability::SplineCoupling])),
            "FixedTransforms"
        );
        assert_eq!(smallest(Capabilities::of(&[Capability::Fixed, Capability::Conv1d])), "FixedEverything");
        assert_eq!(smallest(Capabilities::of(&[Capability::FastMath])), "Everything");
    }
}
