//! Lays an image out: header, descriptor, words.

use super::encode::{is_fixed, log, Encoded};
use super::{present, ExportError, ImageFile, Metadata, Numeric, Sketch};
use flowlet::arithmetic::fixed::QUANTILE_BITS;
use flowlet::image::descriptor::{
    AlarmRecord, CalibrationRecord, CertificateRecord, Combine, Feature, Head, Notes, OtherStatistics,
    SelfTestRecord, Statistic,
};
use flowlet::image::layout::{checksum, field, CHECKSUM_FROM, HEADER_BYTES, MAGIC, VERSION, WORDS_ALIGNMENT};
use flowlet::Error;

/// What an image says of its experts, and how it judges by them.
pub(super) struct Verdict<'a> {
    pub(super) combine: Combine,
    pub(super) quoted: usize,
    /// The statistic in use.
    pub(super) statistic: Statistic,
    /// Mean of `-log_prob` over normal readings, in nats.
    pub(super) entropy: f64,
    /// One per statistic, in the order of [`Statistic::ALL`].
    pub(super) sketches: &'a [Sketch; 3],
}

/// The whole image, accepted by the device's own check.
pub(super) fn image(
    (flow, trained_as): (&Encoded, &str),
    metadata: &Metadata,
    numeric: Numeric,
    verdict: &Verdict<'_>,
    self_test: &[(&[f32], f32)],
) -> Result<ImageFile, ExportError> {
    let mut words = flow.words.clone();
    let records = verdict.sketches.each_ref().map(|sketch| calibration(sketch, numeric, &mut words));
    let used = verdict.statistic as usize;
    let others: Vec<CalibrationRecord> = (0..3).filter(|&i| i != used).map(|i| records[i]).collect();
    let self_test_record = SelfTestRecord { offset: words.len() as u32, vectors: self_test.len() as u16 };
    for (reading, log_prob) in self_test {
        words.extend(reading.iter().chain([log_prob]).map(|x| x.to_bits()));
    }
    let head = Head {
        name: &metadata.name,
        provenance: &metadata.provenance,
        front_end: &metadata.front_end,
        numeric,
        features: metadata.features.len() as u16,
        contexts: metadata.contexts.len() as u16,
        experts: flow.experts.len() as u8,
        quoted: verdict.quoted as u8,
        combine: verdict.combine,
        statistic: verdict.statistic,
        entropy: verdict.entropy as f32,
        standardizer: 0,
        calibration: records[used],
        self_test: self_test_record,
    };
    let mut descriptor = encode(&head)?;
    for (name, unit) in metadata.features.iter().chain(&metadata.contexts) {
        descriptor.extend(encode(&Feature { name, unit })?);
    }
    for expert in &flow.experts {
        descriptor.extend(encode(expert)?);
    }
    descriptor.extend(encode(&Notes { trained_as })?);
    descriptor.extend(encode(&OtherStatistics { others: [others[0], others[1]] })?);

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

/// The image with one more record at the end of its descriptor; `None` if it already has one, or has no room for it because
/// the record before it is missing.
pub(super) fn with_certificate(image: &ImageFile, record: &CertificateRecord) -> Option<ImageFile> {
    let model = image.model().ok()?;
    let is_last = Statistic::ALL.into_iter().all(|s| model.calibration_of(s).is_some());
    if !is_last || model.certificate().is_some() {
        return None;
    }
    with_ending(image, 0, record)
}

/// The image with these settings at the end of its descriptor, in place of those that it has; `None` if there is no room for
/// them because the records before them are missing.
///
/// Where nothing was proved of its scores, a certificate says so: records are told by their order.
pub(super) fn with_alarm(image: &ImageFile, record: &AlarmRecord) -> Option<ImageFile> {
    const UNPROVED: CertificateRecord = CertificateRecord {
        over_box: f32::INFINITY,
        near_rows: f32::INFINITY,
        radius: 0.0,
        at_rows: f32::INFINITY,
        rows: 0,
    };
    let model = image.model().ok()?;
    let certified = match model.certificate() {
        Some(_) => image.clone(),
        None => with_certificate(image, &UNPROVED)?,
    };
    let old = match present(model.alarm()).ok()? {
        Some(old) => encode(&AlarmRecord::from(old)).ok()?.len(),
        None => 0,
    };
    with_ending(&certified, old, record)
}

/// The image with a record in place of the last so many bytes of its descriptor.
fn with_ending(image: &ImageFile, old: usize, record: &impl serde::Serialize) -> Option<ImageFile> {
    let bytes = image.bytes();
    let number = |at: usize| bytes.get(at..)?.first_chunk::<4>().map(|b| u32::from_le_bytes(*b));
    let length = (number(field::DESCRIPTOR_LENGTH)? as usize).checked_sub(old)?;
    let mut descriptor = bytes.get(HEADER_BYTES..)?.get(..length)?.to_vec();
    descriptor.extend(encode(record).ok()?);
    let words = bytes.get(number(field::WORDS)? as usize..)?.as_chunks::<4>().0;
    let words: Vec<u32> = words.iter().map(|w| u32::from_le_bytes(*w)).collect();
    let changed = seal(&descriptor, &words, number(field::WORKSPACE)?);
    changed.model().ok()?;
    Some(changed)
}

/// Appends the words of a calibration; gives its record.
fn calibration(sketch: &Sketch, numeric: Numeric, words: &mut Vec<u32>) -> CalibrationRecord {
    let offset = words.len() as u32;
    words.extend(log(sketch.threshold, numeric));
    for &quantile in &sketch.quantiles {
        words.push(if is_fixed(numeric) {
            // `as` saturates.
            (quantile * f64::from(1 << QUANTILE_BITS)).round() as i32 as u32
        } else {
            (quantile as f32).to_bits()
        });
    }
    CalibrationRecord {
        offset,
        quantiles: sketch.quantiles.len() as u16,
        readings: sketch.readings as u32,
        false_alarm_rate: sketch.false_alarm_rate,
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
