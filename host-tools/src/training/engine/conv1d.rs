//! 1-D convolutions on a tile (see [`flow::Conv1d`]).
//!
//! A sequence is laid out time step by time step, each step a small tile: `PANELS * channels` lines. The
//! window of a step, gathered into one tile of `kernel * channels` rows, then goes through the dense kernels;
//! copying it costs one line per output channel's multiply-adds.

use super::conditioner::TileConditioner;
use super::kernels::{Kernels, PANELS};
use super::lanes::Line;
use super::layer::{starting_bound, Layer};
use crate::flow::{Activation, Conditioner, Conv1d, ConvLayer, Padding};
use crate::training::random::Random;

/// One layer: its kernel and the dense layer over its window.
#[derive(Clone, Copy, Debug)]
struct Convolution {
    channels: usize,
    kernel: usize,
    dense: Layer,
}

/// Sizes of a convolutional net.
#[derive(Clone, Debug)]
pub(crate) struct ConvShape {
    pub(crate) length: usize,
    /// Of a given time step.
    pub(crate) channels: usize,
    pub(crate) contexts: usize,
    pub(crate) padding: Padding,
    pub(crate) kernel: usize,
    /// Hidden channels, layer by layer.
    pub(crate) hidden: Vec<usize>,
    /// Parameters of a transformed feature.
    pub(crate) parameters: usize,
    /// Transformed channels per time step.
    pub(crate) moved: usize,
    /// Whether a feature's parameters stand together, as a spline's do.
    pub(crate) by_feature: bool,
}

/// Shape of a convolutional net and where its parts lie.
#[derive(Clone, Debug)]
pub(crate) struct TileConv1d {
    activation: Activation,
    shape: ConvShape,
    layers: Vec<Convolution>,
    parameters: usize,
}

// `kept` holds: the inputs' steps, then per hidden layer its steps and their derivatives, then the last
// layer's steps, and at the end the outputs in the coupling's order.
impl TileConv1d {
    /// All sizes positive; the kernel odd for [`Padding::Same`].
    pub(crate) fn new(activation: Activation, shape: ConvShape) -> Self {
        let mut at = 0;
        let mut channels = shape.channels + shape.contexts;
        let outputs = shape.parameters * shape.moved;
        let mut layers = Vec::new();
        for &width in shape.hidden.iter().chain(std::iter::once(&outputs)) {
            let dense = Layer::new(shape.kernel * channels, width, &mut at);
            layers.push(Convolution { channels, kernel: shape.kernel, dense });
            channels = width;
        }
        Self { activation, shape, layers, parameters: at }
    }

    /// Lines of a layer's input steps.
    fn steps(&self, channels: usize) -> usize {
        self.shape.length * channels * PANELS
    }

    fn inputs(&self) -> usize {
        self.shape.length * self.shape.channels + self.shape.contexts
    }

    fn outputs(&self) -> usize {
        self.shape.length * self.shape.parameters * self.shape.moved
    }

    /// Lines of the widest window.
    fn window(&self) -> usize {
        self.layers.iter().map(|l| l.dense.shape.inputs * PANELS).max().unwrap_or(0)
    }

    /// Lines of the widest sequence.
    fn widest(&self) -> usize {
        let inputs = self.layers.iter().map(|l| self.steps(l.channels)).max().unwrap_or(0);
        inputs.max(self.outputs() * PANELS).max(self.inputs() * PANELS)
    }

    /// Zero steps before the sequence.
    fn lead(&self, kernel: usize) -> usize {
        match self.shape.padding {
            Padding::Causal => kernel - 1,
            Padding::Same => kernel / 2,
        }
    }

    /// Runs `f` with the place of each step under a window at `t`: the tap and the step.
    fn taps(&self, kernel: usize, t: usize) -> impl Iterator<Item = (usize, usize)> {
        let (lead, length) = (self.lead(kernel), self.shape.length);
        (0..kernel).filter_map(move |tap| Some((tap, (t + tap).checked_sub(lead).filter(|&s| s < length)?)))
    }

