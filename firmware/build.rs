//! Picks the memory map of the board and the model that is compiled in.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    if let Err(message) = run() {
        // The only channel to the user that a build script has is its failure.
        eprintln!("\n{message}\n");
        std::process::exit(1);
    }
}

fn run() -> Result<(), String> {
    let home = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);

    let boards = ["microbit", "mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547"];
    let board = boards
        .into_iter()
        .find(|board| has_feature(board))
        .ok_or("no board is chosen; build with --features mps2-an386")?;
    copy(&home.join("boards").join(board).join("memory.x"), &out.join("memory.x"))?;
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rustc-link-arg-bins=--nmagic");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");

    if has_feature("live") {
        for binary in ["live_magnetometer", "live_sampling"] {
            println!("cargo::rustc-link-arg-bin={binary}=-Tdefmt.x");
        }
    }
    if has_feature("compiled-in") {
        println!("cargo::rustc-link-arg-bin=compiled_in=-Tdefmt.x");
        println!("cargo::rerun-if-env-changed=FLOWLET_IMAGE");
        let image = env::var_os("FLOWLET_IMAGE")
            .map_or_else(|| home.join("models").join("model.flow"), |path| home.join(path));
        let start = fs::read(&image).unwrap_or_default();
        if !start.starts_with(b"FLOW") {
            let found = if image.exists() { "is not a flowlet image" } else { "does not exist" };
            return Err(format!(
                "the model to compile in, {}, {found}.\n\
                 Make one:     flowlet train DATA.csv -o firmware/models/model.flow\n\
                 or name one:  FLOWLET_IMAGE=/path/to/model.flow cargo build --features compiled-in",
                image.display()
            ));
        }
        copy(&image, &out.join("model.flow"))?;
    }
    Ok(())
}

fn has_feature(name: &str) -> bool {
    env::var_os(format!("CARGO_FEATURE_{}", name.to_uppercase().replace('-', "_"))).is_some()
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}; build with cargo"))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    println!("cargo::rerun-if-changed={}", from.display());
    fs::copy(from, to).map_err(|error| format!("copying {}: {error}", from.display()))?;
    Ok(())
}
