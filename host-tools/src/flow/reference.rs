//! A plain f64 evaluation of a flow: the oracle for training, for the device's arithmetic and for export.
//!
//! Simple loops straight from the definitions in [`super`], shared with nothing else on purpose.

use super::{AffineCoupling, Dense, Flow, Transform};

/// A flow with its parameters widened to f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    features: usize,
    stages: Vec<Stage>,
}

/// A reading's image under the flow.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// The base variable.
    pub z: Vec<f64>,
    /// Sum of the log-determinants of all transforms, in nats.
    pub log_det: f64,
}

#[derive(Clone, Debug, PartialEq)]
enum Stage {
    Standardize { mean: Vec<f64>, std: Vec<f64> },
    SoftTail { knee: f64 },
    Permutation { order: Vec<usize> },
    Affine { given: Vec<usize>, moved: Vec<usize>, clamp: f64, limit: f64, net: Vec<Layer> },
}

#[derive(Clone, Debug, PartialEq)]
struct Layer {
    inputs: usize,
    weights: Vec<f64>,
    bias: Vec<f64>,
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

impl From<&Flow> for Reference {
    fn from(flow: &Flow) -> Self {
        let stages = flow.transforms.iter().map(|t| Stage::new(t, flow.features)).collect();
        Self { features: flow.features, stages }
    }
}

impl Stage {
    fn new(transform: &Transform, features: usize) -> Self {
        match transform {
            Transform::Standardize(s) => Stage::Standardize { mean: widen(&s.mean), std: widen(&s.std) },
            Transform::SoftTail(s) => Stage::SoftTail { knee: f64::from(s.knee) },
            Transform::Permutation(p) => Stage::Permutation { order: p.order.clone() },
            Transform::AffineCoupling(c) => Stage::affine(c, features),
        }
    }

    fn affine(c: &AffineCoupling, features: usize) -> Self {
        let first = (0..c.split).collect();
        let second = (c.split..features).collect();
        let (given, moved) = if c.condition_on_first { (first, second) } else { (second, first) };
        let layer = |d: &Dense| Layer { inputs: d.inputs, weights: widen(&d.weights), bias: widen(&d.bias) };
        Stage::Affine {
            given,
            moved,
            clamp: f64::from(c.clamp),
            limit: f64::from(c.input_limit),
            net: c.conditioner.layers.iter().map(layer).collect(),
        }
    }

    fn forward(&self, x: &[f64]) -> (Vec<f64>, f64) {
        match self {
            Stage::Standardize { mean, std } => {
                let z = (0..x.len()).map(|i| (x[i] - mean[i]) / std[i]).collect();
                (z, -std.iter().map(|s| s.ln()).sum::<f64>())
            }
            Stage::SoftTail { knee } => {
                let mut log_det = 0.0;
                let mut tail = |x: f64| {
                    let beyond = x.abs() - knee;
                    if beyond <= 0.0 {
                        return x;
                    }
                    log_det -= beyond.ln_1p();
                    x.signum() * (knee + beyond.ln_1p())
                };
                (x.iter().map(|&x| tail(x)).collect(), log_det)
            }
            Stage::Permutation { order } => (order.iter().map(|&i| x[i]).collect(), 0.0),
            Stage::Affine { moved, .. } => {
                let (shift, log_scale) = self.conditioner(x);
                let mut z = x.to_vec();
                for (k, &i) in moved.iter().enumerate() {
                    z[i] = x[i] * log_scale[k].exp() + shift[k];
                }
                (z, log_scale.iter().sum())
            }
        }
    }

