//! The examples in C: compiled by GCC, linked with `libflowlet.a`, run in QEMU; they send the host's bits.

use flowlet::stream::front_end::{Form, Samples};
use flowlet::{Explainer, Scorer};
use flowlet_tests::streams::{self, Plan};
use flowlet_tests::{golden, golden_v2, Random};
use flowlet_tools::device::{
    arm_gcc, cmake, code_bytes, is_f64, is_panic, skips, symbols, Board, CLibrary, DeviceError, Install,
    Qemu, Source,
};
use flowlet_tools::export::{Core, ImageFile, Numeric};
use flowlet_tools::image_formats::c_header;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A board as GCC knows it.
struct CBoard {
    board: Board,
    flags: &'static [&'static str],
    serial_line: &'static str,
}

const M4F: CBoard = CBoard {
    board: Board::Mps2An386,
    flags: &["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"],
    serial_line: "board_mps2.c",
};

const M0: CBoard =
    CBoard { board: Board::Microbit, flags: &["-mcpu=cortex-m0"], serial_line: "board_microbit.c" };

const STRICT: [&str; 6] = ["-Os", "-ffreestanding", "-Wall", "-Wextra", "-Werror", "-pedantic"];

/// Writes the image as the examples include it.
fn generate_model(folder: &Path, image: &ImageFile) {
    let header = c_header(image, &"model".parse().expect("a name")).expect("a good image");
    fs::write(folder.join("model.h"), header).expect("a temporary file");
}

/// Writes what the example of readings includes.
fn generate(folder: &Path, image: &ImageFile, readings: &[f32]) {
    generate_model(folder, image);
    let mut text = String::from("static const float readings[][MODEL_INPUTS] = {\n");
    for row in readings.chunks_exact(image.model().expect("a good image").inputs()) {
        let row: Vec<String> = row.iter().map(|value| format!("{value:e}f")).collect();
        let _ = writeln!(text, "    {{{}}},", row.join(", "));
    }
    text.push_str("};\n");
    fs::write(folder.join("readings.h"), text).expect("a temporary file");
}

/// A line that an example sends: a word, bits, what is at the end.
fn line(text: &mut String, word: &str, values: &[f32], end: &str) {
    let bits: String = values.iter().map(|value| format!(" {:08x}", value.to_bits())).collect();
    let _ = writeln!(text, "{word}{bits}{end}");
}

/// What the example of readings sends, computed by the host.
fn expected(image: &ImageFile, readings: &[f32]) -> String {
    let model = image.model().expect("a good image");
    let mut workspace = vec![0; flowlet::explain_workspace_words(&model)];
    let mut text = String::new();
    for row in readings.chunks_exact(model.inputs()) {
        let mut scorer = Scorer::new(&model, &mut workspace).expect("enough");
        let score = scorer.score(row).expect("finite");
        let end = if score.alarm { " alarm" } else { "" };
        line(&mut text, "score", &[score.log_prob, score.p_value, score.score], end);
        let all = scorer.statistics(row).expect("finite");
        let values = [all.negative_log_prob.value, all.squared_norm.value, all.typicality.value];
        line(&mut text, "statistics", &values, "");
        if score.alarm {
            let mut explainer = Explainer::new(&model, &mut workspace).expect("enough");
            let why = explainer.explain(row).expect("finite");
            let values = [&[why.score, why.excess], why.attribution, why.nearest_normal].concat();
            line(&mut text, "explained", &values, "");
        }
    }
    text
}

/// Compiles and links an example with strict warnings, as C99 and, as far as it is not assembly, as C++.
fn link(
    example: &str,
    board: &CBoard,
    library: &CLibrary,
    generated: &Path,
    source: &Source,
) -> Result<PathBuf, DeviceError> {
    let examples = library.home.join("examples");
    let elf = generated.join(format!("{example}.elf"));
    let file = |name: &str| examples.join(name).display().to_string();
    let folder = |flag: &str, path: &Path| format!("{flag}{}", path.display());
    let includes = [folder("-I", generated), folder("-I", &library.include)];
    let compile: Vec<&str> =
        board.flags.iter().copied().chain(STRICT).chain(includes.iter().map(String::as_str)).collect();

    let program = file(&format!("{example}.c"));
    for (tool, options) in [
        ("gcc", &["-std=c11", "-c", "-o", "c11.o"][..]),
        ("g++", &["-x", "c++", "-std=c++17", "-fno-exceptions", "-fno-rtti", "-c", "-o", "cpp.o"]),
    ] {
        arm_gcc(tool, generated, &[&compile[..], options, &[&program]].concat(), Install::Forbidden)?;
    }
    let (startup, line, sections) = (file("startup.c"), file(board.serial_line), file("sections.ld"));
    let bits = file("bits.c");
    let memory = folder("-L", &source.firmware().join("boards").join(board.board.name()));
    let (archive, out) = (library.archive.display().to_string(), elf.display().to_string());
    let link = [
        "-std=c99",
        "-nostdlib",
        "-Wl,--gc-sections,-z,noexecstack",
        &memory,
        "-T",
        &sections,
        &program,
        &bits,
        &startup,
        &line,
        &archive,
        "-lgcc",
        "-o",
        &out,
    ];
    arm_gcc("gcc", generated, &[&compile[..], &link].concat(), Install::Forbidden)?;
    Ok(elf)
}

