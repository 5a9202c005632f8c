//! `flowlet export`: every form gives back the image, read by a program that is not ours.

use flowlet_tests::command::{trained, Folder};
use flowlet_tests::golden;
use flowlet_tools::device::{arm_tool, Install};
use flowlet_tools::export::ImageFile;
use std::collections::HashMap;
use std::process::Command;

/// A folder with a golden image of all that version 2 has: several experts, context inputs, a unit outside ASCII.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("Golden-2.flow", golden::committed("v2-i8.flow").bytes());
    folder
}

fn export(folder: &Folder, arguments: &str) -> serde_json::Value {
    let json = folder.flowlet(&format!("export Golden-2.flow {arguments} --json")).json();
    let written = folder.read(json["output"].as_str().expect("a path"));
    assert_eq!(json["bytes"], written.len(), "{json}");
    assert_eq!(json["image_bytes"], folder.read("Golden-2.flow").len(), "{json}");
    json
}

/// What the header says of `name`, as in `#define name 12u`.
fn defined(header: &str, name: &str) -> usize {
    let line = header.lines().find_map(|line| line.strip_prefix(&format!("#define {name} ")));
    line.and_then(|value| value.strip_suffix('u')?.parse().ok()).unwrap_or_else(|| panic!("{name}: {header}"))
}

#[test]
fn a_binary_is_the_image() {
    let folder = folder();
    export(&folder, "--format bin -o m.bin");
    assert_eq!(folder.read("m.bin"), folder.read("Golden-2.flow"));
}

#[test]
fn a_hex_file_gives_the_bytes_at_the_address() {
    let folder = folder();
    // 20 bytes before the end of a segment: a record ends there, and another extended address follows.
    let address = 0x0805_ffec_u32;
    let json = export(&folder, "--format hex --address 0x0805_FFEC -o m.hex");
    assert_eq!(json["address"], address);
    let text = String::from_utf8(folder.read("m.hex")).expect("a HEX file is text");
    let (mut base, mut found) = (0, HashMap::new());
    for record in ihex::Reader::new(&text) {
        match record.expect("a good record") {
            ihex::Record::ExtendedLinearAddress(high) => base = u32::from(high) << 16,
            ihex::Record::Data { offset, value } => {
                assert!(usize::from(offset) + value.len() <= 1 << 16, "runs over its segment");
                for (at, byte) in (base + u32::from(offset)..).zip(value) {
                    assert_eq!(found.insert(at, byte), None, "{at:#x} twice");
                }
            }
            ihex::Record::EndOfFile => {}
            other => panic!("{other:?}"),
        }
    }
    let image = folder.read("Golden-2.flow");
    let read: Vec<u8> = (address..).map_while(|at| found.get(&at).copied()).collect();
    assert_eq!((read.len(), &read), (found.len(), &image));

    // The same by binutils, where they are.
    if let Ok(objcopy) = arm_tool("objcopy", Install::Forbidden) {
        let done = Command::new(objcopy)
            .args(["-I", "ihex", "-O", "binary", "m.hex", "objcopy.bin"])
            .current_dir(folder.path())
            .status();
        assert!(done.expect("objcopy runs").success());
        assert_eq!(folder.read("objcopy.bin"), image);
    }
}

#[test]
fn a_uf2_file_gives_the_bytes_at_the_address() {
    let folder = folder();
    export(&folder, "--format uf2 --address 0x10100000 -o m.uf2");
    let (image, file) = (folder.read("Golden-2.flow"), folder.read("m.uf2"));
    let (read, families) = uf2_decode::convert_from_uf2(&file).expect("a good file");
    assert_eq!(read.get(..image.len()), Some(image.as_slice()));
    assert!(read.len() - image.len() < 256 && read[image.len()..].iter().all(|&byte| byte == 0));
    assert_eq!(families, HashMap::from([(0xe48b_ff56, 0x1010_0000)]), "an RP2040's, at the address");
    // What that reader passes over: whole blocks, numbered, each with its end.
    let blocks = file.chunks(512);
    let count = blocks.len() as u32;
    for (number, block) in (0u32..).zip(blocks) {
        let word = |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().expect("a block of 512"));
        assert_eq!(
            (word(12), word(16), word(20), word(24)),
            (0x1010_0000 + 256 * number, 256, number, count)
        );
        assert_eq!(word(508), 0x0ab1_6f30);
    }

    export(&folder, "--format uf2 --address 0x10100000 --family 0xada52840 -o n.uf2");
    let (_, families) = uf2_decode::convert_from_uf2(&folder.read("n.uf2")).expect("a good file");
    assert!(families.contains_key(&0xada5_2840), "{families:?}");
    let run = folder.flowlet("export Golden-2.flow --format uf2 --address 0x10100100 -o n.uf2");
    assert!(run.code == 0 && run.stderr.contains("warning: 0x10100100 is no multiple of 4096"), "{run:?}");
}