    fn inverse(&self, z: &[f64]) -> Vec<f64> {
        match self {
            Stage::Standardize { mean, std } => (0..z.len()).map(|i| z[i] * std[i] + mean[i]).collect(),
            Stage::SoftTail { knee } => {
                let tail = |z: &f64| {
                    let beyond = z.abs() - knee;
                    if beyond <= 0.0 {
                        *z
                    } else {
                        z.signum() * (knee + beyond.exp_m1())
                    }
                };
                z.iter().map(tail).collect()
            }
            Stage::Permutation { order } => {
                let mut x = vec![0.0; z.len()];
                for (&z, &to) in z.iter().zip(order) {
                    x[to] = z;
                }
                x
            }
            Stage::Affine { moved, .. } => {
                let (shift, log_scale) = self.conditioner(z);
                let mut x = z.to_vec();
                for (k, &i) in moved.iter().enumerate() {
                    x[i] = (z[i] - shift[k]) * (-log_scale[k]).exp();
                }
                x
            }
        }
    }

    /// Shift and log_scale; `x` may be either side of the coupling, which leaves the inputs as they are.
    fn conditioner(&self, x: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let Stage::Affine { given, moved, clamp, limit, net } = self else {
            return (Vec::new(), Vec::new());
        };
        let mut h: Vec<f64> = given.iter().map(|&i| x[i].clamp(-limit, *limit)).collect();
        for (index, layer) in net.iter().enumerate() {
            let mut out = layer.bias.clone();
            for (o, out) in out.iter_mut().enumerate() {
                for (w, h) in layer.weights[o * layer.inputs..][..layer.inputs].iter().zip(&h) {
                    *out += w * h;
                }
                if index + 1 < net.len() {
                    *out = out.max(0.0);
                }
            }
            h = out;
        }
        let log_scale = h[moved.len()..].iter().map(|raw| clamp * (raw / clamp).tanh()).collect();
        h.truncate(moved.len());
        (h, log_scale)
    }
}

impl Reference {
    /// Maps a reading to the base variable; `x` has one value per feature.
    #[must_use]
    pub fn forward(&self, x: &[f64]) -> Image {
        let mut image = Image { z: x.to_vec(), log_det: 0.0 };
        for stage in &self.stages {
            let (z, log_det) = stage.forward(&image.z);
            image = Image { z, log_det: image.log_det + log_det };
        }
        image
    }

    /// Maps a base variable back to the reading it belongs to.
    #[must_use]
    pub fn inverse(&self, z: &[f64]) -> Vec<f64> {
        self.stages.iter().rev().fold(z.to_vec(), |z, stage| stage.inverse(&z))
    }

    /// Log-density of a reading in nats, in the units of `x`.
    #[must_use]
    pub fn log_prob(&self, x: &[f64]) -> f64 {
        let Image { z, log_det } = self.forward(x);
        let squares: f64 = z.iter().map(|z| z * z).sum();
        log_det - 0.5 * squares - 0.5 * self.features as f64 * (2.0 * std::f64::consts::PI).ln()
    }

    /// Log-density of a reading given in f32, in nats, in the units of `x`.
    #[must_use]
    pub fn log_prob_f32(&self, x: &[f32]) -> f64 {
        self.log_prob(&widen(x))
    }

    /// All conditioner parameters, coupling by coupling, layer by layer, weights before biases: the order in
    /// which [`Flow`] holds them.
    pub fn parameters_mut(&mut self) -> impl Iterator<Item = &mut f64> {
        self.stages
            .iter_mut()
            .flat_map(|stage| match stage {
                Stage::Affine { net, .. } => net.as_mut_slice(),
                _ => &mut [],
            })
            .flat_map(|layer| layer.weights.iter_mut().chain(&mut layer.bias))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Mlp, Permutation, SoftTail, Standardize};
    use super::*;

