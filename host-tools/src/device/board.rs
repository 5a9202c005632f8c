//! The boards that the firmware knows.

use std::fmt;
use std::str::FromStr;

/// A board that firmware can be built for; all of them are emulated by QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Board {
    /// BBC micro:bit, version 1: a Cortex-M0 with 16 KB of RAM.
    Microbit,
    /// ARM MPS2 with the AN385 image: a Cortex-M3.
    Mps2An385,
    /// ARM MPS2 with the AN386 image: a Cortex-M4F.
    Mps2An386,
    /// ARM MPS2 with the AN500 image: a Cortex-M7 with an FPU.
    Mps2An500,
    /// ARM MPS2 with the AN505 image: a Cortex-M33 with an FPU.
    Mps2An505,
    /// ARM MPS3 with the AN547 image: a Cortex-M55 with vector instructions (MVE).
    Mps3An547,
}

/// What differs between boards, as far as the host needs to know.
struct Facts {
    /// QEMU's machine, and the firmware's cargo feature.
    name: &'static str,
    core: &'static str,
    target: &'static str,
    /// What the compiler is told beyond the target.
    target_cpu: Option<&'static str>,
    /// As in the firmware's `src/board/`.
    job_address: u32,
    job_room: usize,
}

impl Board {
    /// Every board, by core from small to large.
    pub const ALL: [Self; 6] =
        [Self::Microbit, Self::Mps2An385, Self::Mps2An386, Self::Mps2An500, Self::Mps2An505, Self::Mps3An547];

    fn facts(self) -> Facts {
        let facts = |name, core, target, job_address| Facts {
            name,
            core,
            target,
            target_cpu: None,
            job_address,
            job_room: 16 << 20,
        };
        match self {
            Self::Microbit => Facts {
                job_room: 128 << 10,
                ..facts("microbit", "cortex-m0", "thumbv6m-none-eabi", 0x2_0000)
            },
            Self::Mps2An385 => facts("mps2-an385", "cortex-m3", "thumbv7m-none-eabi", 0x2100_0000),
            Self::Mps2An386 => facts("mps2-an386", "cortex-m4f", "thumbv7em-none-eabihf", 0x2100_0000),
            Self::Mps2An500 => facts("mps2-an500", "cortex-m7", "thumbv7em-none-eabihf", 0x6000_0000),
            // The target alone has neither the DSP instructions of the one nor the vectors of the other.
            Self::Mps2An505 => Facts {
                target_cpu: Some("cortex-m33"),
                ..facts("mps2-an505", "cortex-m33", "thumbv8m.main-none-eabihf", 0x8000_0000)
            },
            Self::Mps3An547 => Facts {
                target_cpu: Some("cortex-m55"),
                ..facts("mps3-an547", "cortex-m55", "thumbv8m.main-none-eabihf", 0x6000_0000)
            },
        }
    }

    /// The board's name: QEMU's machine, and the firmware's cargo feature.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The name of the board's core, as cost tables give it.
    pub fn core(self) -> &'static str {
        self.facts().core
    }

    /// The target that the firmware is compiled for.
    pub fn target(self) -> &'static str {
        self.facts().target
    }

    /// The core that the compiler is told of, where the target alone would leave instructions unused.
    pub fn target_cpu(self) -> Option<&'static str> {
        self.facts().target_cpu
    }

    /// Where the host places a job, or an image alone.
    pub fn job_address(self) -> u32 {
        self.facts().job_address
    }

    /// How many bytes a job may have.
    pub(super) fn job_room(self) -> usize {
        self.facts().job_room
    }
}

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No board has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no board is called '{name}'; there are: {}", Board::ALL.map(Board::name).join(", "))]
pub struct UnknownBoard {
    name: String,
}

impl FromStr for Board {
    type Err = UnknownBoard;

    fn from_str(name: &str) -> Result<Self, UnknownBoard> {
        Self::ALL
            .into_iter()
            .find(|board| board.name() == name)
            .ok_or_else(|| UnknownBoard { name: name.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_others_teach() {
        for board in Board::ALL {
            assert_eq!(board.to_string().parse(), Ok(board));
        }
        let error = "stm32".parse::<Board>().unwrap_err().to_string();
        assert!(error.contains("mps2-an386"), "{error}");
    }
}
