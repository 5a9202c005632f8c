//! Picks the dense kernels by target: see `src/arithmetic/dense/layers.rs`.
//!
//! | cfg | value | on |
//! |---|---|---|
//! | `flowlet_integer_kernels` | `armv6m` | thumbv6m, thumbv8m.base |
//! | | `armv7m` | thumbv7m, and thumbv8m.main without a DSP extension that is known of |
//! | | `armv7em` | thumbv7em, and thumbv8m.main with `-C target-cpu=cortex-m33` or `cortex-m35p` |
//! | | `armv81m` | thumbv8m.main with `-C target-cpu=cortex-m52`, `cortex-m55` or `cortex-m85`: vector instructions |
//! | `flowlet_float_kernels` | `vfp` | every `eabihf` of these without vector instructions |
//! | | `mve` | every `eabihf` of these with vector instructions |
//! | `flowlet_armv8m` | | thumbv8m: its assembler is to be told of the DSP extension |
//!
//! Elsewhere, as on hosts, neither is set, and the portable kernels run. `FLOWLET_KERNELS=portable` in the environment asks
//! for them on any target.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=FLOWLET_KERNELS");
    println!(
        "cargo::rustc-check-cfg=cfg(flowlet_integer_kernels, values(\"armv6m\", \"armv7m\", \"armv7em\", \"armv81m\"))"
    );
    println!("cargo::rustc-check-cfg=cfg(flowlet_float_kernels, values(\"vfp\", \"mve\"))");
    println!("cargo::rustc-check-cfg=cfg(flowlet_armv8m)");
    if env::var_os("FLOWLET_KERNELS").is_some_and(|kernels| kernels == "portable") {
        return;
    }
    let target = env::var("TARGET").unwrap_or_default();
    let cpu = target_cpu(&env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default());
    let (integer, float) = kernels(&target, cpu.as_deref().unwrap_or_default());
    if let Some(integer) = integer {
        println!("cargo::rustc-cfg=flowlet_integer_kernels=\"{integer}\"");
    }
    if target.starts_with("thumbv8m") {
        println!("cargo::rustc-cfg=flowlet_armv8m");
    }
    if let Some(float) = float {
        println!("cargo::rustc-cfg=flowlet_float_kernels=\"{float}\"");
    }
}

/// The integer kernels of a target, and the float ones.
fn kernels(target: &str, cpu: &str) -> (Option<&'static str>, Option<&'static str>) {
    let Some((architecture, rest)) = target.split_once('-') else { return (None, None) };
    let has_fpu = rest.ends_with("eabihf");
    if matches!(cpu, "cortex-m52" | "cortex-m55" | "cortex-m85") {
        return (Some("armv81m"), has_fpu.then_some("mve"));
    }
    let integer = match architecture {
        "thumbv6m" | "thumbv8m.base" => "armv6m",
        "thumbv7m" => "armv7m",
        "thumbv7em" => "armv7em",
        // The DSP extension is an option there, and stable Rust does not tell a build script of it.
        "thumbv8m.main" if matches!(cpu, "cortex-m33" | "cortex-m35p") => "armv7em",
        "thumbv8m.main" => "armv7m",
        _ => return (None, None),
    };
    (Some(integer), has_fpu.then_some("vfp"))
}

/// The last `-C target-cpu` of the flags, which cargo separates by 0x1f.
fn target_cpu(flags: &str) -> Option<String> {
    let options = flags.split('\x1f').map(|flag| flag.strip_prefix("-C").unwrap_or(flag));
    options.filter_map(|option| option.strip_prefix("target-cpu=")).next_back().map(str::to_owned)
}
