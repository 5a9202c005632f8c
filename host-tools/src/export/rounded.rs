//! Flows with their nets as a fixed-point image holds them, for fine-tuning: the numbers are those that the device's
//! kernels compute with, to the last bit of an f32. What is left out is the rounding of activations to 16 bits.

use super::encode::encode_net;
use super::observe::{observe, Observed};
use super::{quantizer, Numeric};
use crate::flow::{Conditioner, Coupling, Flow, Mlp, Transform};
use rayon::prelude::*;

/// How the nets of a flow are rounded, by what they see on some readings.
pub struct Rounding {
    numeric: Numeric,
    observed: Vec<Vec<Observed>>,
}

impl std::fmt::Debug for Rounding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rounding of {} nets to {:?}", self.observed.len(), self.numeric)
    }
}

impl Rounding {
    /// By `readings`, row-major.
    #[must_use]
    pub fn new(flow: &Flow, numeric: Numeric, readings: &[f32]) -> Self {
        Rounding { numeric, observed: observe(flow, readings) }
    }

    /// `flow`, which has the structure of the one that was observed, with its nets rounded; `None` if one is no perceptron
    /// or has no fixed-point form.
    #[must_use]
    pub fn apply(&self, flow: &Flow) -> Option<Flow> {
        let couplings: Vec<&Coupling> = flow.couplings().collect();
        let nets: Option<Vec<Mlp>> = couplings
            .par_iter()
            .zip(&self.observed)
            .map(|(c, observed)| self.net(c, flow.contexts, observed))
            .collect();
        let mut nets = nets?.into_iter();
        let mut flow = flow.clone();
        for transform in &mut flow.transforms {
            if let Transform::Coupling(c) = transform {
                c.conditioner = Conditioner::Mlp(nets.next()?);
            }
        }
        Some(flow)
    }

    fn net(&self, c: &Coupling, contexts: usize, observed: &[Observed]) -> Option<Mlp> {
        let Conditioner::Mlp(net) = &c.conditioner else { return None };
        let (_, shift) = quantizer::input_format(c.input_limit).ok()?;
        let encoded = encode_net(&c.conditioner, &c.map, contexts, self.numeric, shift, observed).ok()?;
        let mut net = net.clone();
        let mut scales = vec![(16.0 - f64::from(shift)).exp2(); net.layers.first()?.inputs];
        for (layer, encoded) in net.layers.iter_mut().zip(&encoded.layers) {
            let meaning = encoded.meaning(&scales)?;
            layer.weights = meaning.weights.iter().map(|&w| w as f32).collect();
            layer.bias = meaning.bias.iter().map(|&b| b as f32).collect();
            scales = meaning.scales;
        }
        // The image has raw log-scales in units of the clamp.
        let unit = c.map.raw_unit();
        if unit != 1.0 {
            let last = net.layers.last_mut()?;
            let (half_weights, half_bias) = (last.weights.len() / 2, last.bias.len() / 2);
            last.weights[half_weights..].iter_mut().for_each(|w| *w *= unit);
            last.bias[half_bias..].iter_mut().for_each(|b| *b *= unit);
        }
        Some(net)
    }
}
