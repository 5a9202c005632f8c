//! From raw samples to the features that a model scores: windows, as the image's front end says.

use crate::model::{flowlet_model_t, opened};
use crate::pointers::{self, Span};
use crate::status::{
    flowlet_status_t, FLOWLET_ERROR_CHANNEL_COUNT, FLOWLET_ERROR_INPUT_COUNT, FLOWLET_ERROR_NOT_OPEN,
    FLOWLET_ERROR_UNSUPPORTED, FLOWLET_ERROR_WINDOW_TOO_SMALL,
};
use core::mem::{align_of, size_of};
use core::slice;
use runtime::stream::front_end::record::MAX_CHANNELS;
use runtime::stream::front_end::Samples;
use runtime::stream::{extract_view, BorrowedWindow, FromCount, FrontEnd, Sample};

/// Size of a stream, in words of the size of a pointer; some of it is reserved.
pub const FLOWLET_STREAM_WORDS: usize = 64;

/// The windows of one stream of samples, in storage of the caller's. Begin with zeros. It is written to by every push, so
/// that threads must not share it, and must not be copied. Fields are private.
#[repr(C)]
#[derive(Debug)]
pub struct flowlet_stream_t {
    opaque: [usize; FLOWLET_STREAM_WORDS],
}

/// What lies in a [`flowlet_stream_t`].
#[repr(C)]
struct Held {
    /// [`OPEN`] if the stream is there.
    mark: usize,
    front_end: FrontEnd<'static>,
    /// Units in a count, by channel: the front end would have to be read anew for each sample.
    scales: [f32; MAX_CHANNELS],
    windows: Windows,
    buffer: Span,
}

/// No pattern that memory holds by chance, and not zero.
const OPEN: usize = 0x5354_524d;

const _: () = assert!(
    size_of::<Held>() <= size_of::<flowlet_stream_t>()
        && align_of::<Held>() <= align_of::<flowlet_stream_t>(),
    "FLOWLET_STREAM_WORDS is too small for a stream",
);

/// A window and the scratch of its features, in the arithmetic of the front end.
enum Windows {
    F32(BorrowedWindow<'static, f32>, &'static mut [f32]),
    I16(BorrowedWindow<'static, i16>, &'static mut [i32]),
}

/// Halves a buffer: a window's samples in front, scratch behind.
///
/// # Safety
/// The buffer has [`FrontEnd::buffer_words`], is aligned for words, and is nobody else's from now on; `T` and `S` take any
/// bits and no more alignment or room than a word, as these two calls have it.
unsafe fn halves<T: Sample, S>(
    front_end: &FrontEnd<'static>,
    buffer: *mut u32,
) -> Result<(BorrowedWindow<'static, T>, &'static mut [S]), flowlet_status_t> {
    let samples = front_end.window() * front_end.channel_count();
    let behind = (samples * size_of::<T>()).div_ceil(4);
    // SAFETY: the caller's word; both halves lie in the buffer and apart.
    let (samples, scratch) = unsafe {
        let scratch = buffer.add(behind).cast::<S>();
        (
            slice::from_raw_parts_mut(buffer.cast::<T>(), samples),
            slice::from_raw_parts_mut(scratch, front_end.scratch_words()),
        )
    };
    Ok((BorrowedWindow::new(front_end, samples)?, scratch))
}

/// The stream behind a pointer from C.
///
/// # Safety
/// See the crate's documentation.
unsafe fn held<'a>(stream: *mut flowlet_stream_t) -> Result<&'a mut Held, flowlet_status_t> {
    pointers::check(stream)?;
    // SAFETY: not NULL, aligned, and the first word is initialized by the caller's word.
    if unsafe { stream.cast::<usize>().read() } != OPEN {
        return Err(FLOWLET_ERROR_NOT_OPEN);
    }
    // SAFETY: the mark is written with a whole stream alone, and `Held` fits the storage.
    Ok(unsafe { &mut *stream.cast::<Held>() })
}

/// Number of channels of a sample of the image's front end. 0 if the image has none: its features are readings; or if the
/// model is not open.
#[no_mangle]
pub unsafe extern "C" fn flowlet_channel_count(model: *const flowlet_model_t) -> usize {
    // SAFETY: the caller's word.
    let front_end = unsafe { opened(model) }.and_then(|model| Ok(model.front_end()?));
    front_end.map_or(0, |front_end| front_end.channel_count())
}

