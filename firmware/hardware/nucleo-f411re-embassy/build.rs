//! Links by the memory map of the board.

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default() + "/../nucleo-f411re";
    println!("cargo::rustc-link-search={folder}");
    println!("cargo::rerun-if-changed={folder}/memory.x");
    for argument in ["--nmagic", "-Tlink.x", "-Tdefmt.x"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
