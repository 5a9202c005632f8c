//! Lays an image out: header, descriptor, words.

use super::dense::{EncodedDense, Numbers};
use super::observe::{observe, Observed};
use super::{quantizer, ExportError, ImageFile, Metadata, Numeric, Sketch};
use crate::flow::{AffineCoupling, Flow, Mlp, Permutation, Standardize, Transform};
use flowlet::arithmetic::dense::Encoding;
use flowlet::arithmetic::fixed::QUANTILE_BITS;
use flowlet::base::BaseRecord;
use flowlet::image::descriptor::{
    CalibrationRecord, Combine, ExpertRecord, Feature, Head, SelfTestRecord, Statistic,
};
use flowlet::image::layout::{checksum, field, CHECKSUM_FROM, HEADER_BYTES, MAGIC, VERSION, WORDS_ALIGNMENT};
use flowlet::transform::{affine_coupling, kind};
use flowlet::Error;

/// A flow as words: standardizer first, then its chain.
pub(super) struct Encoded {
    words: Vec<u32>,
    chain: usize,
    transforms: usize,
    /// The layers of each coupling's net, for the certified bound.
    nets: Vec<Vec<EncodedDense>>,
}

impl Encoded {
    /// Encodes `flow` for `numeric`; activation ranges come from `readings`.
    pub(super) fn new(flow: &Flow, numeric: Numeric, readings: &[f32]) -> Result<Self, ExportError> {
        let mut transforms = flow.transforms.as_slice();
        let unit = Standardize { mean: vec![0.0; flow.features], std: vec![1.0; flow.features] };
        let standardizer = match transforms.split_first() {
            Some((Transform::Standardize(s), rest)) => {
                transforms = rest;
                s
            }
            _ => &unit,
        };
        let observed = if is_fixed(numeric) { observe(flow, readings) } else { Vec::new() };
        let mut words = Vec::new();
        standardize(standardizer, numeric, &mut words)?;
        let chain = words.len();
        let mut nets: Vec<Vec<EncodedDense>> = Vec::new();
        for transform in transforms {
            let head = words.len();
            words.push(0);
            let kind = match transform {
                Transform::Standardize(_) => {
                    return Err(ExportError::Flow("only the first transform can standardize".into()))
                }
                Transform::SoftTail(t) => {
                    words.push(value(t.knee, numeric, "knee")?);
                    kind::SOFT_TAIL
                }
                Transform::Permutation(p) => {
                    permutation(p, &mut words);
                    kind::PERMUTATION
                }
                Transform::AffineCoupling(c) => {
                    let observed = observed.get(nets.len()).map_or(&[][..], Vec::as_slice);
                    nets.push(affine(c, numeric, observed, &mut words)?);
                    kind::AFFINE_COUPLING
                }
            };
            let length = words.len() - head - 1;
            if length >= 1 << 24 {
                return Err(ExportError::Flow("a transform has more than 64 MiB of parameters".into()));
            }
            words[head] = u32::from(kind) | (length as u32) << 8;
        }
        Ok(Encoded { words, chain, transforms: transforms.len(), nets })
    }

    /// The layers of each coupling's net, in density order.
    pub(super) fn nets(&self) -> &[Vec<EncodedDense>] {
        &self.nets
    }
}

fn is_fixed(numeric: Numeric) -> bool {
    matches!(numeric, Numeric::I16 | Numeric::I8)
}

/// A parameter of the chain in the arithmetic's numbers.
fn value(x: f32, numeric: Numeric, what: &str) -> Result<u32, ExportError> {
    if !is_fixed(numeric) {
        return Ok(x.to_bits());
    }
    let scaled = (f64::from(x) * 65536.0).round();
    if scaled.abs() < f64::from(i32::MAX) {
        Ok(scaled as i32 as u32)
    } else {
        Err(ExportError::Flow(format!("a {what} of {x} does not fit Q15.16 (below 32768)")))
    }
}