/// 32-bit words of the buffer that flowlet_stream_open takes: a window's samples, and scratch. 0 as flowlet_channel_count.
#[no_mangle]
pub unsafe extern "C" fn flowlet_stream_words(model: *const flowlet_model_t) -> usize {
    // SAFETY: the caller's word.
    let front_end = unsafe { opened(model) }.and_then(|model| Ok(model.front_end()?));
    front_end.map_or(0, |front_end| front_end.buffer_words())
}

/// Begins a stream of samples for a model whose features are those of windows: FLOWLET_ERROR_NO_FRONT_END if they are not.
///
/// `buffer` has `buffer_words` words, at least flowlet_stream_words (else FLOWLET_ERROR_WINDOW_TOO_SMALL). It keeps samples
/// from call to call: it stays where it is and is used for nothing else while the stream is, as is the image. The model may
/// go.
///
/// If the result is not FLOWLET_OK, the stream is not open.
#[no_mangle]
pub unsafe extern "C" fn flowlet_stream_open(
    stream: *mut flowlet_stream_t,
    model: *const flowlet_model_t,
    buffer: *mut u32,
    buffer_words: usize,
) -> flowlet_status_t {
    let open = || {
        // SAFETY: the caller's word; `Held` fits the storage and is no more aligned.
        let held = unsafe { pointers::place(stream) }?.as_mut_ptr().cast::<Held>();
        let storage = Span::new(stream, 1);
        pointers::check(model)?;
        pointers::apart(storage, [Span::new(model, 1)])?;
        // SAFETY: the storage is there, to write to.
        unsafe { (&raw mut (*held).mark).write(0) };
        // SAFETY: the caller's word.
        let front_end = unsafe { opened(model) }?.front_end()?;
        pointers::check(buffer)?;
        let words = front_end.buffer_words();
        if buffer_words < words {
            return Err(FLOWLET_ERROR_WINDOW_TOO_SMALL);
        }
        let span = Span::new(buffer, words);
        pointers::apart(span, [storage, Span::new(model, 1)])?;
        let windows = match front_end.samples() {
            Samples::F32 => {
                // SAFETY: that many words are there, aligned, and the stream's alone by the caller's word.
                let (window, scratch) = unsafe { halves::<f32, f32>(&front_end, buffer) }?;
                Windows::F32(window, scratch)
            }
            Samples::I16 => {
                // SAFETY: as above.
                let (window, scratch) = unsafe { halves::<i16, i32>(&front_end, buffer) }?;
                Windows::I16(window, scratch)
            }
        };
        let mut scales = [0.0; MAX_CHANNELS];
        for (scale, channel) in scales.iter_mut().zip(front_end.channels()) {
            *scale = channel.scale;
        }
        // SAFETY: as above.
        unsafe { held.write(Held { mark: OPEN, front_end, scales, windows, buffer: span }) };
        Ok(())
    };
    open().into()
}

/// Takes one sample of each channel in the sensor's own counts, as they come from its registers. The front end knows what
/// a count is.
///
/// `complete`: whether it completes a window, whose features flowlet_features gives until the next push. Costs a few
/// instructions a channel; after a complete window a copy of what it shares with the next one. `complete` is written to
/// only with FLOWLET_OK.
///
/// FLOWLET_ERROR_CHANNEL_COUNT: not flowlet_channel_count samples.
#[no_mangle]
pub unsafe extern "C" fn flowlet_push_counts(
    stream: *mut flowlet_stream_t,
    counts: *const i16,
    channels: usize,
    complete: *mut bool,
) -> flowlet_status_t {
    let push = |held: &mut Held, counts: &[i16]| match &mut held.windows {
        Windows::F32(window, _) => in_window(window, counts, &held.scales),
        Windows::I16(window, _) => in_window(window, counts, &held.scales),
    };
    // SAFETY: the caller's word.
    unsafe { pushed(stream, (counts, channels), complete, push) }.into()
}