    /// The window at `t` as a tile.
    fn gather(&self, layer: &Convolution, steps: &[Line], t: usize, window: &mut [Line]) {
        let (channels, rows) = (layer.channels, layer.dense.shape.inputs);
        window.fill(Line::ZERO);
        for (tap, from) in self.taps(layer.kernel, t) {
            for p in 0..PANELS {
                window[p * rows + tap * channels..][..channels]
                    .copy_from_slice(&steps[(from * PANELS + p) * channels..][..channels]);
            }
        }
    }

    /// Adds the gradient of the window at `t` to that of the steps.
    fn scatter(&self, k: &dyn Kernels, layer: &Convolution, window: &[Line], t: usize, steps: &mut [Line]) {
        let (channels, rows) = (layer.channels, layer.dense.shape.inputs);
        for (tap, to) in self.taps(layer.kernel, t) {
            for p in 0..PANELS {
                k.add(
                    &window[p * rows + tap * channels..][..channels],
                    &mut steps[(to * PANELS + p) * channels..][..channels],
                );
            }
        }
    }

    /// Where the output `channel` of time `t` stands among a panel's outputs.
    fn place(&self, t: usize, channel: usize) -> usize {
        let ConvShape { length, parameters, moved, by_feature, .. } = self.shape;
        let (parameter, feature) = (channel / moved, t * moved + channel % moved);
        if by_feature {
            feature * parameters + parameter
        } else {
            parameter * length * moved + feature
        }
    }

    /// From steps to the order of the inputs; a context value is in every step.
    fn to_inputs(&self, k: &dyn Kernels, steps: &[Line], to: &mut [Line]) {
        let ConvShape { length, channels, .. } = self.shape;
        let first = self.layers[0].channels;
        for (p, to) in to[..self.inputs() * PANELS].chunks_exact_mut(self.inputs()).enumerate() {
            let (given, context) = to.split_at_mut(length * channels);
            context.fill(Line::ZERO);
            for (t, given) in given.chunks_exact_mut(channels).enumerate() {
                let step = &steps[(t * PANELS + p) * first..][..first];
                given.copy_from_slice(&step[..channels]);
                k.add(&step[channels..], context);
            }
        }
    }
}

impl TileConditioner for TileConv1d {
    fn parameters(&self) -> usize {
        self.parameters
    }

    fn outputs_at(&self) -> usize {
        let hidden: usize = self.layers[1..].iter().map(|l| 2 * self.steps(l.channels)).sum();
        self.steps(self.layers[0].channels) + hidden + self.outputs() * PANELS + self.window()
    }

    fn kept(&self) -> usize {
        self.outputs_at() + self.outputs() * PANELS
    }

    fn scratch(&self) -> usize {
        let turned = self.layers.iter().map(|l| l.dense.shape.scratch()).max().unwrap_or(0);
        2 * self.widest() + 2 * self.window() + turned
    }

    /// It adds at every time step.
    fn adds_once(&self) -> bool {
        false
    }

    fn initialize(&self, parameters: &mut [Line], random: &mut Random, outputs: &[f32]) {
        if let Some((last, hidden)) = self.layers.split_last() {
            for Convolution { dense, .. } in hidden {
                dense.initialize(parameters, starting_bound(self.activation, dense.shape.inputs), random);
            }
            // The same at every step.
            let width = last.dense.shape.outputs;
            let step: Vec<f32> = (0..width).map(|channel| outputs[self.place(0, channel)]).collect();
            last.dense.initialize_constant(parameters, &step);
        }
    }

    fn export(&self, parameters: &[Line]) -> Conditioner {
        let layer = |l: &Convolution| {
            let dense = l.dense.export(parameters);
            ConvLayer {
                inputs: l.channels,
                outputs: dense.outputs,
                kernel: l.kernel,
                weights: dense.weights,
                bias: dense.bias,
            }
        };
        Conditioner::Conv1d(Conv1d {
            activation: self.activation,
            length: self.shape.length,
            channels: self.shape.channels,
            padding: self.shape.padding,
            layers: self.layers.iter().map(layer).collect(),
        })
    }