/// A log-density as two words.
fn log(x: f64, numeric: Numeric) -> [u32; 2] {
    if is_fixed(numeric) {
        let fixed = (x * 65536.0).round() as i64;
        [fixed as u32, (fixed >> 32) as u32]
    } else {
        [(x as f32).to_bits(), 0]
    }
}

fn standardize(s: &Standardize, numeric: Numeric, words: &mut Vec<u32>) -> Result<(), ExportError> {
    let log_det = -s.std.iter().map(|&std| f64::from(std).ln()).sum::<f64>();
    words.extend(log(log_det, numeric));
    for (feature, (&mean, &std)) in s.mean.iter().zip(&s.std).enumerate() {
        let inverse = (1.0 / f64::from(std)) as f32;
        if !(mean.is_finite() && std.is_normal() && std > 0.0 && inverse.is_normal()) {
            return Err(ExportError::Flow(format!(
                "feature {feature} has mean {mean} and standard deviation {std}: rescale it to a sane unit"
            )));
        }
        if !is_fixed(numeric) {
            words.extend([mean.to_bits(), inverse.to_bits(), std.to_bits()]);
            continue;
        }
        // std * 2^exponent in [2^20, 2^21).
        let exponent = 20 - f64::from(std).log2().floor() as i32;
        let scale = f64::from(std) * f64::from(exponent).exp2();
        let center = (f64::from(mean) * f64::from(exponent).exp2()).round();
        if center.abs() >= 61f64.exp2() {
            return Err(ExportError::Flow(format!(
                "feature {feature} has mean {mean} and standard deviation {std}: its readings do not vary \
                 enough for fixed point; leave it out with --ignore, or use --numeric f32"
            )));
        }
        let center = center as i64;
        let multiplier = (44f64.exp2() / scale).round() as u32;
        words.extend([
            center as u32,
            (center >> 32) as u32,
            multiplier,
            scale.round() as u32,
            exponent as u32,
        ]);
    }
    Ok(())
}

fn permutation(p: &Permutation, words: &mut Vec<u32>) {
    for pair in p.order.chunks(2) {
        words.push(pair[0] as u32 | (pair.get(1).copied().unwrap_or(0) as u32) << 16);
    }
}

fn affine(
    c: &AffineCoupling,
    numeric: Numeric,
    observed: &[Observed],
    words: &mut Vec<u32>,
) -> Result<Vec<EncodedDense>, ExportError> {
    let net = normalized(&c.conditioner, c.clamp);
    let (layers, limit, shift) = if is_fixed(numeric) {
        let (limit, shift) = quantizer::input_format(c.input_limit)?;
        let encoding = if numeric == Numeric::I8 { Encoding::I8Rows4 } else { Encoding::I16Rows4 };
        (quantizer::quantize(&net, encoding, shift, observed)?, limit as u32, shift)
    } else {
        (float_layers(&net), c.input_limit.to_bits(), 0)
    };
    words.push(c.split as u32 | u32::from(c.condition_on_first) << 16 | u32::from(shift) << 24);
    words.push(value(c.clamp, numeric, "clamp of the log-scale")?);
    words.push(limit);
    words.push(u32::from(affine_coupling::MLP) | (layers.len() as u32) << 8);
    for layer in &layers {
        layer.write(words);
    }
    Ok(layers)
}

/// The net with its raw log-scales in units of the clamp, as the image has them: `log_scale = clamp
/// tanh(raw)`.
pub(super) fn normalized(net: &Mlp, clamp: f32) -> Mlp {
    let mut net = net.clone();
    if let Some(last) = net.layers.last_mut() {
        let from = last.outputs / 2;
        last.weights[from * last.inputs..].iter_mut().for_each(|w| *w /= clamp);
        last.bias[from..].iter_mut().for_each(|b| *b /= clamp);
    }
    net
}

fn float_layers(net: &Mlp) -> Vec<EncodedDense> {
    let last = net.layers.len() - 1;
    net.layers
        .iter()
        .enumerate()
        .map(|(index, layer)| EncodedDense {
            inputs: layer.inputs,
            outputs: layer.outputs,
            encoding: Encoding::F32Rows4,
            is_output: index == last,
            shift: 0,
            gains: vec![1.0; layer.outputs],
            numbers: Numbers::Float { weights: layer.weights.clone(), bias: layer.bias.clone() },
        })
        .collect()
}

