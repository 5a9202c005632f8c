//! A mixture of diagonal normals: `log_prob = ln sum of exp(c_k - |(z - mean_k) precision_k|^2 / 2)`, with
//! the weight and the normalization of each component in its constant `c_k`.
//!
//! ```text
//! word 0   format: 0 in f32; fixed point: bits 0 .. 8 shift of the means, 4 to 15, bits 8 .. 16 fractional
//!          bits of the precisions, 8 to 22
//! then per component
//!   0      constant c_k, a value
//!   1      sum of the weights up to and with this one, times 2^32, rounded; the last is 2^32 - 1
//!   then   f32: means, then precisions, a word each
//!          fixed point: per feature a word, mean in the upper half, precision in the lower one
//! ```
//!
//! A component is left as soon as the part of its distance that is summed says that it cannot matter: by the
//! same rule, in the same order, on host and device. The exporter puts heavy components first.

use super::random;
use crate::arithmetic::base::MixtureFormat;
use crate::arithmetic::{Arithmetic, Elementary, Libm};
use crate::{Fault, Part};
use rand_core::RngCore;

/// Most components of a mixture.
pub const MAX_COMPONENTS: usize = 64;

/// A mixture of diagonal normals, borrowed from an image.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Mixture<'a> {
    words: &'a [u32],
    features: usize,
    components: usize,
}

/// One component.
struct Component<'a, L> {
    /// `ln weight - sum of ln std - n ln(2 pi) / 2`.
    constant: L,
    /// Weights up to and with its own, in units of 2^-32.
    cumulative: u32,
    /// Means and precisions.
    words: &'a [u32],
}

impl<'a> Mixture<'a> {
    pub(super) fn new(words: &'a [u32], features: usize, components: usize) -> Self {
        Mixture { words, features, components }
    }

    /// Number of components.
    #[must_use]
    pub fn components(&self) -> usize {
        self.components
    }

    /// `ln weight - sum of ln std - n ln(2 pi) / 2` of a component, in f32; the lowest number if there is none.
    #[must_use]
    pub fn constant<A: Arithmetic>(&self, component: usize) -> f32 {
        self.iter::<A>().nth(component).map_or(f32::MIN, |c| A::log_to_f32(c.constant))
    }

    /// Mean and precision (inverse standard deviation) of one feature of a component, in f32.
    #[must_use]
    pub fn numbers<A: Arithmetic>(&self, component: usize, feature: usize) -> Option<(f32, f32)> {
        let words = self.iter::<A>().nth(component)?.words;
        A::component_numbers(words, self.format(), self.features, feature)
    }

    /// How its words are scaled.
    #[must_use]
    pub fn format(&self) -> MixtureFormat {
        self.words.first().and_then(|&word| MixtureFormat::from_word(word)).unwrap_or_default()
    }

