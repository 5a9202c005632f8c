//! What images the library opens, by the cargo features that it is built with.

use runtime::{
    Capabilities, Everything, FixedAffine, FixedEverything, FloatAffine, FloatEverything, Support,
};

#[cfg(not(any(
    feature = "everything",
    feature = "fixed-affine",
    feature = "fixed-everything",
    feature = "float-affine",
    feature = "float-everything",
)))]
compile_error!("choose what images to open: --features everything, or another of those in Cargo.toml");

/// All that the chosen features name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chosen;

impl Support for Chosen {
    const CAPABILITIES: Capabilities = {
        let mut chosen = Capabilities::NONE;
        if cfg!(feature = "everything") {
            chosen = chosen.union(Everything::CAPABILITIES);
        }
        if cfg!(feature = "fixed-affine") {
            chosen = chosen.union(FixedAffine::CAPABILITIES);
        }
        if cfg!(feature = "fixed-everything") {
            chosen = chosen.union(FixedEverything::CAPABILITIES);
        }
        if cfg!(feature = "float-affine") {
            chosen = chosen.union(FloatAffine::CAPABILITIES);
        }
        if cfg!(feature = "float-everything") {
            chosen = chosen.union(FloatEverything::CAPABILITIES);
        }
        chosen
    };
}