/// The whole image, accepted by the device's own check.
pub(super) fn image(
    flow: &Encoded,
    metadata: &Metadata,
    numeric: Numeric,
    sketch: &Sketch,
    self_test: &[(&[f32], f32)],
) -> Result<ImageFile, ExportError> {
    let mut words = flow.words.clone();
    let calibration = CalibrationRecord {
        offset: words.len() as u32,
        quantiles: sketch.quantiles.len() as u16,
        readings: sketch.readings as u32,
        false_alarm_rate: sketch.false_alarm_rate,
    };
    words.extend(log(sketch.threshold, numeric));
    for &quantile in &sketch.quantiles {
        words.push(if is_fixed(numeric) {
            // `as` saturates.
            (quantile * f64::from(1 << QUANTILE_BITS)).round() as i32 as u32
        } else {
            (quantile as f32).to_bits()
        });
    }
    let self_test_record = SelfTestRecord { offset: words.len() as u32, vectors: self_test.len() as u16 };
    for (reading, log_prob) in self_test {
        words.extend(reading.iter().chain([log_prob]).map(|x| x.to_bits()));
    }
    let head = Head {
        name: &metadata.name,
        provenance: &metadata.provenance,
        front_end: &[],
        numeric,
        features: metadata.features.len() as u16,
        contexts: 0,
        experts: 1,
        quoted: 0,
        combine: Combine::Quoted,
        statistic: Statistic::NegativeLogProb,
        entropy: sketch.mean as f32,
        standardizer: 0,
        calibration,
        self_test: self_test_record,
    };
    let expert = ExpertRecord {
        chain: flow.chain as u32,
        transforms: flow.transforms as u16,
        base: BaseRecord::StandardNormal,
    };
    let mut descriptor = encode(&head)?;
    for (name, unit) in &metadata.features {
        descriptor.extend(encode(&Feature { name, unit })?);
    }
    descriptor.extend(encode(&expert)?);

    // The device's check says what workspace the transforms need: one place knows it.
    match seal(&descriptor, &words, 0).model() {
        Ok(_) => Ok(seal(&descriptor, &words, 0)),
        Err(Error::WorkspaceMismatch { needed, .. }) => {
            let image = seal(&descriptor, &words, needed);
            image.model()?;
            Ok(image)
        }
        Err(e) => Err(e.into()),
    }
}

fn encode(record: &impl serde::Serialize) -> Result<Vec<u8>, ExportError> {
    postcard::to_stdvec(record).map_err(|e| ExportError::Flow(e.to_string()))
}

/// Header, descriptor, padding and words as one file.
fn seal(descriptor: &[u8], words: &[u32], workspace: u32) -> ImageFile {
    let from = (HEADER_BYTES + descriptor.len()).next_multiple_of(WORDS_ALIGNMENT);
    let mut bytes = vec![0; from];
    bytes[HEADER_BYTES..][..descriptor.len()].copy_from_slice(descriptor);
    bytes.extend(words.iter().flat_map(|w| w.to_le_bytes()));
    let length = bytes.len() as u32;
    let mut put = |at: usize, field: &[u8]| bytes[at..][..field.len()].copy_from_slice(field);
    put(0, &MAGIC);
    put(field::VERSION, &VERSION.to_le_bytes());
    put(field::LENGTH, &length.to_le_bytes());
    put(field::DESCRIPTOR_LENGTH, &(descriptor.len() as u32).to_le_bytes());
    put(field::WORDS, &(from as u32).to_le_bytes());
    put(field::WORKSPACE, &workspace.to_le_bytes());
    let crc = checksum(&bytes[CHECKSUM_FROM..]);
    bytes[field::CHECKSUM..][..4].copy_from_slice(&crc.to_le_bytes());
    ImageFile::from_bytes(&bytes)
}
