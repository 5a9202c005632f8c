//! What images the library opens, by the cargo features that it is built with.

use runtime::{
    Capabilities, Capability, Everything, FixedAffine, FixedAuto, FixedEverything, FixedTransforms,
    FloatAffine, FloatEverything, I16Affine, I8Affine, Support,
};

#[cfg(not(any(
    feature = "everything",
    feature = "fixed-affine",
    feature = "fixed-auto",
    feature = "fixed-everything",
    feature = "fixed-transforms",
    feature = "float-affine",
    feature = "float-everything",
    feature = "i16-affine",
    feature = "i8-affine",
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
        if cfg!(feature = "fixed-auto") {
            chosen = chosen.union(FixedAuto::CAPABILITIES);
        }
        if cfg!(feature = "fixed-transforms") {
            chosen = chosen.union(FixedTransforms::CAPABILITIES);
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
        if cfg!(feature = "i16-affine") {
            chosen = chosen.union(I16Affine::CAPABILITIES);
        }
        if cfg!(feature = "i8-affine") {
            chosen = chosen.union(I8Affine::CAPABILITIES);
        }
        if cfg!(feature = "self-test") {
            chosen = chosen.with(Capability::SelfTest);
        }
        chosen
    };
}
