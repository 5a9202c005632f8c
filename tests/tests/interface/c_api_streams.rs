//! Streams of `flowlet.h`, called as C calls them: windows and features are the runtime's, and what is given wrongly is an
//! error code.
#![allow(unsafe_code, reason = "functions of C take pointers")]

use c_api::flowlet_status_t::*;
use c_api::*;
use flowlet::stream::front_end::{Form, Samples};
use flowlet_tests::streams::{features, image, Plan};
use flowlet_tests::{golden, Random};
use flowlet_tools::export::{Core, ImageFile, Numeric};
use std::mem::zeroed;
use std::ptr::{null, null_mut};

const CHANNELS: usize = 2;

fn plan(samples: Samples) -> Plan {
    Plan { samples, window: 64, hop: 40, rate: 1000.0, scale: 0.25, floor: 0.01 }
}

fn stream_image(samples: Samples) -> (ImageFile, Vec<u8>) {
    let record = plan(samples).everything(Form::Log2);
    (image(&mut Random(31), &record, Numeric::I16, Core::default()), record)
}

fn open(image: &ImageFile) -> flowlet_model_t {
    // SAFETY: a model of zeros is one that is not open; the image outlives every model of these tests.
    unsafe {
        let mut model = zeroed();
        assert_eq!(flowlet_open(&mut model, image.bytes().as_ptr().cast(), image.bytes().len()), FLOWLET_OK);
        model
    }
}

/// A model's stream, and the buffer that it works in.
struct Stream {
    stream: flowlet_stream_t,
    // Used through the stream alone.
    _buffer: Vec<u32>,
}

impl Stream {
    fn of(model: &flowlet_model_t) -> Self {
        // SAFETY: a stream of zeros is one that is not open; the buffer stays where it is on the heap.
        unsafe {
            let mut buffer = vec![u32::MAX; flowlet_stream_words(model)];
            let mut stream = zeroed();
            let opened = flowlet_stream_open(&mut stream, model, buffer.as_mut_ptr(), buffer.len());
            assert_eq!(opened, FLOWLET_OK);
            Stream { stream, _buffer: buffer }
        }
    }

    fn push_counts(&mut self, counts: &[i16]) -> Result<bool, flowlet_status_t> {
        let mut complete = false;
        // SAFETY: slices are as long as they say, here and below.
        match unsafe { flowlet_push_counts(&mut self.stream, counts.as_ptr(), counts.len(), &mut complete) } {
            FLOWLET_OK => Ok(complete),
            error => Err(error),
        }
    }

    fn push(&mut self, samples: &[f32]) -> Result<bool, flowlet_status_t> {
        let mut complete = false;
        // SAFETY: as above.
        match unsafe { flowlet_push(&mut self.stream, samples.as_ptr(), samples.len(), &mut complete) } {
            FLOWLET_OK => Ok(complete),
            error => Err(error),
        }
    }

    fn features(&mut self, count: usize) -> Result<Vec<u32>, flowlet_status_t> {
        let mut features = vec![0.0; count];
        // SAFETY: as above.
        match unsafe { flowlet_features(&mut self.stream, features.as_mut_ptr(), count) } {
            FLOWLET_OK => Ok(features.iter().map(|x: &f32| x.to_bits()).collect()),
            error => Err(error),
        }
    }
}

/// Samples of two channels: noise on a slow swing.
fn counts(length: usize) -> Vec<[i16; CHANNELS]> {
    let mut random = Random(32);
    let swing = |at: usize| (9000.0 * (0.05 * at as f32).sin()) as i16;
    (0..length)
        .map(|at| [(900.0 * random.normal()) as i16 + swing(at), (50.0 * random.normal()) as i16])
        .collect()
}

fn bits(windows: Vec<Vec<f32>>) -> Vec<Vec<u32>> {
    windows.into_iter().map(|row| row.into_iter().map(f32::to_bits).collect()).collect()
}