/// As flowlet_push_counts, for samples that are in the units of the channels already. FLOWLET_ERROR_UNSUPPORTED if the
/// front end takes counts alone.
///
/// A sample that is NaN or infinite makes the features of its windows NaN, and flowlet_score refuses them.
#[no_mangle]
pub unsafe extern "C" fn flowlet_push(
    stream: *mut flowlet_stream_t,
    samples: *const f32,
    channels: usize,
    complete: *mut bool,
) -> flowlet_status_t {
    let push = |held: &mut Held, samples: &[f32]| match &mut held.windows {
        Windows::F32(window, _) => Ok(window.push(samples)?),
        Windows::I16(..) => Err(FLOWLET_ERROR_UNSUPPORTED),
    };
    // SAFETY: the caller's word.
    unsafe { pushed(stream, (samples, channels), complete, push) }.into()
}

/// Converts a sample and takes it into a window.
fn in_window<T: FromCount>(
    window: &mut BorrowedWindow<'static, T>,
    counts: &[i16],
    scales: &[f32; MAX_CHANNELS],
) -> Result<bool, flowlet_status_t> {
    let mut sample = [T::ZERO; MAX_CHANNELS];
    for ((value, &count), &scale) in sample.iter_mut().zip(counts).zip(scales) {
        *value = T::from_count(count, scale);
    }
    // As many as there are channels, so not more than the most.
    Ok(window.push(sample.get(..counts.len()).unwrap_or_default())?)
}

/// Checks the arguments of a push, and pushes.
///
/// # Safety
/// See the crate's documentation.
unsafe fn pushed<T>(
    stream: *mut flowlet_stream_t,
    (samples, channels): (*const T, usize),
    complete: *mut bool,
    push: impl FnOnce(&mut Held, &[T]) -> Result<bool, flowlet_status_t>,
) -> Result<(), flowlet_status_t> {
    // SAFETY: the caller's word.
    let held = unsafe { held(stream) }?;
    pointers::check(samples)?;
    if channels != held.front_end.channel_count() {
        return Err(FLOWLET_ERROR_CHANNEL_COUNT);
    }
    let given = Span::new(samples, channels);
    let storage = Span::new(stream, 1);
    // SAFETY: the caller's word.
    let complete = unsafe { pointers::place(complete) }?;
    pointers::apart(Span::new(complete.as_ptr(), 1), [storage, held.buffer, given])?;
    pointers::apart(given, [storage, held.buffer])?;
    // SAFETY: as many as there are channels, by the caller's word.
    let samples = unsafe { pointers::values(samples, channels) }?;
    complete.write(push(held, samples)?);
    Ok(())
}

/// The features of the complete window, into `count` floats, which is the number of the model's inputs: what flowlet_score,
/// flowlet_statistics and flowlet_explain take. The same to the bit on every chip and on the host.
///
/// FLOWLET_ERROR_WINDOW_NOT_COMPLETE: the last push did not complete one. What is in `features` is undefined then.
#[no_mangle]
pub unsafe extern "C" fn flowlet_features(
    stream: *mut flowlet_stream_t,
    features: *mut f32,
    count: usize,
) -> flowlet_status_t {
    let extract = || {
        // SAFETY: the caller's word.
        let held = unsafe { held(stream) }?;
        pointers::check(features)?;
        if count != held.front_end.features() {
            return Err(FLOWLET_ERROR_INPUT_COUNT);
        }
        pointers::apart(Span::new(features, count), [Span::new(stream, 1), held.buffer])?;
        // SAFETY: as many values as the model has inputs, by the caller's word.
        let features = unsafe { pointers::values_mut(features, count) }?;
        let Held { front_end, windows, .. } = held;
        match windows {
            Windows::F32(window, scratch) => extract_view(front_end, window.view(), scratch, features)?,
            Windows::I16(window, scratch) => extract_view(front_end, window.view(), scratch, features)?,
        };
        Ok(())
    };
    extract().into()
}

/// Forgets all samples: after a gap in them a window would join what does not belong together.
#[no_mangle]
pub unsafe extern "C" fn flowlet_stream_clear(stream: *mut flowlet_stream_t) -> flowlet_status_t {
    // SAFETY: the caller's word.
    let cleared = unsafe { held(stream) }.map(|held| match &mut held.windows {
        Windows::F32(window, _) => window.clear(),
        Windows::I16(window, _) => window.clear(),
    });
    cleared.into()
}
