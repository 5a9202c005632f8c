//! The boards that the firmware knows.

use std::fmt;
use std::str::FromStr;

/// A board that firmware can be built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Board {
    /// ARM MPS2 with the AN386 image: a Cortex-M4F, emulated by QEMU.
    Mps2An386,
}

impl Board {
    /// Every board.
    pub const ALL: [Self; 1] = [Self::Mps2An386];

    /// The board's name: QEMU's machine, and the firmware's cargo feature.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mps2An386 => "mps2-an386",
        }
    }

    /// The name of the board's core, as cost tables give it.
    pub fn core(self) -> &'static str {
        match self {
            Self::Mps2An386 => "cortex-m4f",
        }
    }

    /// The target that the firmware is compiled for.
    pub fn target(self) -> &'static str {
        match self {
            Self::Mps2An386 => "thumbv7em-none-eabihf",
        }
    }

    /// Where the host places a job.
    pub(super) fn job_address(self) -> u32 {
        match self {
            Self::Mps2An386 => 0x2100_0000,
        }
    }

    /// How many bytes a job may have.
    pub(super) fn job_room(self) -> usize {
        match self {
            Self::Mps2An386 => 16 << 20,
        }
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
