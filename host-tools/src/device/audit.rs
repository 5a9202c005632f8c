//! What must not be linked into a firmware, by the names of its symbols.

/// Whether a symbol is a way to a panic.
pub fn is_panic(symbol: &str) -> bool {
    symbol.contains("9panicking") || symbol.contains("rust_begin_unwind")
}

/// Whether a symbol is arithmetic in f64, which chips without the hardware pay dearly.
pub fn is_f64(symbol: &str) -> bool {
    let Some(name) = symbol.strip_prefix("__") else { return false };
    let converts = |name: &str| ["f2d", "i2d", "ui2d", "l2d", "ul2d"].contains(&name);
    match name.strip_prefix("aeabi_") {
        Some(name) => name.starts_with('d') || name.starts_with("cd") || converts(name),
        None => modes(name).any(|mode| mode == "df"),
    }
}

/// Whether a symbol computes with floats in software, of either width, or is a function of libm.
pub fn is_soft_float(symbol: &str) -> bool {
    if symbol.contains("compiler_builtins5float") || symbol.contains("4libm4math") || is_f64(symbol) {
        return true;
    }
    let Some(name) = symbol.strip_prefix("__") else { return false };
    match name.strip_prefix("aeabi_") {
        Some(name) => name.starts_with('f') || name.starts_with("cf") || name.ends_with("2f"),
        None => modes(name).any(|mode| mode == "sf"),
    }
}

/// Whether a symbol copies memory: weights are used where they lie.
pub fn is_copy(symbol: &str) -> bool {
    ["memcpy", "memmove"].iter().any(|copy| {
        let name = symbol.strip_prefix("__aeabi_").unwrap_or(symbol);
        name.strip_prefix(copy).is_some_and(|rest| ["", "4", "8"].contains(&rest))
    })
}

/// The float modes, `sf` and `df`, in one of GCC's names: `addsf3`, `gtdf2`, `fixunssfsi`, `floatdidf`.
fn modes(name: &str) -> impl Iterator<Item = &'static str> + '_ {
    let shapes = |mode: &str| {
        let after = ["2", "3", "si", "di", "ti", "sf", "df", "xf", "tf"];
        let before = ["si", "di", "ti", "hf"];
        after.iter().any(|rest| name.ends_with(&format!("{mode}{rest}")))
            || before.iter().any(|start| name.ends_with(&format!("{start}{mode}")))
    };
    ["sf", "df"].into_iter().filter(move |&mode| shapes(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Routines of the run-time library that have no floats in them.
    const INTEGER: [&str; 14] = [
        "__aeabi_idiv",
        "__aeabi_uidivmod",
        "__aeabi_ldivmod",
        "__aeabi_lmul",
        "__aeabi_llsl",
        "__aeabi_lasr",
        "__aeabi_memclr4",
        "__muldi3",
        "__udivsi3",
        "__clzsi2",
        "__ashldi3",
        "main",
        "_ZN7flowlet10arithmetic5fixed7convert12f32_to_fixed17h0E",
        "__cortex_m_rt_main",
    ];

    #[test]
    fn floats_are_told_from_integers() {
        for name in INTEGER {
            assert!(!is_soft_float(name) && !is_f64(name) && !is_panic(name), "{name}");
        }
        for name in ["__aeabi_dmul", "__aeabi_cdcmple", "__aeabi_f2d", "__adddf3", "__gtdf2", "__floatsidf"] {
            assert!(is_f64(name) && is_soft_float(name), "{name}");
        }
        for name in [
            "__aeabi_fmul",
            "__aeabi_fcmplt",
            "__aeabi_cfcmple",
            "__aeabi_f2iz",
            "__aeabi_i2f",
            "__aeabi_ul2f",
            "__addsf3",
            "__ltsf2",
            "__fixunssfsi",
            "__floatdisf",
            "_ZN4libm4math4expf4expf17h0E",
            "_RNvNtCs7NhdfSRABLd_17compiler_builtins5float3add",
        ] {
            assert!(is_soft_float(name) && !is_f64(name), "{name}");
        }
    }

    #[test]
    fn copies_and_panics_are_found() {
        for name in ["memcpy", "memmove", "__aeabi_memcpy", "__aeabi_memcpy4", "__aeabi_memmove8"] {
            assert!(is_copy(name), "{name}");
        }
        for name in ["memset", "__aeabi_memclr", "memcpy_of_mine"] {
            assert!(!is_copy(name), "{name}");
        }
        assert!(is_panic("_ZN4core9panicking5panic17h0123456789abcdefE"));
        assert!(is_panic("rust_begin_unwind"));
    }
}
