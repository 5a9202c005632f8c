//! A model in storage of the caller's.

use crate::pointers::{self, Span};
use crate::status::{
    flowlet_status_t, FLOWLET_ERROR_INDEX, FLOWLET_ERROR_INPUT_COUNT, FLOWLET_ERROR_NOT_OPEN,
    FLOWLET_ERROR_TRAILING_BYTES, FLOWLET_ERROR_WORKSPACE_TOO_SMALL,
};
use crate::support::Chosen;
use core::ffi::{c_char, c_void};
use core::mem::{align_of, size_of};
use runtime::image::descriptor::Feature;
use runtime::image::layout::{field, MAGIC};

/// Size of a model, in words of the size of a pointer; some of it is reserved.
pub const FLOWLET_MODEL_WORDS: usize = 40;

/// A checked image. The storage is the caller's: static, automatic, or in a structure. Begin with zeros
/// (`flowlet_model_t model = {0};`), so that what was never opened is known not to be.
///
/// It may be copied by assignment, and needs no closing. Fields are private.
#[repr(C)]
#[derive(Debug)]
pub struct flowlet_model_t {
    opaque: [usize; FLOWLET_MODEL_WORDS],
}

/// Characters in an image: not terminated by a zero. UTF-8. Print them with `%.*s`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct flowlet_text_t {
    /// The first of them.
    pub bytes: *const c_char,
    /// How many.
    pub length: usize,
}

pub(crate) type Opened = runtime::Model<'static, Chosen>;

/// What lies in a [`flowlet_model_t`].
#[repr(C)]
struct Held {
    /// [`OPEN`] if the model is there.
    mark: usize,
    model: Opened,
}

/// No pattern that memory holds by chance, and not zero.
const OPEN: usize = 0x464c_4f57;

const _: () = assert!(
    size_of::<Held>() <= size_of::<flowlet_model_t>() && align_of::<Held>() <= align_of::<flowlet_model_t>(),
    "FLOWLET_MODEL_WORDS is too small for a model",
);

/// The model behind a pointer from C.
///
/// # Safety
/// See the crate's documentation.
pub(crate) unsafe fn opened<'a>(model: *const flowlet_model_t) -> Result<&'a Opened, flowlet_status_t> {
    pointers::check(model)?;
    // SAFETY: not NULL, aligned, and the first word is initialized by the caller's word.
    if unsafe { model.cast::<usize>().read() } != OPEN {
        return Err(FLOWLET_ERROR_NOT_OPEN);
    }
    // SAFETY: the mark is written behind a whole model alone, and `Held` fits the storage.
    Ok(unsafe { &(*model.cast::<Held>()).model })
}

/// A workspace of `needed` words that lies apart from the model and from other arguments.
///
/// # Safety
/// See the crate's documentation.
pub(crate) unsafe fn workspace<'a, const N: usize>(
    (workspace, words): (*mut u32, usize),
    needed: usize,
    others: [Span; N],
) -> Result<&'a mut [u32], flowlet_status_t> {
    pointers::check(workspace)?;
    if words < needed {
        return Err(FLOWLET_ERROR_WORKSPACE_TOO_SMALL);
    }
    pointers::apart(Span::new(workspace, needed), others)?;
    // SAFETY: no more words than the caller says are there, and no other argument uses them.
    unsafe { pointers::values_mut(workspace, needed) }
}

/// A reading, and a workspace of `needed` words that lies apart from it, from the model and from the result.
///
/// # Safety
/// See the crate's documentation.
pub(crate) unsafe fn arguments<'a, T>(
    (at, model): (*const flowlet_model_t, &Opened),
    (inputs, count): (*const f32, usize),
    words: (*mut u32, usize),
    needed: usize,
    result: *const T,
) -> Result<(&'a [f32], &'a mut [u32]), flowlet_status_t> {
    pointers::check(result)?;
    pointers::check(inputs)?;
    if count != model.inputs() {
        return Err(FLOWLET_ERROR_INPUT_COUNT);
    }
    let others = [Span::new(at, 1), Span::new(inputs, count), Span::new(result, 1)];
    // SAFETY: the caller's word.
    let words = unsafe { workspace(words, needed, others) }?;
    // SAFETY: as many values as the model has inputs, by the caller's word.
    Ok((unsafe { pointers::values(inputs, count) }?, words))
}