    /// Per component the constant `c_k`, and the words of its means and precisions.
    pub fn parts<A: Arithmetic>(&self) -> impl Iterator<Item = (A::Log, &'a [u32])> + use<'a, A> {
        self.iter::<A>().map(|component| (component.constant, component.words))
    }

    fn iter<A: Arithmetic>(&self) -> impl Iterator<Item = Component<'a, A::Log>> + use<'a, A> {
        let words = self.words.get(1..).unwrap_or_default();
        let stride = A::mixture_words(self.features).saturating_add(2);
        words.chunks_exact(stride.max(1)).take(self.components).filter_map(|words| {
            let (&[constant, cumulative], words) = words.split_first_chunk::<2>()?;
            let constant = A::add_value(A::ZERO_LOG, A::value(constant)?);
            Some(Component { constant, cumulative, words })
        })
    }

    /// Checks its words: all there, finite, within their ranges, cumulative weights that ascend to one.
    ///
    /// # Errors
    /// [`crate::Error::Malformed`] and [`crate::Error::NotFiniteParameter`] of [`Part::Base`].
    pub(super) fn check<A: Arithmetic>(&self) -> Result<(), Fault> {
        let malformed = Fault::malformed(Part::Base);
        let format = self.words.first().and_then(|&word| MixtureFormat::from_word(word)).ok_or(malformed)?;
        if !A::mixture_format_is_valid(format) || !(1..=MAX_COMPONENTS).contains(&self.components) {
            return Err(malformed);
        }
        let stride = A::mixture_words(self.features).saturating_add(2);
        let words = self.words.get(1..).unwrap_or_default();
        let mut before = 0;
        let mut found = 0;
        for words in words.chunks_exact(stride.max(1)).take(self.components) {
            let (&[constant, cumulative], words) = words.split_first_chunk::<2>().ok_or(malformed)?;
            A::value(constant).ok_or(Fault::not_finite(Part::Base))?;
            A::check_component(words, self.features)?;
            if cumulative < before {
                return Err(malformed);
            }
            before = cumulative;
            found += 1;
        }
        if found == self.components && before == u32::MAX {
            Ok(())
        } else {
            Err(malformed)
        }
    }

    /// One pass over the components with the largest exponent so far; no memory.
    pub(super) fn log_prob<A: Arithmetic>(&self, z: &[A::Value]) -> A::Log {
        let (format, near) = (self.format(), A::is_near(z));
        let mut mass = A::NO_MASS;
        // A constant and this are the largest distance that still matters.
        let mut reach = A::add(A::NEGLIGIBLE, A::negate(mass.0));
        for component in self.iter::<A>() {
            let limit = A::add(component.constant, reach);
            if let Some(half) = A::half_distance(z, component.words, format, near, limit) {
                mass = A::add_mass(mass, A::add(component.constant, A::negate(half)));
                reach = A::add(A::NEGLIGIBLE, A::negate(mass.0));
            }
        }
        A::log_mass(mass)
    }

    /// The component with the largest share of the density at `z`, the first of equals, with half its squared
    /// distance.
    fn nearest<A: Arithmetic>(&self, z: &[A::Value]) -> Option<(Component<'a, A::Log>, A::Log)> {
        let (format, near) = (self.format(), A::is_near(z));
        let mut best: Option<(Component<'a, A::Log>, A::Log)> = None;
        let mut largest = A::NO_MASS.0;
        for component in self.iter::<A>() {
            let limit = A::add(component.constant, A::negate(largest));
            let Some(half) = A::half_distance(z, component.words, format, near, limit) else { continue };
            let term = A::add(component.constant, A::negate(half));
            if best.is_none() || term > largest {
                largest = term;
                best = Some((component, half));
            }
        }
        best
    }

    pub(super) fn squared_norm<A: Arithmetic>(&self, z: &[A::Value]) -> A::Log {
        match self.nearest::<A>(z) {
            Some((_, half)) => A::add(half, half),
            // Beyond the numbers from every component.
            None => A::negate(A::NO_MASS.0),
        }
    }

    /// Each component's slope `(z - mean) precision^2`, weighted with its responsibility.
    ///
    /// The exponents are the arithmetic's own; the weights and the sum are f32.
    pub(super) fn slope<A: Arithmetic>(&self, z: &[A::Value], slope: &mut [f32]) {
        let (format, near) = (self.format(), A::is_near(z));
        let total = self.log_prob::<A>(z);
        slope.fill(0.0);
        for component in self.iter::<A>() {
            let limit = A::add(A::add(component.constant, A::negate(total)), A::NEGLIGIBLE);
            let Some(half) = A::half_distance(z, component.words, format, near, limit) else { continue };
            // The term first, as in the sum: far out it then differs from the total by no rounding.
            let term = A::add(component.constant, A::negate(half));
            let share = Libm::exp(A::log_to_f32(A::add(term, A::negate(total))));
            for (feature, (slope, &z)) in slope.iter_mut().zip(z).enumerate() {
                let numbers = A::component_numbers(component.words, format, self.features, feature);
                let Some((mean, precision)) = numbers else { continue };
                *slope += share * ((A::to_f32(z) - mean) * precision) * precision;
            }
        }
    }

    pub(super) fn mode<A: Arithmetic>(&self, z: &[A::Value], out: &mut [A::Value]) {
        let format = self.format();
        let nearest = self.nearest::<A>(z).map(|(component, _)| component);
        let Some(component) = nearest.or_else(|| self.iter::<A>().next()) else { return };
        for (feature, out) in out.iter_mut().enumerate() {
            *out = A::component_mean(component.words, format, feature).unwrap_or(A::ZERO);
        }
    }

    pub(super) fn sample<A: Arithmetic>(&self, random: &mut impl RngCore, out: &mut [f32]) {
        let format = self.format();
        let at = random.next_u32();
        random::fill_normal(random, out);
        let Some(component) = self.iter::<A>().find(|c| at <= c.cumulative) else { return };
        for (feature, out) in out.iter_mut().enumerate() {
            let numbers = A::component_numbers(component.words, format, self.features, feature);
            let Some((mean, precision)) = numbers else { continue };
            *out = mean + *out / precision;
        }
    }
}
