//! How large an image will be, from the shape of its flows alone: nothing is trained, scored or proved.

use super::encode::Encoded;
use super::{assemble, is_fixed, Calibration, Ensemble, ExportError, ImageFile, Metadata, Numeric, Sketch};
use super::{MIN_READINGS, SELF_TEST_VECTORS};
use flowlet::image::descriptor::CertificateRecord;

/// An image of the size that [`build_observing`](super::build_observing) gives for these flows when it is calibrated on
/// `calibration_rows` readings and, in fixed point, certified. Its numbers mean nothing; its bytes, its workspace and what it
/// is made of are those of the real one, as long as the real flows have the same shape.
///
/// # Errors
/// [`ExportError`], where flows of this shape cannot be written.
pub fn dummy<'f>(
    flow: impl Into<Ensemble<'f>>,
    numeric: Numeric,
    metadata: &Metadata,
    calibration_rows: usize,
) -> Result<ImageFile, ExportError> {
    let ensemble = flow.into();
    ensemble.check()?;
    let inputs = ensemble.quoted_flow().inputs();
    let readings: Vec<f32> =
        (0..4 * inputs).map(|i| if (i / inputs + i) % 2 == 0 { 1.0 } else { -1.0 }).collect();
    let chain = Encoded::new(&ensemble.experts, numeric, &readings)?;
    let rows = calibration_rows.max(MIN_READINGS);
    let statistics: Vec<f64> = (0..rows).map(|row| row as f64 / rows as f64).collect();
    let sketch = Sketch::new(&statistics, 0, Calibration { readings: &[], false_alarm_rate: 0.5 })?;
    let sketches = [sketch.clone(), sketch.clone(), sketch];
    let self_test = vec![(&readings[..inputs], 0.0); SELF_TEST_VECTORS];
    let image = assemble::image(
        (&chain, &chain.trained_as),
        metadata,
        numeric,
        &ensemble.verdict(0.5, &sketches),
        &self_test,
    )?;
    if !is_fixed(numeric) {
        return Ok(image);
    }
    // Training looks at 64 rows at most: below 128, all counts have the same length.
    let rows = calibration_rows.min(64) as u32;
    let record = CertificateRecord { over_box: 1.0, near_rows: 1.0, radius: 1.0, at_rows: 1.0, rows };
    Ok(assemble::with_certificate(&image, &record).unwrap_or(image))
}
