//! The cargo feature `defmt`: every public type of the runtime can be logged, and who logs nothing pays nothing.

use flowlet_tools::device::{
    code_bytes, skips, static_bytes, symbols, Binary, Board, DeviceError, Install, Minimal, Source, Toolchain,
};
use quote::ToTokens;
use std::fs;
use std::path::{Path, PathBuf};
use syn::{Attribute, Item, Visibility};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the tree") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn text(tokens: &impl ToTokens) -> String {
    tokens.to_token_stream().to_string().split_whitespace().collect()
}

/// `#[cfg_attr(feature = "defmt", derive(defmt::Format))]`, perhaps among others.
fn derives_format(attributes: &[Attribute]) -> bool {
    let texts = attributes.iter().map(text);
    texts
        .into_iter()
        .any(|text| text.starts_with("#[cfg_attr(feature=\"defmt\",") && text.contains("defmt::Format"))
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| text(attribute) == "#[cfg(test)]")
}

/// Counts the public types among some items, and names those that have no `Format`.
fn look(items: &[Item], file: &str, seen: &mut usize, without: &mut Vec<String>) {
    let by_hand: Vec<String> = items
        .iter()
        .filter_map(|item| match item {
            Item::Impl(item) if text(&item.trait_.as_ref()?.1).ends_with("defmt::Format") => {
                Some(text(&item.self_ty))
            }
            _ => None,
        })
        .collect();
    for item in items {
        let (visibility, attributes, name) = match item {
            Item::Struct(item) => (&item.vis, &item.attrs, &item.ident),
            Item::Enum(item) => (&item.vis, &item.attrs, &item.ident),
            Item::Union(item) => (&item.vis, &item.attrs, &item.ident),
            Item::Mod(module) if !is_test(&module.attrs) => {
                let inner = module.content.as_ref().map_or(&[][..], |(_, items)| items.as_slice());
                look(inner, file, seen, without);
                continue;
            }
            _ => continue,
        };
        if !matches!(visibility, Visibility::Public(_)) || is_test(attributes) {
            continue;
        }
        *seen += 1;
        let is_by_hand = by_hand.iter().any(|of| of.split('<').next() == Some(&name.to_string()));
        if !derives_format(attributes) && !is_by_hand {
            without.push(format!("{name} in {file}"));
        }
    }
}

/// That the derivations compile is for `cargo xtask test` to say, which builds the runtime with the feature.
#[test]
fn every_public_type_of_the_runtime_has_a_format() {
    let mut files = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    sources(&root, &mut files);
    let (mut seen, mut without) = (0, Vec::new());
    for file in files {
        let parsed = syn::parse_file(&fs::read_to_string(&file).expect("a source file"));
        let name = file.strip_prefix(&root).unwrap_or(&file).display().to_string();
        look(&parsed.unwrap_or_else(|error| panic!("{name}: {error}")).items, &name, &mut seen, &mut without);
    }
    assert!(seen > 50, "only {seen} types were found: is the runtime still in src/?");
    assert!(
        without.is_empty(),
        "give them #[cfg_attr(feature = \"defmt\", derive(defmt::Format))]: {}",
        without.join(", ")
    );
}

/// Sizes of the firmware that can do everything and logs nothing, with some more features of the runtime.
fn sizes(features: &[&str]) -> Result<(u64, u64, Vec<String>), DeviceError> {
    let (board, binary) = (Board::Mps2An386, Binary::Minimal(Minimal::Everything));
    let source = Source::find()?;
    let toolchain = Toolchain::for_target(board.target(), Install::Forbidden)?;
    let mut command = source.cargo(toolchain, "build", board, &binary);
    let output = command.args(features).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let folder = source.target_dir(toolchain, board).join(board.target()).join("release");
    let elf = folder.join(binary.name());
    let logging = symbols(&elf, |name| name.contains("defmt"))?;
    Ok((code_bytes(&elf)?, static_bytes(&elf)?, logging))
}

#[test]
fn who_logs_nothing_pays_nothing() {
    let both = sizes(&["--features", "flowlet/defmt"]).and_then(|with| Ok((with, sizes(&[])?)));
    let ((code, ram, with), (plain_code, plain_ram, without)) = match both {
        Ok(both) => both,
        Err(DeviceError::Missing(missing)) => {
            return skips::record("who_logs_nothing_pays_nothing", &missing)
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(without, Vec::<String>::new(), "of defmt, without the feature");
    // The marks of the wire format, which have no size, and the timestamp of who defines none.
    let is_mark = |name: &String| name.starts_with("_defmt_") || name == "__defmt_default_timestamp";
    assert!(with.iter().all(is_mark), "of defmt, with nothing logged: {with:?}");
    assert_eq!(ram, plain_ram, "bytes of static RAM with the feature and without");
    // Functions lie in another order, and what fills up to their alignment differs by a few bytes.
    assert!(code.abs_diff(plain_code) < 16, "bytes of code: {code} with the feature, {plain_code} without");
}
