//! Front-end records for tests.

use flowlet::stream::front_end::{Channel, Extractor, Form, FrontEndHead, Samples};
use flowlet::stream::{extract, FrontEnd, Sample, Window};
use flowlet_tools::export::{arrange, build, Calibration, Core, ImageFile, Metadata, Numeric};

use crate::{metadata, normal_readings, random_flow, Random};

/// The bytes of a front-end record.
///
/// # Panics
/// If postcard does.
#[must_use]
pub fn record(head: FrontEndHead, channels: &[Channel<'_>], extractors: &[Extractor<'_>]) -> Vec<u8> {
    let mut bytes = postcard::to_stdvec(&head).expect("a head");
    channels.iter().for_each(|c| bytes.extend(postcard::to_stdvec(c).expect("a channel")));
    extractors.iter().for_each(|e| bytes.extend(postcard::to_stdvec(e).expect("an extractor")));
    bytes
}

/// Edges of bands as a record has them.
#[must_use]
pub fn edges(bins: &[u16]) -> Vec<u8> {
    bins.iter().flat_map(|bin| bin.to_le_bytes()).collect()
}

/// What a test's front end looks at.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// f32 or i16.
    pub samples: Samples,
    /// Samples of a window.
    pub window: u16,
    /// Samples to the next.
    pub hop: u32,
    /// Hz.
    pub rate: f32,
    /// Units in a count.
    pub scale: f32,
    /// See [`Channel::floor`].
    pub floor: f32,
}

impl Plan {
    /// The record of two channels with every extractor in this form, and their correlation at the end.
    ///
    /// Per channel mean, RMS, peak, crest, kurtosis, skewness, crossings, jerk, 5 bands, centroid, 3 bands of the envelope.
    #[must_use]
    pub fn everything(&self, form: Form) -> Vec<u8> {
        let n = self.window;
        let bands = edges(&[1, 2, n / 16, n / 8, n / 4, n / 2]);
        let modulations = edges(&[1, 2, 4, n / 8]);
        let mut extractors = Vec::new();
        for channel in 0..2 {
            extractors.extend([
                Extractor::Mean { channel },
                Extractor::Rms { channel, form },
                Extractor::Peak { channel, form },
                Extractor::Crest { channel, form },
                Extractor::Kurtosis { channel, form },
                Extractor::Skewness { channel },
                Extractor::ZeroCrossings { channel },
                Extractor::Jerk { channel, form },
                Extractor::Bands { channel, form, edges: &bands },
                Extractor::Centroid { channel, form, from: 1, to: n / 2 },
                Extractor::Envelope { channel, form, from: n / 8, to: n / 4, edges: &modulations },
            ]);
        }
        extractors.push(Extractor::Correlation { channel: 0, other: 1 });
        self.record(2, &extractors)
    }

    /// A record of some channels, named a, b, ...
    #[must_use]
    pub fn record(&self, channels: u8, extractors: &[Extractor<'_>]) -> Vec<u8> {
        let head = FrontEndHead {
            version: 1,
            samples: self.samples,
            rate: self.rate,
            window: self.window,
            hop: self.hop,
            channels,
            extractors: extractors.len() as u16,
        };
        let names: Vec<String> = (b'a'..b'a' + channels).map(|name| char::from(name).to_string()).collect();
        let channel = |name| Channel { name, unit: "g", scale: self.scale, floor: self.floor };
        let channels: Vec<Channel<'_>> = names.iter().map(|name| channel(name.as_str())).collect();
        record(head, &channels, extractors)
    }
}

/// Features of every window of samples (one vector a channel), one after the other.
///
/// # Panics
/// If the record is refused or the channels' lengths differ.
#[must_use]
pub fn features<T: Sample>(record: &[u8], channels: &[Vec<T>]) -> Vec<Vec<f32>>
where
    T::Word: Default,
{
    let front_end = FrontEnd::parse(record).expect("a good record");
    let mut window = Box::new(Window::<T, 8192>::new(&front_end).expect("room"));
    let mut scratch = vec![T::Word::default(); front_end.scratch_words()];
    let mut features = vec![0.0; front_end.features()];
    let mut found = Vec::new();
    for at in 0..channels[0].len() {
        let sample: Vec<T> = channels.iter().map(|channel| channel[at]).collect();
        if window.push(&sample).expect("as many channels") {
            let row = extract(&front_end, &window, &mut scratch, &mut features).expect("features");
            found.push(row.to_vec());
        }
    }
    found
}

/// Extracts the features of a window of random samples, unless a window is too long for 128 of them.
///
/// # Panics
/// If that fails.
pub fn extracts_any_samples(random: &mut Random, front_end: &FrontEnd<'_>) {
    let mut features = vec![0.0; front_end.features()];
    let channels = front_end.channel_count();
    match front_end.samples() {
        Samples::F32 => {
            let mut scratch = vec![0f32; front_end.scratch_words()];
            let Ok(mut window) = Window::<f32, 128>::new(front_end) else { return };
            for _ in 0..front_end.window() {
                let sample: Vec<f32> = (0..channels).map(|_| random.normal()).collect();
                window.push(&sample).expect("as many channels");
            }
            extract(front_end, &window, &mut scratch, &mut features).expect("features");
        }
        Samples::I16 => {
            let mut scratch = vec![0i32; front_end.scratch_words()];
            let Ok(mut window) = Window::<i16, 128>::new(front_end) else { return };
            for _ in 0..front_end.window() {
                let sample: Vec<i16> = (0..channels).map(|_| random.below(65_536) as u16 as i16).collect();
                window.push(&sample).expect("as many channels");
            }
            extract(front_end, &window, &mut scratch, &mut features).expect("features");
            assert!(features.iter().all(|x| !x.is_nan()));
        }
    }
}

/// An image of a random affine flow over the features of a front end.
///
/// # Panics
/// If the record is refused.
#[must_use]
pub fn image(random: &mut Random, record: &[u8], numeric: Numeric, core: Core) -> ImageFile {
    let features = FrontEnd::parse(record).expect("a good record").features();
    let flow = random_flow(random, features, 2, &[12]);
    let readings = normal_readings(random, &flow, 200);
    let metadata = Metadata { front_end: record.to_vec(), ..metadata(features) };
    let calibration = Calibration { readings: &readings, false_alarm_rate: 0.01 };
    arrange(&build(&flow, numeric, &metadata, calibration).expect("an image"), core).expect("an order")
}