/// Checks an image and opens it where it lies; nothing is copied but a few numbers. `image` is at a multiple of 4 and
/// `image_bytes` long, exactly. It must stay there, unchanged, while the model is used.
///
/// Costs one pass over the image. Everything later relies on this check, and is quick.
///
/// If the result is not FLOWLET_OK, the model is not open.
#[no_mangle]
pub unsafe extern "C" fn flowlet_open(
    model: *mut flowlet_model_t,
    image: *const c_void,
    image_bytes: usize,
) -> flowlet_status_t {
    let open = || {
        // SAFETY: the caller's word; `Held` fits the storage and is no more aligned.
        let held = unsafe { pointers::place(model) }?.as_mut_ptr().cast::<Held>();
        // SAFETY: the storage is there, to write to.
        unsafe { (&raw mut (*held).mark).write(0) };
        if image_bytes > isize::MAX as usize {
            return Err(FLOWLET_ERROR_TRAILING_BYTES);
        }
        // SAFETY: the caller's word; no slice is longer than half the address space.
        let image = unsafe { pointers::values(image.cast::<u8>(), image_bytes) }?;
        let opened = Opened::open(image)?;
        // SAFETY: as above; the mark follows the model.
        unsafe { held.write(Held { mark: OPEN, model: opened }) };
        Ok(())
    };
    open().into()
}

/// The length that an image in memory states, in bytes: for images that lie in flash by themselves. 0 if there is none
/// at this place, or if it would be longer than the `available` bytes. Says nothing of the rest; flowlet_open does.
#[no_mangle]
pub unsafe extern "C" fn flowlet_image_bytes(image: *const c_void, available: usize) -> usize {
    // SAFETY: the caller's word; the header's front is read, and only if that much is there.
    let front = unsafe { pointers::values(image.cast::<u8>(), available.min(field::CHECKSUM)) };
    let length = front.ok().filter(|front| front.starts_with(&MAGIC)).and_then(|front| {
        let length = front.get(field::LENGTH..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*length) as usize)
    });
    length.filter(|&length| length <= available).unwrap_or(0)
}

/// 32-bit words of workspace that flowlet_score, flowlet_statistics and flowlet_self_test take. 0 if the model is not
/// open.
#[no_mangle]
pub unsafe extern "C" fn flowlet_workspace_words(model: *const flowlet_model_t) -> usize {
    // SAFETY: the caller's word.
    unsafe { opened(model) }.map_or(0, |model| model.workspace_bytes() / 4)
}

/// 32-bit words of workspace that flowlet_explain takes. 0 if the model is not open.
#[no_mangle]
pub unsafe extern "C" fn flowlet_explain_workspace_words(model: *const flowlet_model_t) -> usize {
    // SAFETY: the caller's word.
    unsafe { opened(model) }.map_or(0, runtime::explain_workspace_words)
}

/// Number of features of a reading. 0 if the model is not open.
#[no_mangle]
pub unsafe extern "C" fn flowlet_feature_count(model: *const flowlet_model_t) -> usize {
    // SAFETY: the caller's word.
    unsafe { opened(model) }.map_or(0, Opened::features)
}

/// Number of context inputs (speed, load), which stand behind the features and are not scored. 0 if the model is not
/// open.
#[no_mangle]
pub unsafe extern "C" fn flowlet_context_count(model: *const flowlet_model_t) -> usize {
    // SAFETY: the caller's word.
    unsafe { opened(model) }.map_or(0, Opened::contexts)
}

/// The name of an input: features first, then context. It lies in the image.
#[no_mangle]
pub unsafe extern "C" fn flowlet_input_name(
    model: *const flowlet_model_t,
    index: usize,
    name: *mut flowlet_text_t,
) -> flowlet_status_t {
    // SAFETY: the caller's word.
    unsafe { text(model, index, name, |input| input.name) }.into()
}

/// The unit of an input; empty if it is unknown.
#[no_mangle]
pub unsafe extern "C" fn flowlet_input_unit(
    model: *const flowlet_model_t,
    index: usize,
    unit: *mut flowlet_text_t,
) -> flowlet_status_t {
    // SAFETY: the caller's word.
    unsafe { text(model, index, unit, |input| input.unit) }.into()
}

unsafe fn text(
    model: *const flowlet_model_t,
    index: usize,
    out: *mut flowlet_text_t,
    which: impl Fn(Feature<'static>) -> &'static str,
) -> Result<(), flowlet_status_t> {
    // SAFETY: the caller's word.
    let model = unsafe { opened(model) }?;
    // SAFETY: the caller's word.
    let out = unsafe { pointers::place(out) }?;
    let input = model.feature_names().chain(model.context_names()).nth(index).ok_or(FLOWLET_ERROR_INDEX)?;
    let text = which(input);
    out.write(flowlet_text_t { bytes: text.as_ptr().cast(), length: text.len() });
    Ok(())
}
