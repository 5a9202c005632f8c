//! The door for pointers: NULL, alignment and overlap are checked here, and nowhere else is a pointer believed.

use crate::status::{flowlet_status_t, FLOWLET_ERROR_ALIGNMENT, FLOWLET_ERROR_NULL, FLOWLET_ERROR_OVERLAP};
use core::mem::{size_of, MaybeUninit};
use core::slice;

/// Whether a pointer may be one to a `T`.
pub(crate) fn check<T>(pointer: *const T) -> Result<(), flowlet_status_t> {
    if pointer.is_null() {
        Err(FLOWLET_ERROR_NULL)
    } else if !pointer.is_aligned() {
        Err(FLOWLET_ERROR_ALIGNMENT)
    } else {
        Ok(())
    }
}

/// The values at a pointer from C.
///
/// # Safety
/// If the pointer passes the checks, `count` values are there, and nothing writes to them during `'a`.
pub(crate) unsafe fn values<'a, T>(pointer: *const T, count: usize) -> Result<&'a [T], flowlet_status_t> {
    check(pointer)?;
    // SAFETY: not NULL, aligned; the rest is the caller's word.
    Ok(unsafe { slice::from_raw_parts(pointer, count) })
}

/// The values at a pointer from C, to write to.
///
/// # Safety
/// As [`values`], and nothing reads them during `'a` either.
pub(crate) unsafe fn values_mut<'a, T>(
    pointer: *mut T,
    count: usize,
) -> Result<&'a mut [T], flowlet_status_t> {
    check(pointer)?;
    // SAFETY: not NULL, aligned; the rest is the caller's word.
    Ok(unsafe { slice::from_raw_parts_mut(pointer, count) })
}

/// A place for one result.
///
/// # Safety
/// If the pointer passes the checks, there is room for a `T`, which nothing else uses during `'a`.
pub(crate) unsafe fn place<'a, T>(pointer: *mut T) -> Result<&'a mut MaybeUninit<T>, flowlet_status_t> {
    check(pointer)?;
    // SAFETY: not NULL, aligned, and nothing is read; the rest is the caller's word.
    Ok(unsafe { &mut *pointer.cast::<MaybeUninit<T>>() })
}

/// Some values in memory, for [`apart`].
#[derive(Clone, Copy)]
pub(crate) struct Span {
    start: usize,
    bytes: usize,
}

impl Span {
    pub(crate) fn new<T>(pointer: *const T, count: usize) -> Self {
        Span { start: pointer as usize, bytes: count.saturating_mul(size_of::<T>()) }
    }
}

/// Whether a span shares no byte with any of the others: what is written must not be read under another name.
pub(crate) fn apart<const N: usize>(one: Span, others: [Span; N]) -> Result<(), flowlet_status_t> {
    let end = |span: Span| span.start.saturating_add(span.bytes);
    if others.iter().any(|&other| one.start < end(other) && other.start < end(one)) {
        Err(FLOWLET_ERROR_OVERLAP)
    } else {
        Ok(())
    }
}
