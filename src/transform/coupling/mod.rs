//! Couplings: one part of the vector decides, through a net, how the other is mapped (Dinh et al. 2015,
//! "NICE"; 2017, "Real NVP"; Durkan et al. 2019, "Neural spline flows").
//!
//! The vector is cut at `split` into the conditioning part and the transformed part. The net sees the
//! conditioning part and the context, saturated at `input_limit`. The map stays invertible, as a
//! conditioner may be any function of what is left untouched; a far-out reading meets the parameters of
//! the edge instead of extrapolated ones. What is done to the transformed part is the map's: one file each.
//!
//! ```text
//! word 0   split u16, flags u8 (bit 0: the first part conditions), input_shift u8
//! word 1   bound: clamp of the log-scale (affine; 0 with a sigmoid), half-width of the box (spline), 0 (additive)
//! word 2   input_limit
//! word 3   conditioner kind u8, layers u8, context inputs u16
//! word 4   map u8 (0 additive, 1 affine, 2 spline), option u8 (affine: 0 tanh, 1 hard clamp, 2 soft
//!          sign, 3 sigmoid), parameterization u8, 0;
//!          absent in blocks of kind 3, which are affine with a tanh clamp
//! word 5   offset of a sigmoid, a value; word 6 its floor, 0 to 1, f32 or Q2.30
//! then     the map's further words, and the conditioner's layers
//! ```

pub mod additive;
pub mod affine;
pub mod spline;

use super::Transform;
use crate::arithmetic::{Arithmetic, Fixed};
use crate::conditioner::{self, GradientScratch, Inputs, Needs, Net, Scratch};
use crate::support::{Capabilities, Capability};
use crate::{Fault, Part};
use affine::ScaleMap;
use spline::Spline;

/// What a coupling does to its transformed part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Map {
    /// `z = x + shift`; see [`additive`].
    Additive,
    /// `z = x exp(log_scale) + shift`; see [`affine`].
    Affine(ScaleMap),
    /// A rational-quadratic spline; see [`spline`].
    Spline(Spline),
}

/// Map bytes of a coupling block.
pub mod map {
    /// [`super::Map::Additive`].
    pub const ADDITIVE: u8 = 0;
    /// [`super::Map::Affine`].
    pub const AFFINE: u8 = 1;
    /// [`super::Map::Spline`].
    pub const SPLINE: u8 = 2;
}

impl Map {
    /// The map of word 4, its further words at the front of `words`; gives the words behind them.
    fn parse(word: u32, words: &[u32], supports: Capabilities) -> Option<(Self, &[u32])> {
        let [map, option, parameterization, zero] = word.to_le_bytes();
        if zero != 0 {
            return None;
        }
        match (map, parameterization) {
            (map::ADDITIVE, 0) if option == 0 && supports.has(Capability::AdditiveCoupling) => {
                Some((Map::Additive, words))
            }
            (map::AFFINE, 0) if supports.has(Capability::AffineCoupling) => {
                let (scale, words) = ScaleMap::parse(option, words, supports)?;
                Some((Map::Affine(scale), words))
            }
            (map::SPLINE, parameters) if supports.has(Capability::SplineCoupling) => {
                let (&further, words) = words.split_first_chunk::<2>()?;
                Some((Map::Spline(Spline::parse(option, parameters, further)?), words))
            }
            _ => None,
        }
    }

    /// The net's outputs for `transformed` features.
    #[must_use]
    pub fn outputs(self, transformed: usize) -> usize {
        match self {
            Map::Additive => transformed,
            Map::Affine(_) => 2 * transformed,
            Map::Spline(spline) => spline.outputs_per_feature() * transformed,
        }
    }
}

/// A coupling, borrowed from the image.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Coupling<'a> {
    split: usize,
    flags: u8,
    input_shift: u8,
    bound: u32,
    input_limit: u32,
    contexts: usize,
    map: Map,
    net: Net<'a>,
}

impl<'a> Coupling<'a> {
    /// A coupling's block; of version 1 it is affine, with a tanh clamp, and has no word for its map: a constant here, as a
    /// score would pay 60 instructions for the common way.
    #[inline(always)]
    pub(super) fn parse(kind: u8, body: &'a [u32], supports: Capabilities) -> Option<Self> {
        /// What a block of any map is needed for: the usual one has a kind of its own.
        const OTHER_MAPS: Capabilities = Capabilities::of(&[
            Capability::AdditiveCoupling,
            Capability::ScaleMaps,
            Capability::SplineCoupling,
        ]);
        let (&front, words) = body.split_first_chunk::<4>()?;
        if kind == super::kind::COUPLING {
            if !supports.intersects(OTHER_MAPS) {
                return None;
            }
            let (&map, words) = words.split_first()?;
            let (map, words) = Map::parse(map, words, supports)?;
            return Self::assemble(front, map, words, supports);
        }
        if !supports.has(Capability::AffineCoupling) {
            return None;
        }
        Self::assemble(front, Map::Affine(ScaleMap::Tanh), words, supports)
    }

