//! The small nets inside couplings: any function of the untouched part, evaluated in one direction
//! only, so that they need not be invertible.

pub mod mlp;

pub use mlp::Mlp;

/// The two buffers that a net's layers read from and write to in turn.
///
/// Their size is in the image (`buffer_words` each); the words hold activations or values as the
/// layer needs.
#[derive(Debug)]
pub struct Scratch<'w> {
    /// Where the next layer reads.
    pub front: &'w mut [u32],
    /// Where the next layer writes.
    pub back: &'w mut [u32],
}