/// Runs a linked example and compares all that it sends.
fn sends(board: Board, elf: &Path, expected: &str) -> Result<(), DeviceError> {
    let run = Qemu::find(Install::Forbidden)?.run(board, elf, None, Duration::from_secs(120))?.success()?;
    let sent = String::from_utf8_lossy(&run.serial);
    for (line, (sent, expected)) in sent.lines().zip(expected.lines()).enumerate() {
        assert_eq!(sent, expected, "line {line} on {board}");
    }
    assert_eq!(sent.lines().count(), expected.lines().count(), "{board}");
    Ok(())
}

/// Builds an example from what was generated, and compares what it sends.
fn on_board(example: &str, board: &CBoard, generated: &Path, expected: &str) -> Result<(), DeviceError> {
    let source = Source::find()?;
    let library = CLibrary::build(&source, board.board.target(), Install::Forbidden)?;
    let elf = link(example, board, &library, generated, &source)?;
    let unwanted = symbols(&elf, |name| is_panic(name) || is_f64(name))?;
    assert!(unwanted.is_empty(), "linked into a C program on {}: {unwanted:?}", board.board);
    sends(board.board, &elf, expected)?;
    let lines = expected.lines().count();
    println!(
        "{example}, {}: {lines} lines alike, {} bytes of code and constants",
        board.board,
        code_bytes(&elf)?
    );
    Ok(())
}

fn of_readings(board: &CBoard, image: &ImageFile, readings: &[f32]) -> Result<(), DeviceError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    generate(folder.path(), image, readings);
    let expected = expected(image, readings);
    assert!(expected.contains(" alarm") && expected.contains("explained"), "{expected}");
    on_board("detector", board, folder.path(), &expected)
}

/// Windows of two channels with every extractor; the sensor gives counts whatever windows are of.
fn of_samples(board: &CBoard, samples: Samples, numeric: Numeric) -> Result<(), DeviceError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut random = Random(41);
    let plan = Plan { samples, window: 128, hop: 96, rate: 1000.0, scale: 1e-3, floor: 1e-4 };
    let record = plan.everything(Form::Log2);
    let core = if board.board == Board::Microbit { Core::CortexM0 } else { Core::CortexM4F };
    let image = streams::image(&mut random, &record, numeric, core);
    let channels: [Vec<i16>; 2] =
        [900.0, 40.0].map(|size| (0..900).map(|_| (size * random.normal()) as i16).collect());
    generate_model(folder.path(), &image);
    let rows: Vec<String> =
        channels[0].iter().zip(&channels[1]).map(|(a, b)| format!("    {{{a}, {b}}},\n")).collect();
    let text = format!("static const int16_t samples[][MODEL_CHANNELS] = {{\n{}}};\n", rows.concat());
    fs::write(folder.path().join("samples.h"), text).expect("a temporary file");

    let windows = match samples {
        Samples::F32 => {
            let units = channels.map(|counts| counts.iter().map(|&count| f32::from(count) * 1e-3).collect());
            streams::features::<f32>(&record, &units)
        }
        Samples::I16 => streams::features::<i16>(&record, &channels),
    };
    let model = image.model().expect("a good image");
    let mut workspace = vec![0; model.workspace_bytes() / 4];
    let mut scorer = Scorer::new(&model, &mut workspace).expect("enough");
    let mut expected = String::new();
    for features in &windows {
        let score = scorer.score(features).expect("finite");
        line(&mut expected, "features", features, "");
        let end = if score.alarm { " alarm" } else { "" };
        line(&mut expected, "score", &[score.log_prob, score.p_value, score.score], end);
    }
    assert_eq!(windows.len(), 9, "of 128 samples, 96 apart");
    on_board("stream", board, folder.path(), &expected)
}

