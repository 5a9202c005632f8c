//! Common microcontrollers: core, memory and clock, by name or order code.
//!
//! The table is `data/chips.csv`. It says what the smallest member of a name has, so that what fits it fits all; where the
//! order code tells the size of the flash, that is taken.

use crate::export::Core;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

/// The table; its columns are explained there.
const TABLE: &str = include_str!("../data/chips.csv");
/// Measured code and stack of the runtime; see `cargo xtask gates`.
const FOOTPRINTS: &str = include_str!("../../firmware/budgets.csv");
/// Names in the message about an unknown one.
const SUGGESTIONS: usize = 3;
const KIB: usize = 1024;

/// A microcontroller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chip {
    /// Its name, in lower case: the part of order codes before pins and package.
    pub name: String,
    /// Its core, the first of several.
    pub core: Core,
    /// Whether the core has floating-point instructions.
    pub has_fpu: bool,
    /// Flash in bytes; `None` if it is external.
    pub flash: Option<usize>,
    /// RAM in one piece, in bytes.
    pub ram: usize,
    /// Highest clock in MHz.
    pub clock_mhz: u32,
    /// Who makes it.
    pub maker: String,
    /// Whether the letter behind the pins gives the size of the flash.
    sized: bool,
}

/// No chip of this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownChip {
    name: String,
    nearest: Vec<String>,
}

impl fmt::Display for UnknownChip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no chip is called '{}'; the nearest names are {}. `flowlet chips` lists all; any other chip is described by \
             --core, --max-flash, --max-ram and --max-instructions",
            self.name,
            self.nearest.join(", ")
        )
    }
}

impl std::error::Error for UnknownChip {}

/// All chips, in the order of the table.
#[must_use]
pub fn all() -> Vec<Chip> {
    TABLE.lines().filter(|line| !line.starts_with('#')).skip(1).filter_map(parse).collect()
}

fn parse(line: &str) -> Option<Chip> {
    let cells: Vec<&str> = line.split(',').collect();
    let [name, core, fpu, flash, ram, mhz, sized, maker] = cells[..] else { return None };
    Some(Chip {
        name: name.to_owned(),
        core: Core::ALL.into_iter().find(|c| c.name() == core)?,
        has_fpu: fpu == "yes",
        flash: if flash.is_empty() { None } else { Some(flash.parse::<usize>().ok()? * KIB) },
        ram: ram.parse::<usize>().ok()? * KIB,
        clock_mhz: mhz.parse().ok()?,
        maker: maker.to_owned(),
        sized: sized == "yes",
    })
}

/// The chip of a name or an order code, in any case: `stm32f401`, `STM32F401RE`, `nRF52840-QIAA`, `ATSAMD21G18A`.
///
/// # Errors
/// [`UnknownChip`] with the nearest names.
///
/// ```
/// let chip = flowlet_tools::chips::find("STM32F401RE")?;
/// assert_eq!((chip.core.name(), chip.flash, chip.ram), ("cortex-m4f", Some(512 * 1024), 64 * 1024));
/// # Ok::<(), flowlet_tools::chips::UnknownChip>(())
/// ```
pub fn find(text: &str) -> Result<Chip, UnknownChip> {
    let mut wanted: String =
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    // What makers put in front.
    for (front, family) in [("at", "sam"), ("m", "imxrt")] {
        if let Some(rest) = wanted.strip_prefix(front).filter(|rest| rest.starts_with(family)) {
            wanted = rest.to_owned();
        }
    }
    let chips = all();
    let fits =
        |chip: &&Chip| wanted.strip_prefix(chip.name.as_str()).is_some_and(|rest| chip.could_end_in(rest));
    let Some(chip) = chips.iter().filter(fits).max_by_key(|chip| chip.name.len()) else {
        let mut near: Vec<(f64, &Chip)> =
            chips.iter().map(|chip| (strsim::jaro_winkler(&wanted, &chip.name), chip)).collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let nearest = near.iter().take(SUGGESTIONS).map(|(_, chip)| chip.name.clone()).collect();
        return Err(UnknownChip { name: text.to_owned(), nearest });
    };
    let flash = wanted.strip_prefix(chip.name.as_str()).filter(|_| chip.sized).and_then(flash_of);
    Ok(Chip { flash: flash.or(chip.flash), ..chip.clone() })
}

impl Chip {
    /// Whether an order code may go on like this behind the name.
    fn could_end_in(&self, rest: &str) -> bool {
        let pins = rest.chars().next();
        // A digit would make it another name.
        pins.is_none_or(|c| c.is_ascii_alphabetic())
            && (!self.sized || rest.len() < 2 || flash_of(rest).is_some())
    }

    /// See [`footprint`].
    #[must_use]
    pub fn footprint(&self, support: &str) -> Option<Footprint> {
        footprint(self.core, support)
    }
}

/// What the runtime takes besides images and workspaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of code and constants.
    pub code_bytes: usize,
    /// Bytes of stack that opening an image and scoring take at most.
    pub stack_bytes: usize,
}

