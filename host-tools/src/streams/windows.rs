//! From a table of samples to a table of features.

use crate::table::Table;
use flowlet::stream::front_end::Samples;
use flowlet::stream::{extract, FrontEnd, Sample, Window};

/// Most samples of a window, all channels together: those of 16 channels of 4,096.
const CAPACITY: usize = 16 * 4096;

/// Why samples give no features.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WindowError {
    /// Fewer samples than a window, or none without a gap.
    #[error("{path}: {samples} samples are no window of {window}{gaps}", gaps = if *.gaps > 0 { format!(", with {} gaps between them", .gaps) } else { String::new() })]
    TooFew {
        /// The file.
        path: String,
        /// Samples of each channel.
        samples: usize,
        /// Samples of a window.
        window: usize,
        /// Places where samples are missing.
        gaps: usize,
    },
    /// A feature that is not finite though its samples are: they are too large.
    #[error("{path}: the samples of window {number} are too large for feature '{name}': use another unit")]
    NotFinite {
        /// The file.
        path: String,
        /// Which window, from 0.
        number: usize,
        /// The feature.
        name: String,
    },
    /// Cannot happen with a checked front end and a table of its channels.
    #[error("{0}")]
    Runtime(#[from] flowlet::Error),
}

/// When a window of labelled samples is anomalous.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Labelling {
    /// If at least this share of its samples is, and one of them: 0 is any.
    pub share: f64,
}

/// The features of every window of a table of samples, whose columns are the front end's channels.
///
/// Rows of the result are windows, in order; window `w` has the samples from `w * hop` on, unless rows were left out: no
/// window reaches over such a gap, and after one the next begins. Computed by the device's own code.
///
/// # Errors
/// [`WindowError`].
pub fn features(
    front_end: &FrontEnd<'_>,
    names: &[String],
    table: &Table,
    labelling: Labelling,
) -> Result<Table, WindowError> {
    match front_end.samples() {
        Samples::F32 => of::<f32>(front_end, names, table, labelling, |x, _| (x, false)),
        Samples::I16 => of::<i16>(front_end, names, table, labelling, |x, scale| {
            let count = (f64::from(x) / f64::from(scale)).round();
            (count as i16, !(-32768.0..=32767.0).contains(&count))
        }),
    }
}

fn of<T: Sample>(
    front_end: &FrontEnd<'_>,
    names: &[String],
    table: &Table,
    labelling: Labelling,
    sample: impl Fn(f32, f32) -> (T, bool),
) -> Result<Table, WindowError>
where
    T::Word: Default,
{
    let path = || table.path.display().to_string();
    let scales: Vec<f32> = front_end.channels().map(|channel| channel.scale).collect();
    let mut window = Box::new(Window::<T, CAPACITY>::new(front_end)?);
    let mut scratch = vec![T::Word::default(); front_end.scratch_words()];
    let mut row = vec![0.0; front_end.features()];
    let mut counts = vec![T::ZERO; scales.len()];
    let mut values = Vec::new();
    let mut labels = table.labels.as_ref().map(|_| Vec::new());
    let (mut rows, mut gaps, mut clipped) = (0, 0, 0_usize);
    for (index, samples) in table.iter_rows().enumerate() {
        if index > 0 && table.row_number(index) != table.row_number(index - 1) + 1 {
            window.clear();
            gaps += 1;
        }
        for ((count, &x), &scale) in counts.iter_mut().zip(samples).zip(&scales) {
            let (value, is_clipped) = sample(x, scale);
            *count = value;
            clipped += usize::from(is_clipped);
        }
        if !window.push(&counts)? {
            continue;
        }
        let found = extract(front_end, &window, &mut scratch, &mut row)?;
        if let Some(wrong) = found.iter().position(|x| !x.is_finite()) {
            let name = names.get(wrong).cloned().unwrap_or_default();
            return Err(WindowError::NotFinite { path: path(), number: rows, name });
        }
        values.extend_from_slice(found);
        rows += 1;
        if let (Some(labels), Some(of_samples)) = (&mut labels, &table.labels) {
            let length = front_end.window();
            let anomalous = of_samples[index + 1 - length..=index].iter().filter(|&&is| is).count();
            labels.push(anomalous > 0 && anomalous as f64 >= labelling.share * length as f64);
        }
    }
    if rows == 0 {
        return Err(WindowError::TooFew {
            path: path(),
            samples: table.rows,
            window: front_end.window(),
            gaps,
        });
    }
    let mut notes = table.notes.clone();
    if gaps > 0 {
        notes.push(format!("{}: no window reaches over the {gaps} gaps where rows were left out", path()));
    }
    if clipped > 0 {
        notes.push(format!("{}: {clipped} samples are beyond ±32,768 counts and were clipped", path()));
    }
    Ok(Table {
        path: table.path.clone(),
        columns: names.to_vec(),
        rows,
        values,
        labels,
        notes,
        skipped_rows: table.skipped_rows,
        row_numbers: None,
        ..Table::default()
    })
}