    fn forward(
        &self,
        k: &dyn Kernels,
        parameters: &[Line],
        x: &[Line],
        kept: &mut [Line],
        scratch: &mut [Line],
    ) {
        let first = self.layers[0].channels;
        let (mut steps, rest) = kept.split_at_mut(self.steps(first));
        let (window, mut rest) = rest.split_at_mut(self.window());
        let ConvShape { length, channels, .. } = self.shape;
        for (t, step) in steps.chunks_exact_mut(first * PANELS).enumerate() {
            for (step, x) in step.chunks_exact_mut(first).zip(x.chunks_exact(self.inputs())) {
                let (given, context) = step.split_at_mut(channels);
                given.copy_from_slice(&x[t * channels..][..channels]);
                context.copy_from_slice(&x[length * channels..]);
            }
        }
        for (i, layer) in self.layers.iter().enumerate() {
            let width = layer.dense.shape.outputs;
            let window = &mut window[..layer.dense.shape.inputs * PANELS];
            let (out, tail) = rest.split_at_mut(self.steps(width));
            rest = tail;
            for (t, out) in out.chunks_exact_mut(width * PANELS).enumerate() {
                self.gather(layer, steps, t, window);
                k.dense(layer.dense.of(parameters), window, out, false, scratch);
            }
            if i + 1 < self.layers.len() {
                let (slopes, tail) = rest.split_at_mut(out.len());
                rest = tail;
                k.activate(self.activation, out, slopes);
            }
            steps = out;
        }
        let width = self.shape.parameters * self.shape.moved;
        for (index, step) in steps.chunks_exact(width).enumerate() {
            let (t, p) = (index / PANELS, index % PANELS);
            for (channel, &line) in step.iter().enumerate() {
                rest[p * self.outputs() + self.place(t, channel)] = line;
            }
        }
    }

    fn backward<'s>(
        &self,
        k: &dyn Kernels,
        (parameters, gradient): (&[Line], &mut [Line]),
        _x: &[Line],
        kept: &mut [Line],
        scratch: &'s mut [Line],
    ) -> &'s [Line] {
        let kept = &*kept;
        let (mut delta, rest) = scratch.split_at_mut(self.widest());
        let (mut next, rest) = rest.split_at_mut(self.widest());
        let (window, rest) = rest.split_at_mut(self.window());
        let (slope_window, turned) = rest.split_at_mut(self.window());
        let outputs = &kept[self.outputs_at()..];
        let width = self.shape.parameters * self.shape.moved;
        for (index, step) in delta[..outputs.len()].chunks_exact_mut(width).enumerate() {
            let (t, p) = (index / PANELS, index % PANELS);
            for (channel, line) in step.iter_mut().enumerate() {
                *line = outputs[p * self.outputs() + self.place(t, channel)];
            }
        }
        // What a layer read: the inputs' steps, or the steps and derivatives of the layer before.
        let mut end = self.outputs_at() - outputs.len();
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let size = self.steps(layer.channels);
            let (steps, slopes) = if i == 0 {
                (&kept[..size], None)
            } else {
                end -= 2 * size;
                let (steps, slopes) = kept[end..][..2 * size].split_at(size);
                (steps, Some(slopes))
            };
            let Layer { shape, .. } = layer.dense;
            let rows = shape.inputs * PANELS;
            let next_steps = &mut next[..size];
            next_steps.fill(Line::ZERO);
            let tile = shape.outputs * PANELS;
            for (t, delta) in delta[..self.shape.length * tile].chunks_exact(tile).enumerate() {
                self.gather(layer, steps, t, &mut window[..rows]);
                let (dw, db) = layer.dense.of_mut(gradient);
                k.dense_weights(shape, &window[..rows], delta, dw, db, turned);
                k.dense_input(layer.dense.of(parameters), delta, &mut slope_window[..rows], None);
                self.scatter(k, layer, &slope_window[..rows], t, next_steps);
            }
            if let Some(slopes) = slopes {
                k.multiply(slopes, next_steps);
            }
            std::mem::swap(&mut next, &mut delta);
        }
        self.to_inputs(k, delta, next);
        &next[..self.inputs() * PANELS]
    }
}