    #[inline(always)]
    fn assemble(front: [u32; 4], map: Map, words: &'a [u32], supports: Capabilities) -> Option<Self> {
        let [shape, bound, input_limit, net] = front;
        let [_, _, flags, input_shift] = shape.to_le_bytes();
        let [kind, layers, _, _] = net.to_le_bytes();
        Some(Coupling {
            split: (shape & 0xffff) as usize,
            flags,
            input_shift,
            bound,
            input_limit,
            contexts: (net >> 16) as usize,
            map,
            net: Net::parse_within(kind, layers, words, supports)?,
        })
    }

    /// Where the vector is cut.
    #[must_use]
    pub fn split(&self) -> usize {
        self.split
    }

    /// Whether the first part conditions and the second is transformed.
    #[must_use]
    pub fn condition_on_first(&self) -> bool {
        self.flags & 1 == 1
    }

    /// Context values that its net sees.
    #[must_use]
    pub fn contexts(&self) -> usize {
        self.contexts
    }

    /// What it does to the transformed part.
    #[must_use]
    pub fn map(&self) -> Map {
        self.map
    }

    /// Bound of `|log_scale|` in nats (affine), or half-width of the box (spline).
    #[must_use]
    pub fn bound<A: Arithmetic>(&self) -> Option<A::Value> {
        A::value(self.bound)
    }

    /// Where conditioner inputs saturate, in standard deviations.
    #[must_use]
    pub fn input_limit<A: Arithmetic>(&self) -> Option<A::Value> {
        A::value(self.input_limit)
    }

    /// Right shift from a value to an input activation (fixed point).
    #[must_use]
    pub fn input_shift(&self) -> u8 {
        self.input_shift
    }

    /// The net.
    #[must_use]
    pub fn net(&self) -> Net<'a> {
        self.net
    }

    /// Whether it needs [`Capability::WideClamps`], of a fixed-point image.
    pub(super) fn is_wide(&self) -> bool {
        self.map == Map::Affine(ScaleMap::Tanh) && Fixed::is_wide(self.bound as i32)
    }

    /// How many of `features`, which are more than the cut's, condition, and how many are transformed.
    fn sizes(&self, features: usize) -> (usize, usize) {
        let rest = features.wrapping_sub(self.split);
        if self.condition_on_first() {
            (self.split, rest)
        } else {
            (rest, self.split)
        }
    }

    /// Words of [`GradientScratch::kept`]: the outputs' slopes, and what the net keeps.
    pub(super) fn gradient_words(&self, features: usize) -> usize {
        let (given, transformed) = self.sizes(features);
        self.map.outputs(transformed) + self.net.gradient_words(given + self.contexts)
    }

    /// The conditioning and the transformed part of `x`.
    fn parts<'x, V>(&self, x: &'x mut [V]) -> Option<(&'x mut [V], &'x mut [V])> {
        let (first, second) = x.split_at_mut_checked(self.split)?;
        Some(if self.condition_on_first() { (first, second) } else { (second, first) })
    }

    fn inputs<'x, A: Arithmetic>(
        &self,
        given: &'x [A::Value],
        context: &'x [A::Value],
    ) -> Option<Inputs<'x, A::Value>> {
        Some(Inputs {
            given,
            context: if A::SUPPORTS.has(Capability::Context) { context.get(..self.contexts)? } else { &[] },
            limit: A::value(self.input_limit)?,
            shift: self.input_shift,
        })
    }

    /// Runs the net, then the map over the transformed part, one way or the other.
    #[inline(always)]
    fn couple<A: Arithmetic>(
        &self,
        x: &mut [A::Value],
        context: &[A::Value],
        scratch: &mut Scratch<'_>,
        direction: Direction,
    ) -> Option<A::Log> {
        let bound = A::value(self.bound)?;
        let (given, transformed) = self.parts(x)?;
        let outputs = self.net.evaluate::<A>(&self.inputs::<A>(given, context)?, scratch)?;
        match self.map {
            Map::Additive if A::SUPPORTS.has(Capability::AdditiveCoupling) => {
                additive::couple::<A>(transformed, outputs, direction)
            }
            Map::Affine(scale) if A::SUPPORTS.has(Capability::AffineCoupling) => {
                affine::couple::<A>(transformed, outputs, (scale, bound), direction)
            }
            Map::Spline(spline) if A::SUPPORTS.has(Capability::SplineCoupling) => {
                spline::couple::<A>(transformed, outputs, &spline.shape::<A>(bound)?, direction)
            }
            _ => None,
        }
    }
}