    /// A small generator, so that this file depends on nothing: an LCG's high bits, uniform on -1..1.
    fn uniform(state: &mut u64) -> f32 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 40) as f32 / 8_388_608.0 - 1.0
    }

    fn random_flow(features: usize, state: &mut u64) -> Flow {
        let mut transforms = vec![
            Transform::Standardize(Standardize {
                mean: (0..features).map(|_| 3.0 * uniform(state)).collect(),
                std: (0..features).map(|_| 1.5 + uniform(state)).collect(),
            }),
            Transform::SoftTail(SoftTail { knee: 2.5 }),
        ];
        for layer in 0..4 {
            let mut order: Vec<usize> = (0..features).collect();
            order.rotate_left(layer % features);
            transforms.push(Transform::Permutation(Permutation { order }));
            let mut c = AffineCoupling {
                split: 1 + layer % (features - 1),
                condition_on_first: layer % 2 == 0,
                clamp: 1.5,
                input_limit: 3.0,
                conditioner: Mlp { layers: Vec::new() },
            };
            let (given, moved) = c.parts(features);
            for (inputs, outputs) in [(given, 5), (5, 2 * moved)] {
                c.conditioner.layers.push(Dense {
                    inputs,
                    outputs,
                    weights: (0..inputs * outputs).map(|_| uniform(state)).collect(),
                    bias: (0..outputs).map(|_| uniform(state)).collect(),
                });
            }
            transforms.push(Transform::AffineCoupling(c));
        }
        Flow { features, transforms }
    }

    #[test]
    fn the_inverse_undoes_the_forward_map() {
        let mut state = 7;
        for features in [2, 3, 5, 8] {
            let reference = Reference::from(&random_flow(features, &mut state));
            for scale in [0.1, 1.0, 30.0] {
                let x: Vec<f64> = (0..features).map(|_| scale * f64::from(uniform(&mut state))).collect();
                let back = reference.inverse(&reference.forward(&x).z);
                for (x, back) in x.iter().zip(&back) {
                    assert!((x - back).abs() < 1e-9 * (1.0 + x.abs()), "{x} came back as {back}");
                }
            }
        }
    }

    #[test]
    fn log_det_is_the_jacobian_determinant() {
        let mut state = 11;
        let reference = Reference::from(&random_flow(2, &mut state));
        for scale in [0.3, 2.0, 20.0] {
            let x: Vec<f64> = (0..2).map(|_| scale * f64::from(uniform(&mut state))).collect();
            let h = 1e-6;
            let column = |i: usize| {
                let (mut up, mut down) = (x.clone(), x.clone());
                up[i] += h;
                down[i] -= h;
                let (up, down) = (reference.forward(&up).z, reference.forward(&down).z);
                [(up[0] - down[0]) / (2.0 * h), (up[1] - down[1]) / (2.0 * h)]
            };
            let (a, b) = (column(0), column(1));
            let determinant = (a[0] * b[1] - a[1] * b[0]).abs();
            let log_det = reference.forward(&x).log_det;
            assert!((determinant.ln() - log_det).abs() < 1e-5, "{} against {log_det}", determinant.ln());
        }
    }

    #[test]
    fn log_prob_of_a_standardizer_alone_is_the_gaussian() {
        let flow = Flow {
            features: 2,
            transforms: vec![Transform::Standardize(Standardize {
                mean: vec![1.0, -2.0],
                std: vec![2.0, 0.5],
            })],
        };
        // scipy.stats.norm.logpdf(3, 1, 2) + scipy.stats.norm.logpdf(-1, -2, 0.5)
        let want = (-0.5 - 2.0_f64.ln()) + (-2.0 - 0.5_f64.ln()) - (2.0 * std::f64::consts::PI).ln();
        assert!((Reference::from(&flow).log_prob(&[3.0, -1.0]) - want).abs() < 1e-12);
    }

    #[test]
    fn parameters_come_in_the_order_of_the_flow() {
        let mut state = 3;
        let flow = random_flow(3, &mut state);
        let mut reference = Reference::from(&flow);
        assert_eq!(reference.parameters_mut().count(), flow.parameters());
        let all = flow.dense_layers().flat_map(|d| d.weights.iter().chain(&d.bias));
        for (a, b) in reference.parameters_mut().zip(all) {
            assert_eq!(*a, f64::from(*b));
        }
    }
}