fn finished(test: &str, done: Result<(), DeviceError>) {
    match done {
        Ok(()) => {}
        Err(DeviceError::Missing(missing)) => skips::record(test, &missing),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn c_on_a_cortex_m4f_sends_the_hosts_bits() {
    let (image, readings) = (golden_v2::image(Numeric::F32), golden_v2::readings());
    finished("c_on_a_cortex_m4f_sends_the_hosts_bits", of_readings(&M4F, &image, &readings));
}

#[test]
fn c_on_a_cortex_m0_sends_the_hosts_bits() {
    let (image, readings) = (golden::image(Numeric::I8), golden::readings());
    finished("c_on_a_cortex_m0_sends_the_hosts_bits", of_readings(&M0, &image, &readings[..3 * 32]));
}

#[test]
fn windows_in_c_on_a_cortex_m4f_send_the_hosts_bits() {
    let done = of_samples(&M4F, Samples::F32, Numeric::I8);
    finished("windows_in_c_on_a_cortex_m4f_send_the_hosts_bits", done);
}

#[test]
fn windows_in_c_on_a_cortex_m0_send_the_hosts_bits() {
    let done = of_samples(&M0, Samples::I16, Numeric::I8);
    finished("windows_in_c_on_a_cortex_m0_send_the_hosts_bits", done);
}

/// Runs a command; its output is the message if it fails.
fn runs(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

fn by_cmake() -> Result<(), DeviceError> {
    let cmake = cmake(Install::Forbidden)?;
    let source = Source::find()?;
    // The library is there after this, so that CMake's cargo has nothing to do; and there is a compiler for it.
    let library = CLibrary::build(&source, M4F.board.target(), Install::Forbidden)?;
    let gcc = arm_gcc("gcc", Path::new("."), &["-print-prog-name=gcc"], Install::Forbidden)?;
    assert!(!gcc.is_empty());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (image, readings) = (golden::image(Numeric::I16), golden::readings());
    generate(folder.path(), &image, &readings);
    let target_dir = library.archive.ancestors().nth(3).expect("TARGET_DIR/TARGET/release/libflowlet.a");
    let define = |name: &str, value: &str| format!("-D{name}={value}");
    let said = runs(
        Command::new(&cmake)
            .args(["-B", "build", "-G", "Unix Makefiles", "-S"])
            .arg(library.home.join("examples"))
            .arg(define("CMAKE_TOOLCHAIN_FILE", "arm-none-eabi.cmake"))
            .arg(define("CMAKE_C_FLAGS", &M4F.flags.join(" ")))
            .arg(define("BOARD", M4F.board.name()))
            .arg(define("GENERATED", &folder.path().display().to_string()))
            .arg(define("FLOWLET_TARGET_DIR", &target_dir.display().to_string()))
            .current_dir(folder.path()),
    );
    assert!(said.contains("thumbv7em-none-eabihf, everything"), "{said}");
    runs(Command::new(&cmake).args(["--build", "build"]).current_dir(folder.path()));
    sends(M4F.board, &folder.path().join("build/detector"), &expected(&image, &readings))
}

#[test]
fn cmake_builds_the_same_program() {
    finished("cmake_builds_the_same_program", by_cmake());
}

/// Zephyr itself is not here; what it would read is, with a stand-in for the one function that is called.
#[test]
fn the_zephyr_module_chooses_the_target_of_the_core() {
    let cmake = match cmake(Install::Forbidden) {
        Ok(cmake) => cmake,
        Err(missing) => return skips::record("the_zephyr_module_chooses_the_target_of_the_core", &missing),
    };
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/c-api/zephyr");
    for (config, target) in [
        ("CPU_CORTEX_M4 FP_HARDABI", "thumbv7em-none-eabihf, fixed-affine"),
        ("CPU_CORTEX_M4", "thumbv7em-none-eabi, fixed-affine"),
        ("CPU_CORTEX_M3", "thumbv7m-none-eabi,"),
        ("ARMV6_M_ARMV8_M_BASELINE", "thumbv6m-none-eabi,"),
        ("ARMV6_M_ARMV8_M_BASELINE ARMV8_M_BASELINE", "thumbv8m.base-none-eabi,"),
        ("ARMV8_M_MAINLINE FP_HARDABI", "thumbv8m.main-none-eabihf,"),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let set: String = config.split(' ').map(|name| format!("set(CONFIG_{name} y)\n")).collect();
        let project = format!(
            "cmake_minimum_required(VERSION 3.20)\nproject(application LANGUAGES NONE)\n\
             set(CONFIG_FLOWLET y)\nset(CONFIG_FLOWLET_FEATURES fixed-affine)\n{set}\
             add_library(zephyr_interface INTERFACE)\n\
             function(zephyr_link_libraries)\n  \
               target_link_libraries(zephyr_interface INTERFACE ${{ARGV}})\n\
             endfunction()\n\
             add_subdirectory({} module)\n",
            module.display()
        );
        fs::write(folder.path().join("CMakeLists.txt"), project).expect("a temporary file");
        let said = runs(
            Command::new(&cmake).args(["-G", "Unix Makefiles", "-B", "build"]).current_dir(folder.path()),
        );
        assert!(said.contains(&format!("flowlet: {target}")), "{config}: {said}");
    }
}