/// Density direction of a coupling's block; adds its log-determinant to `log`.
#[inline(never)]
pub(super) fn forward_block<A: Arithmetic>(
    kind: u8,
    body: &[u32],
    x: &mut [A::Value],
    context: &[A::Value],
    scratch: &mut Scratch<'_>,
    log: &mut A::Log,
) -> Option<()> {
    let coupling = Coupling::parse(kind, body, A::SUPPORTS)?;
    *log = A::add(*log, coupling.couple::<A>(x, context, scratch, Direction::Forward)?);
    Some(())
}

/// What a coupling's block needs: its map's bytes are those of word 4, its net's those of word 3. Of less words, which make no
/// coupling, nothing.
pub(super) fn block_needs(kind: u8, body: &[u32]) -> Capabilities {
    let Some(&[_, _, _, net, map]) = body.first_chunk::<5>() else { return Capabilities::NONE };
    let needs = conditioner::kind_needs(net as u8);
    if kind != super::kind::COUPLING {
        return needs.with(Capability::AffineCoupling);
    }
    // A table of bytes, in a word.
    const BY_MAP: u32 = Capabilities::of(&[Capability::AdditiveCoupling]).bits() << (8 * map::ADDITIVE)
        | Capabilities::of(&[Capability::AffineCoupling, Capability::ScaleMaps]).bits() << (8 * map::AFFINE)
        | Capabilities::of(&[Capability::SplineCoupling]).bits() << (8 * map::SPLINE);
    const { assert!(Capability::SplineCoupling as u8 == 7 && map::SPLINE == 2) };
    needs.union(Capabilities::of_bits(BY_MAP >> (8 * (map & 0xff).min(3)) & 0xff))
}

/// Which way a map is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Direction {
    /// Density direction: reading to base variable.
    Forward,
    /// Sampling direction.
    Inverse,
}

impl<A: Arithmetic> Transform<A> for Coupling<'_> {
    fn check(&self, features: usize, contexts: usize, needs: &mut Needs) -> Result<(), Fault> {
        if self.contexts != 0 && self.contexts != contexts {
            return Err(Fault::malformed(Part::Context));
        }
        let number = |word| A::value(word).ok_or(Fault::not_finite(Part::Transform));
        let limit = number(self.input_limit)?;
        let map_is_valid = match self.map {
            Map::Additive => self.bound == 0,
            Map::Affine(scale) => scale.check::<A>(self.bound)?,
            Map::Spline(spline) => {
                A::SUPPORTS.has(Capability::SplineCoupling) && spline.is_valid::<A>(number(self.bound)?)
            }
        };
        // From one on, and below the features.
        if self.split.wrapping_sub(1) >= features.wrapping_sub(1)
            || self.flags > 1
            || !map_is_valid
            || !A::input_format_is_valid(limit, self.input_shift)
        {
            return Err(Fault::malformed(Part::Transform));
        }
        let (given, transformed) = self.sizes(features);
        let outputs = self.map.outputs(transformed);
        self.net.check::<A>(given + self.contexts, outputs, needs)
    }

    fn forward(&self, x: &mut [A::Value], context: &[A::Value], scratch: &mut Scratch<'_>) -> Option<A::Log> {
        self.couple::<A>(x, context, scratch, Direction::Forward)
    }

    fn inverse(&self, z: &mut [A::Value], context: &[A::Value], scratch: &mut Scratch<'_>) -> Option<A::Log> {
        self.couple::<A>(z, context, scratch, Direction::Inverse)
    }

    fn backward(
        &self,
        z: &mut [A::Value],
        slope: &mut [f32],
        context: &[A::Value],
        scratch: &mut GradientScratch<'_>,
    ) -> Option<()> {
        let bound = A::value(self.bound)?;
        let (given, transformed) = self.parts(z)?;
        let (slope_given, slope_transformed) = self.parts(slope)?;
        let inputs = self.inputs::<A>(given, context)?;
        let (slopes, kept) = scratch.kept.split_at_mut_checked(self.map.outputs(transformed.len()))?;
        let slopes: &mut [f32] = bytemuck::cast_slice_mut(slopes);
        let outputs = self.net.evaluate::<A>(&inputs, &mut scratch.scratch)?;
        match self.map {
            Map::Additive if A::SUPPORTS.has(Capability::AdditiveCoupling) => {
                additive::backward::<A>(transformed, slope_transformed, outputs, slopes)?;
            }
            Map::Affine(scale) if A::SUPPORTS.has(Capability::AffineCoupling) => {
                affine::backward::<A>(transformed, slope_transformed, outputs, (scale, bound), slopes)?;
            }
            Map::Spline(spline) if A::SUPPORTS.has(Capability::SplineCoupling) => {
                let shape = spline.shape::<A>(bound)?;
                spline::backward::<A>(transformed, slope_transformed, outputs, &shape, slopes)?;
            }
            _ => return None,
        }
        let Scratch { front, back } = &mut scratch.scratch;
        let mut scratch = GradientScratch { scratch: Scratch { front, back }, kept };
        self.net.backward::<A>(&inputs, slopes, slope_given, &mut scratch)
    }
}
