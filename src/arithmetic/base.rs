//! What base distributions ask of the numbers: squared norms, the logarithms of Student-t, the distances
//! and the log-sum-exp of a mixture.

use crate::Fault;

/// Parameters of one feature of a Student-t base, for slopes and sampling.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StudentNumbers {
    /// Where it is centred.
    pub location: f32,
    /// `exp(-log_scale)`.
    pub inverse_scale: f32,
    /// Degrees of freedom.
    pub degrees: f32,
}

/// How the entries of a fixed-point mixture are scaled; all zero in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MixtureFormat {
    /// Right shift that brings an entry, whose upper half is the mean, to Q15.16.
    pub mean_shift: u8,
    /// Fractional bits of the precision in its lower half.
    pub precision_bits: u8,
}

impl MixtureFormat {
    /// From an image word; `None` if the unused bits are set.
    #[must_use]
    pub fn from_word(word: u32) -> Option<Self> {
        let [mean_shift, precision_bits, 0, 0] = word.to_le_bytes() else { return None };
        Some(MixtureFormat { mean_shift, precision_bits })
    }

    /// As an image word.
    #[must_use]
    pub fn to_word(self) -> u32 {
        u32::from_le_bytes([self.mean_shift, self.precision_bits, 0, 0])
    }
}

/// Operations of the base distributions, over the arithmetic's values `V` and log-densities `L`.
///
/// All are total, as those of [`super::Arithmetic`]. Parameters are words of the image.
pub trait BaseArithmetic<V, L>: Sized {
    /// A sum of exponentials relative to the largest of them.
    type Mass: Copy;

    /// 32-bit words of one feature of a Student-t base.
    const STUDENT_WORDS: usize;
    /// No terms yet: the largest exponent so far, and the sum relative to it.
    const NO_MASS: (L, Self::Mass);
    /// A term that lies that many nats below the largest does not change the sum's last digit.
    const NEGLIGIBLE: L;

    /// `|z|^2`.
    fn squared_norm(z: &[V]) -> L;

    /// Checks the words of one feature of a Student-t base: shape, finite numbers, ranges.
    ///
    /// # Errors
    /// [`crate::Error::Malformed`] and [`crate::Error::NotFiniteParameter`] of [`crate::Part::Base`].
    fn check_student(words: &[u32]) -> Result<(), Fault>;
    /// `sum of (nu + 1) / 2 ln(1 + q^2 / nu)` with `q = (z - location) exp(-log_scale)`.
    fn student_energy(z: &[V], words: &[u32]) -> L;
    /// `sum of q^2`.
    fn student_squared_norm(z: &[V], words: &[u32]) -> L;
    /// The parameters of one feature in f32.
    fn student_numbers(words: &[u32]) -> Option<StudentNumbers>;
    /// The location of one feature.
    fn student_location(words: &[u32]) -> Option<V>;

    /// Words of the means and precisions (inverse standard deviations) of one component.
    fn mixture_words(features: usize) -> usize;
    /// Whether a format is one that [`Self::half_distance`] can use.
    fn mixture_format_is_valid(format: MixtureFormat) -> bool;
    /// Checks the words of one component.
    ///
    /// # Errors
    /// [`crate::Error::Malformed`] and [`crate::Error::NotFiniteParameter`] of [`crate::Part::Base`].
    fn check_component(words: &[u32], features: usize) -> Result<(), Fault>;
    /// Whether `z` is within the range of the faster of the two ways to [`Self::half_distance`].
    fn is_near(z: &[V]) -> bool;
    /// `sum of ((z - mean) precision)^2 / 2`; `None` once a partial sum exceeds `limit`. `near` is
    /// [`Self::is_near`] of `z`.
    fn half_distance(z: &[V], words: &[u32], format: MixtureFormat, near: bool, limit: L) -> Option<L>;
    /// Mean of one feature of a component.
    fn component_mean(words: &[u32], format: MixtureFormat, feature: usize) -> Option<V>;
    /// Mean and precision of one feature of a component in f32.
    fn component_numbers(
        words: &[u32],
        format: MixtureFormat,
        features: usize,
        feature: usize,
    ) -> Option<(f32, f32)>;

    /// Adds `exp(term)`.
    fn add_mass(mass: (L, Self::Mass), term: L) -> (L, Self::Mass);
    /// The logarithm of the sum.
    fn log_mass(mass: (L, Self::Mass)) -> L;
}