#[test]
fn windows_and_features_in_c_are_the_runtimes() {
    for samples in [Samples::F32, Samples::I16] {
        let (image, record) = stream_image(samples);
        let model = open(&image);
        let inputs = image.model().expect("a good image").inputs();
        // SAFETY: the model is open.
        assert_eq!(unsafe { flowlet_channel_count(&model) }, CHANNELS);
        let sent = counts(400);
        let channel = |at: usize| sent.iter().map(move |sample| sample[at]);
        let in_units = |at: usize| channel(at).map(|count| f32::from(count) * 0.25).collect::<Vec<f32>>();
        let expected = bits(match samples {
            Samples::F32 => features(&record, &[in_units(0), in_units(1)]),
            Samples::I16 => features(&record, &[0, 1].map(|at| channel(at).collect::<Vec<i16>>())),
        });
        assert_eq!(expected.len(), 9, "windows of 64, 40 apart");

        let mut stream = Stream::of(&model);
        let mut found = Vec::new();
        for sample in &sent {
            match stream.push_counts(sample) {
                Ok(true) => found.push(stream.features(inputs).expect("a complete window")),
                Ok(false) => assert_eq!(stream.features(inputs), Err(FLOWLET_ERROR_WINDOW_NOT_COMPLETE)),
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(found, expected, "{samples:?}");

        // After a gap a window begins anew.
        let mut again = Stream::of(&model);
        for sample in sent.iter().rev().take(50) {
            assert_eq!(again.push_counts(sample), Ok(false));
        }
        // SAFETY: the stream is open.
        assert_eq!(unsafe { flowlet_stream_clear(&mut again.stream) }, FLOWLET_OK);
        let first = sent.iter().position(|sample| again.push_counts(sample) == Ok(true));
        assert_eq!(first, Some(63));
        assert_eq!(again.features(inputs).as_ref(), Ok(&expected[0]));

        // Samples in units are for windows of such.
        let mut units = Stream::of(&model);
        let pushed: Vec<_> =
            sent.iter().take(64).map(|s| units.push(&s.map(|c| f32::from(c) * 0.25))).collect();
        match samples {
            Samples::F32 => {
                assert_eq!(pushed.last(), Some(&Ok(true)));
                assert_eq!(units.features(inputs).as_ref(), Ok(&expected[0]));
            }
            Samples::I16 => assert!(pushed.iter().all(|&found| found == Err(FLOWLET_ERROR_UNSUPPORTED))),
        }
    }
}

/// A pointer that is off by one byte.
fn off<T>(pointer: *mut T) -> *mut T {
    pointer.cast::<u8>().wrapping_add(1).cast()
}

#[test]
fn streams_that_are_given_wrongly_are_error_codes() {
    let (image, _) = stream_image(Samples::I16);
    let model = open(&image);
    let inputs = image.model().expect("a good image").inputs();
    let plain = golden::image(Numeric::I8);
    let readings = open(&plain);
    // SAFETY: whatever passes the checks is as long as it says.
    unsafe {
        let closed: flowlet_model_t = zeroed();
        for none in [null(), &raw const closed, &raw const readings] {
            assert_eq!((flowlet_channel_count(none), flowlet_stream_words(none)), (0, 0));
        }
        let words = flowlet_stream_words(&model);
        // Two channels of 64 counts, and scratch of 64 words.
        assert_eq!(words, 64 * CHANNELS / 2 + 64);
        let mut buffer = vec![0u32; words];
        let buffer = buffer.as_mut_ptr();
        let mut place: flowlet_stream_t = zeroed();
        let stream = &raw mut place;
        let (mut flag, counts, mut features) = (false, [1i16, 2], vec![0f32; inputs]);
        let (complete, sample, result) = (&raw mut flag, counts.as_ptr(), features.as_mut_ptr());
        // Not open yet.
        assert_eq!(flowlet_push_counts(stream, sample, 2, complete), FLOWLET_ERROR_NOT_OPEN);
        assert_eq!(flowlet_features(stream, result, inputs), FLOWLET_ERROR_NOT_OPEN);
        assert_eq!(flowlet_stream_clear(stream), FLOWLET_ERROR_NOT_OPEN);
        assert_eq!(flowlet_stream_clear(null_mut()), FLOWLET_ERROR_NULL);

        let (at, none) = (&raw const model, &raw const closed);
        for (stream, model, buffer, words, expected) in [
            (null_mut(), at, buffer, words, FLOWLET_ERROR_NULL),
            (stream, null(), buffer, words, FLOWLET_ERROR_NULL),
            (stream, at, null_mut(), words, FLOWLET_ERROR_NULL),
            (off(stream), at, buffer, words, FLOWLET_ERROR_ALIGNMENT),
            (stream, at, off(buffer), words, FLOWLET_ERROR_ALIGNMENT),
            (stream, none, buffer, words, FLOWLET_ERROR_NOT_OPEN),
            (stream, &raw const readings, buffer, words, FLOWLET_ERROR_NO_FRONT_END),
            (stream, at, buffer, words - 1, FLOWLET_ERROR_WINDOW_TOO_SMALL),
            (stream, at, stream.cast(), words, FLOWLET_ERROR_OVERLAP),
            (stream, at, at.cast_mut().cast(), words, FLOWLET_ERROR_OVERLAP),
            (stream, stream.cast_const().cast(), buffer, words, FLOWLET_ERROR_OVERLAP),
        ] {
            assert_eq!(flowlet_stream_open(stream, model, buffer, words), expected);
        }
        assert_eq!(flowlet_stream_open(stream, at, buffer, words), FLOWLET_OK);
        for (counts, channels, complete, expected) in [
            (null(), 2, complete, FLOWLET_ERROR_NULL),
            (sample, 2, null_mut(), FLOWLET_ERROR_NULL),
            (off(sample.cast_mut()).cast_const(), 2, complete, FLOWLET_ERROR_ALIGNMENT),
            (sample, 1, complete, FLOWLET_ERROR_CHANNEL_COUNT),
            (sample, usize::MAX, complete, FLOWLET_ERROR_CHANNEL_COUNT),
            (buffer.cast_const().cast(), 2, complete, FLOWLET_ERROR_OVERLAP),
            (sample, 2, buffer.cast(), FLOWLET_ERROR_OVERLAP),
            (sample, 2, stream.cast(), FLOWLET_ERROR_OVERLAP),
            (sample, 2, complete, FLOWLET_OK),
        ] {
            assert_eq!(flowlet_push_counts(stream, counts, channels, complete), expected);
        }
        for (result, count, expected) in [
            (null_mut(), inputs, FLOWLET_ERROR_NULL),
            (off(result), inputs, FLOWLET_ERROR_ALIGNMENT),
            (result, inputs + 1, FLOWLET_ERROR_INPUT_COUNT),
            (buffer.cast(), inputs, FLOWLET_ERROR_OVERLAP),
            (stream.cast(), inputs, FLOWLET_ERROR_OVERLAP),
            (result, inputs, FLOWLET_ERROR_WINDOW_NOT_COMPLETE),
        ] {
            assert_eq!(flowlet_features(stream, result, count), expected);
        }
        // What was open before is not any more.
        assert_eq!(flowlet_stream_open(stream, none, buffer, words), FLOWLET_ERROR_NOT_OPEN);
        assert_eq!(flowlet_push_counts(stream, sample, 2, complete), FLOWLET_ERROR_NOT_OPEN);
    }
}