#[test]
fn a_c_header_holds_the_image_and_its_sizes() {
    let folder = folder();
    export(&folder, "--format c-header -o m.h");
    let header = String::from_utf8(folder.read("m.h")).expect("ASCII");
    assert!(header.is_ascii());
    let words = header.split_once("uint32_t golden_2_image[").expect("the array").1;
    let words = words.split(['{', '}']).nth(1).expect("its words").split(',');
    let words = words.filter_map(|word| word.trim().strip_prefix("0x"));
    let bytes: Vec<u8> =
        words.flat_map(|word| u32::from_str_radix(word, 16).expect("a word").to_le_bytes()).collect();
    let image = ImageFile::from_bytes(&folder.read("Golden-2.flow"));
    assert_eq!(bytes, image.bytes());
    let model = image.model().expect("a good image");
    assert_eq!(defined(&header, "GOLDEN_2_IMAGE_BYTES"), bytes.len());
    assert_eq!(defined(&header, "GOLDEN_2_FEATURES"), model.features());
    assert_eq!(defined(&header, "GOLDEN_2_CONTEXTS"), model.contexts());
    assert_eq!(defined(&header, "GOLDEN_2_INPUTS"), model.inputs());
    assert_eq!(defined(&header, "GOLDEN_2_WORKSPACE_WORDS") * 4, model.workspace_bytes());
    let explain = defined(&header, "GOLDEN_2_EXPLAIN_WORKSPACE_WORDS");
    assert_eq!(explain, flowlet::explain_workspace_words(&model));
    assert!(!header.contains("STREAM_WORDS"), "its features are readings");

    export(&folder, "--format c-header --name pump -o m.h");
    let header = String::from_utf8(folder.read("m.h")).expect("ASCII");
    assert!(header.contains("pump_input_names[PUMP_INPUTS]") && !header.contains("golden"), "{header}");
}

#[test]
fn a_rust_source_compiles_to_the_image() {
    let folder = folder();
    export(&folder, "--format rust -o pump.rs");
    folder.write(
        "main.rs",
        "mod pump;\n\
         fn main() {\n    \
             use std::io::Write;\n    \
             assert!(pump::IMAGE.as_ptr().align_offset(16) == 0);\n    \
             eprintln!(\"{} {} {} {} {:?}\", pump::FEATURES, pump::CONTEXTS, pump::WORKSPACE_WORDS,\n        \
                 pump::EXPLAIN_WORKSPACE_WORDS, pump::INPUT_NAMES);\n    \
             std::io::stdout().write_all(pump::IMAGE).unwrap();\n}\n",
    );
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let compiled = Command::new(rustc)
        .args(["--edition", "2021", "-Dwarnings", "main.rs"])
        .current_dir(folder.path())
        .output()
        .expect("the compiler that built this test");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let ran = Command::new(folder.path().join("main")).output().expect("what was compiled");
    let image = ImageFile::from_bytes(&folder.read("Golden-2.flow"));
    assert_eq!(ran.stdout, image.bytes());
    let model = image.model().expect("a good image");
    let names: Vec<_> = model.feature_names().chain(model.context_names()).map(|input| input.name).collect();
    let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
    let words = (model.workspace_bytes() / 4, flowlet::explain_workspace_words(&model));
    assert_eq!(said, format!("{} {} {} {} {names:?}", model.features(), model.contexts(), words.0, words.1));
}

#[test]
fn what_would_not_work_on_the_chip_is_refused() {
    let folder = trained();
    for (arguments, code, parts) in [
        ("--format hex -o out", 2, &["--address", "0x08060000"][..]),
        ("--format rust --address 0x0 -o out", 2, &["linker", "--format hex"]),
        ("--format c-header --address 0x0 -o out", 2, &["linker"]),
        ("--format hex --address 0x08060002 -o out", 1, &["0x08060002", "multiple of 4", "0x08060004"]),
        ("--format bin --address 0x08060001 -o out", 1, &["multiple of 4"]),
        ("--format uf2 --address 0x10000010 -o out", 1, &["multiple of 256", "0x10000100"]),
        ("--format hex --address 0xfffffffc -o out", 1, &["do not fit", "or below"]),
    ] {
        folder.flowlet(&format!("export m.flow {arguments}")).fails(code, parts);
    }
    for (arguments, said) in [
        ("--format hex --address 0x1ffffffff -o out", "no 32-bit address"),
        ("--format uf2 --address 0 --family rp2041 -o out", "rp2040"),
        ("--format c-header --name 2nd -o out", "a letter first"),
    ] {
        let run = folder.flowlet(&format!("export m.flow {arguments}"));
        assert!(run.code == 2 && run.stderr.contains(said), "{run:?}");
    }
    let mut damaged = folder.read("m.flow");
    *damaged.last_mut().expect("an image") ^= 1;
    folder.write("damaged.flow", damaged);
    folder.flowlet("export damaged.flow --format bin -o out").fails(1, &["damaged.flow", "CRC-32"]);
    assert!(!folder.list().contains(&"out".to_owned()), "nothing was written");
}