/// Of a runtime with one of [`flowlet::support::READY_MADE`] on a core, as measured for an emulated board with this core.
#[must_use]
pub fn footprint(core: Core, support: &str) -> Option<Footprint> {
    static ALL: LazyLock<BTreeMap<(String, String), Footprint>> =
        LazyLock::new(|| footprints().unwrap_or_default());
    ALL.get(&(cost_core(core).to_owned(), support.to_owned())).copied()
}

fn footprints() -> Option<BTreeMap<(String, String), Footprint>> {
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(FOOTPRINTS.as_bytes());
    let headers = reader.headers().ok()?.clone();
    let column = |name: &str| headers.iter().position(|header| header == name);
    let (core_at, kind_at, name_at) = (column("core")?, column("kind")?, column("name")?);
    let (stack_at, code_at) = (column("stack_bytes")?, column("code_bytes")?);
    let read = |record: csv::StringRecord| {
        let number = |at: usize| record.get(at)?.parse().ok();
        let key = (record.get(core_at)?.to_owned(), record.get(name_at)?.to_owned());
        let footprint = || Some(Footprint { code_bytes: number(code_at)?, stack_bytes: number(stack_at)? });
        (record.get(kind_at)? == "code").then(footprint)?.map(|footprint| (key, footprint))
    };
    Some(reader.records().flatten().filter_map(read).collect())
}

/// The name by which costs of a core are kept: nobody emulates a Cortex-M0+, which runs the code of a Cortex-M0.
#[must_use]
pub fn cost_core(core: Core) -> &'static str {
    match core {
        Core::CortexM0Plus => Core::CortexM0.name(),
        other => other.name(),
    }
}

/// Bytes of flash by an order code's rest behind the name: the letter of the pins, then that of the size.
fn flash_of(rest: &str) -> Option<usize> {
    let kib = match rest.chars().nth(1)? {
        '3' => 8,
        '4' => 16,
        '6' => 32,
        '8' => 64,
        'b' => 128,
        'z' => 192,
        'c' => 256,
        'd' => 384,
        'e' => 512,
        'f' => 768,
        'g' => 1024,
        'h' => 1536,
        'i' => 2048,
        'j' => 4096,
        _ => return None,
    };
    Some(kib * KIB)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowlet::support::READY_MADE;

    #[test]
    fn every_line_of_the_table_is_read_and_names_differ() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count() - 1;
        let chips = all();
        assert_eq!(chips.len(), lines);
        for (index, chip) in chips.iter().enumerate() {
            assert!(chips[..index].iter().all(|other| other.name != chip.name), "{}", chip.name);
            assert_eq!(find(&chip.name).as_ref(), Ok(chip));
            assert!(chip.ram >= 2 * KIB && chip.flash.is_none_or(|f| f >= 8 * KIB), "{}", chip.name);
            assert!((8..=1000).contains(&chip.clock_mhz), "{}", chip.name);
            // Cores without the option of an FPU.
            if matches!(chip.core, Core::CortexM0 | Core::CortexM0Plus | Core::CortexM3) {
                assert!(!chip.has_fpu, "{}", chip.name);
            }
            for (support, _) in READY_MADE {
                assert!(chip.footprint(support).is_some(), "{support} on {}", chip.name);
            }
        }
    }

    #[test]
    fn order_codes_name_chips_and_sizes() {
        for (code, name, flash) in [
            ("STM32F401RE", "stm32f401", 512),
            ("stm32f401rct6", "stm32f401", 256),
            ("STM32F401xE", "stm32f401", 512),
            ("stm32f401r", "stm32f401", 128),
            ("STM32L4R5ZI", "stm32l4r5", 2048),
            ("STM32U575ZIT6Q", "stm32u575", 2048),
            ("STM32F103C8T6", "stm32f103", 64),
            ("nRF51822-QFAA", "nrf51822", 128),
            ("nRF52840-QIAA-R", "nrf52840", 1024),
            ("ATSAMD21G18A-AU", "samd21g18", 256),
            ("samd21j17", "samd21", 32),
            ("EFR32MG24A020F1536IM48", "efr32mg24", 1024),
            ("LPC55S69JBD100", "lpc55s69", 640),
        ] {
            let chip = find(code).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!((chip.name.as_str(), chip.flash), (name, Some(flash * KIB)), "{code}");
        }
        let external = find("MIMXRT1062DVL6B").expect("it is in the table");
        assert_eq!((external.name.as_str(), external.flash), ("imxrt1062", None));
    }

    #[test]
    fn unknown_names_are_answered_with_the_nearest() {
        for (wrong, near) in [("stm32f410x1", "stm32f410"), ("nrf52842", "nrf52840"), ("rp2041", "rp2040")] {
            let said = find(wrong).expect_err("there is none").to_string();
            assert!(said.contains(&format!("'{wrong}'")) && said.contains(near), "{said}");
        }
        // More digits make another name, and a size that does not exist makes none.
        assert!(find("stm32f4010").is_err() && find("stm32f401rq").is_err() && find("").is_err());
    }
}
