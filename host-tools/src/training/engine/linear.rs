//! A trainable dense linear map as triangular factors (Kingma and Dhariwal 2018, "Glow", section 3.2).

use super::actnorm::total;
use super::kernels::{DenseRef, Kernels, Shape, PANELS};
use super::lanes::{floats, Line, LINE};
use super::transform::TileTransform;
use crate::flow;
use crate::training::random::Random;

/// `z = L (U x) + shift` over the first `active` lines; starts as the identity.
///
/// The diagonal of U is `exp` of its parameter, so that training never brings it to zero; orders in front of
/// the layer reach what a positive diagonal alone does not.
pub(crate) struct TileLinear {
    active: usize,
    stride: usize,
}

impl TileLinear {
    /// Over the first `active` lines of panels of `stride`.
    pub(crate) fn new(active: usize, stride: usize) -> Self {
        Self { active, stride }
    }

    fn shape(&self) -> Shape {
        Shape { inputs: self.active, outputs: self.active }
    }

    /// Lines of a matrix.
    fn matrix(&self) -> usize {
        self.active * self.shape().stride()
    }

    /// Lines of one number per feature.
    fn vector(&self) -> usize {
        self.active.div_ceil(LINE)
    }

    /// Lines of all panels' active features, without the others.
    fn panels(&self) -> usize {
        self.active * PANELS
    }

    fn gather(&self, from: &[Line], to: &mut [Line]) {
        for (from, to) in from.chunks_exact(self.stride).zip(to.chunks_exact_mut(self.active)) {
            to.copy_from_slice(&from[..self.active]);
        }
    }

    fn scatter(&self, from: &[Line], to: &mut [Line]) {
        for (from, to) in from.chunks_exact(self.active).zip(to.chunks_exact_mut(self.stride)) {
            to[..self.active].copy_from_slice(from);
        }
    }

    /// Where element `(i, j)` of a matrix stands: line and place.
    fn at(&self, i: usize, j: usize) -> (usize, usize) {
        (i * self.shape().stride() + j / LINE, j % LINE)
    }
}

/// `upper`, `lower` with their shift, as layers.
fn layers<'a>(shape: Shape, kept: [&'a [Line]; 2], shift: &'a [Line], zero: &'a [Line]) -> [DenseRef<'a>; 2] {
    let [upper, lower] = kept;
    [DenseRef { shape, weights: upper, bias: zero }, DenseRef { shape, weights: lower, bias: shift }]
}

// Parameters: the strict part of L, U with the logarithms of its diagonal (both matrices with zeros elsewhere), shift.
// `kept` holds: L with its ones, U with its diagonal, zeros for a bias, x, U x, room for z.
impl TileTransform for TileLinear {
    fn parameters(&self) -> usize {
        2 * self.matrix() + self.vector()
    }
    fn kept(&self) -> usize {
        2 * self.matrix() + self.vector() + 3 * self.panels()
    }
    fn scratch(&self) -> usize {
        2 * self.panels() + self.matrix() + self.vector() + self.shape().scratch()
    }
    fn initialize(&self, parameters: &mut [Line], _: &mut Random) {
        parameters.fill(Line::ZERO);
    }

    fn export(&self, parameters: &[Line]) -> flow::Transform {
        let n = self.active;
        let (lower, rest) = parameters.split_at(self.matrix());
        let (upper, shift) = rest.split_at(self.matrix());
        let dense = |lines: &[Line]| -> Vec<f32> {
            let rows = floats(lines).chunks_exact(self.shape().stride() * LINE);
            rows.flat_map(|row| &row[..n]).copied().collect()
        };
        let (mut lower, mut upper) = (dense(lower), dense(upper));
        for i in 0..n {
            lower[i * n + i] = 1.0;
            upper[i * n + i] = upper[i * n + i].exp();
        }
        flow::Transform::Linear(flow::Linear { lower, upper, shift: floats(shift)[..n].to_vec() })
    }

    fn forward(
        &self,
        k: &dyn Kernels,
        parameters: &[Line],
        values: &mut [Line],
        log_det: &mut [Line; PANELS],
        kept: &mut [Line],
        scratch: &mut [Line],
    ) {
        let (matrices, shift) = parameters.split_at(2 * self.matrix());
        let (own, rest) = kept.split_at_mut(2 * self.matrix());
        own.copy_from_slice(matrices);
        let (lower, upper) = own.split_at_mut(self.matrix());
        let mut diagonal = [Line::ZERO];
        let mut sum = 0.0;
        for i in 0..self.active {
            let (line, place) = self.at(i, i);
            lower[line].0[place] = 1.0;
            let log = upper[line].0[place];
            // By the kernel's exp, which is the same function at every place.
            k.exponential(&[Line([log; LINE])], &mut diagonal);
            upper[line].0[place] = diagonal[0].0[0];
            sum += log;
        }
        for log_det in log_det {
            log_det.0.iter_mut().for_each(|v| *v += sum);
        }
        let (zero, rest) = rest.split_at_mut(self.vector());
        zero.fill(Line::ZERO);
        let (x, rest) = rest.split_at_mut(self.panels());
        let (y, z) = rest.split_at_mut(self.panels());
        self.gather(values, x);
        let [upper, lower] = layers(self.shape(), [upper, lower], shift, zero);
        k.dense(upper, x, y, false, scratch);
        k.dense(lower, y, z, false, scratch);
        self.scatter(z, values);
    }

    fn backward(
        &self,
        k: &dyn Kernels,
        parameters: &[Line],
        gradient: &mut [Line],
        slope: &mut [Line],
        weight: &[Line; PANELS],
        kept: &mut [Line],
        scratch: &mut [Line],
    ) {
        let shift = &parameters[2 * self.matrix()..];
        let (lower, rest) = kept.split_at(self.matrix());
        let (upper, rest) = rest.split_at(self.matrix());
        let (zero, rest) = rest.split_at(self.vector());
        let (x, rest) = rest.split_at(self.panels());
        let y = &rest[..self.panels()];
        let [upper_layer, lower_layer] = layers(self.shape(), [upper, lower], shift, zero);

        let (g, rest) = scratch.split_at_mut(self.panels());
        let (next, rest) = rest.split_at_mut(self.panels());
        let (full, rest) = rest.split_at_mut(self.matrix());
        let (unused, rest) = rest.split_at_mut(self.vector());
        let turned = &mut rest[..self.shape().scratch()];
        let (lower_gradient, rest) = gradient.split_at_mut(self.matrix());
        let (upper_gradient, shift_gradient) = rest.split_at_mut(self.matrix());

        self.gather(slope, g);
        full.fill(Line::ZERO);
        k.dense_weights(self.shape(), y, g, full, shift_gradient, turned);
        for i in 0..self.active {
            for j in 0..i {
                let (line, place) = self.at(i, j);
                lower_gradient[line].0[place] += full[line].0[place];
            }
        }
        k.dense_input(lower_layer, g, next, None);
        full.fill(Line::ZERO);
        k.dense_weights(self.shape(), x, next, full, unused, turned);
        let total = total(weight);
        for i in 0..self.active {
            let (line, place) = self.at(i, i);
            // d exp(p) / dp, and the loss holds minus the sum of the logarithms.
            upper_gradient[line].0[place] += full[line].0[place] * upper[line].0[place] - total;
            for j in i + 1..self.active {
                let (line, place) = self.at(i, j);
                upper_gradient[line].0[place] += full[line].0[place];
            }
        }
        k.dense_input(upper_layer, next, g, None);
        self.scatter(g, slope);
    }
}
