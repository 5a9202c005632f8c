//! What the arithmetics do to a tile, each in its own way.

use super::isa::Isa;
use super::Lane;
use flowlet::arithmetic::dense::Dense;
use flowlet::arithmetic::marginal::Knots;
use flowlet::arithmetic::Arithmetic;
use flowlet::base::Mixture;
use std::fmt::Debug;

/// A set of rows of a tile, by bits.
pub(super) type Rows = u32;

/// The rows in a set, first to last.
#[inline(always)]
pub(super) fn rows(mut set: Rows) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let row = set.trailing_zeros() as usize;
        let some = set != 0;
        set &= set.wrapping_sub(1);
        some.then_some(row)
    })
}

/// The rows for which `is` holds.
#[inline(always)]
pub(super) fn rows_where<T: Copy>(lane: &Lane<T>, is: impl Fn(T) -> bool) -> Rows {
    let mut set = 0;
    for (row, &x) in lane.0.iter().enumerate() {
        set |= u32::from(is(x)) << row;
    }
    set
}

/// An arithmetic over tiles. Every function gives, row by row, the bits of the runtime's function of that name, but for
/// the rows that it adds to `odd`: those are scored anew, and what a tile holds of them may be anything.
///
/// Parameters come as the image's words, and are laid out once.
pub(super) trait Tiled: Arithmetic<Value: Send + Sync, Log: Send + Sync> {
    /// Activations of [`Self::PACKED`] units.
    type Packed: Copy + Default + Debug + Send + Sync;
    /// Units whose activations one word holds.
    const PACKED: usize;
    /// A gain's factor.
    type Gain: Copy + Debug + Send + Sync;
    /// Weights of a row of a linear map.
    type Weights: Debug + Send + Sync;
    /// A piecewise linear marginal map.
    type Lines<'a>: Debug + Send + Sync;
    /// A dense layer.
    type Layer: Debug + Send + Sync;
    /// A mixture's components.
    type Components: Debug + Send + Sync;
    /// What the scales of an affine coupling share.
    type Scales: Debug + Send + Sync;

    /// See [`Arithmetic::standardize_each`], of one feature.
    fn standardize_rows(readings: &Lane<f32>, words: &[u32], values: &mut Lane<Self::Value>, odd: &mut Rows);

    /// See [`Arithmetic::soft_tails`]; adds to `log_det`, row by row.
    fn soft_tail_rows(x: &mut Lane<Self::Value>, knee: Self::Value, log_det: &mut Lane<Self::Log>);

    /// Lays out a gain.
    fn lay_gain(words: &[u32]) -> Option<Self::Gain>;
    /// See [`Arithmetic::gain`].
    fn gain_rows(x: &mut Lane<Self::Value>, gain: Self::Gain);
    /// Lays out a row of so many weights.
    fn lay_weights(words: &[u32], weights: usize) -> Option<Self::Weights>;
    /// `sum = x + ` [`Arithmetic::row_sum`].
    fn add_row_sum(x: &mut Lane<Self::Value>, weights: &Self::Weights, others: &[Lane<Self::Value>]);

    /// Lays out a piecewise linear marginal map.
    fn lay_lines(knots: Knots<'_>) -> Option<Self::Lines<'_>>;
    /// See [`Arithmetic::marginal`](flowlet::arithmetic::marginal::MarginalArithmetic::marginal); adds to `log_det`.
    fn line_rows(
        lines: &Self::Lines<'_>,
        x: &mut Lane<Self::Value>,
        log_det: &mut Lane<Self::Log>,
    ) -> Option<()>;

    /// See [`Arithmetic::load_inputs`].
    fn load_rows<'x>(
        inputs: impl Iterator<Item = &'x Lane<Self::Value>>,
        limit: Self::Value,
        shift: u8,
        out: &mut [Lane<Self::Packed>],
    ) where
        Self::Value: 'x;
    /// Lays out a dense layer.
    fn lay_layer(layer: &Dense<'_>) -> Option<Self::Layer>;
    /// See [`Arithmetic::dense_hidden`].
    fn hidden_rows<I: Isa>(
        isa: I,
        layer: &Self::Layer,
        input: &[Lane<Self::Packed>],
        output: &mut [Lane<Self::Packed>],
    );
    /// See [`Arithmetic::dense_output`].
    fn output_rows<I: Isa>(
        isa: I,
        layer: &Self::Layer,
        input: &[Lane<Self::Packed>],
        output: &mut [Lane<Self::Value>],
    );

    /// Lays out a clamp.
    fn lay_scales(clamp: Self::Value) -> Self::Scales;
    /// See [`Arithmetic::affine_tanh`]; gives the sum in `log_det`.
    fn affine_tanh_rows(
        x: &mut [Lane<Self::Value>],
        shifts: &[Lane<Self::Value>],
        raws: &mut [Lane<Self::Value>],
        scales: &Self::Scales,
        log_det: &mut Lane<Self::Log>,
        odd: &mut Rows,
    );

    /// See [`Arithmetic::standard_normal`].
    fn standard_normal_rows(z: &[Lane<Self::Value>], log_prob: &mut Lane<Self::Log>, odd: &mut Rows);
    /// Lays out a mixture.
    fn lay_mixture(mixture: &Mixture<'_>, features: usize) -> Option<Self::Components>;
    /// See [`flowlet::base::Base::log_prob`], of a mixture.
    fn mixture_rows<I: Isa>(
        isa: I,
        components: &Self::Components,
        z: &[Lane<Self::Value>],
        log_prob: &mut Lane<Self::Log>,
        odd: &mut Rows,
    );
}
