//! The best detector that fits a chip: a search over architectures and numbers within a budget of flash, RAM and
//! instructions.
//!
//! What a candidate costs is known before it is trained (`price`), so candidates over the budget are never trained. The
//! others go through rungs of successive halving (Jamieson and Talwalkar 2016; Li et al. 2018): all are trained for a
//! ninth of the epochs, the best quarter of them for a third, the best quarter of those to the end, always with some of the
//! Pareto front, which would else lose all that is small. Every rung trains anew, since rate and noise follow the number of
//! epochs; experts that several candidates share are trained once. What is best is said by the `proxy`.
//!
//! The same data, settings and kind of processor give the same choice at any number of threads.

mod halving;
mod pareto;
mod price;
mod proxy;
mod space;

pub use halving::{search, Candidate, Finalist, Found, Request, Watch, RUNGS};
pub use pareto::{front, Point};
pub use price::Cost;
pub use proxy::Worth;
pub use space::{Fixed, Space};

use crate::cli::grouped;
use crate::export::Core;
use crate::training::TrainError;
use std::fmt;
use thiserror::Error;

/// What an image may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The core that instructions are counted on.
    pub core: Core,
    /// Whether it has an FPU: a core that usually has one and lacks it is not given f32, whose cost there is unknown.
    pub has_fpu: bool,
    /// Flash for the image.
    pub flash: Option<Memory>,
    /// RAM for the workspace.
    pub ram: Option<Memory>,
    /// Instructions of a score, as the cost model predicts them.
    pub instructions: Option<u64>,
}

/// Bytes of a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// For the image or the workspace alone: the runtime's code and stack are not counted.
    Besides(usize),
    /// All that the chip has, of which the runtime's code or stack is a part.
    Whole(usize),
}

impl Memory {
    /// How many.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Besides(bytes) | Self::Whole(bytes) => bytes,
        }
    }

    /// What a candidate takes of it, which has `own` bytes beside `runtime`'s.
    fn spent(memory: Option<Self>, own: usize, runtime: usize) -> u64 {
        let counted = if matches!(memory, Some(Self::Whole(_))) { runtime } else { 0 };
        (own + counted) as u64
    }
}

/// One of a budget's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Bytes of the image.
    Flash,
    /// Bytes of the workspace.
    Ram,
    /// Instructions of a score.
    Instructions,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Flash, Self::Ram, Self::Instructions];

    /// Its option on the command line.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Self::Flash => "--max-flash",
            Self::Ram => "--max-ram",
            Self::Instructions => "--max-instructions",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Flash => "bytes of flash",
            Self::Ram => "bytes of RAM",
            Self::Instructions => "instructions",
        }
    }
}

impl Budget {
    /// The most that a limit allows, if it is set.
    #[must_use]
    pub fn most(&self, limit: Limit) -> Option<u64> {
        match limit {
            Limit::Flash => self.flash.map(|memory| memory.bytes() as u64),
            Limit::Ram => self.ram.map(|memory| memory.bytes() as u64),
            Limit::Instructions => self.instructions,
        }
    }

    /// What a cost has of what this limit counts.
    #[must_use]
    pub fn spent(&self, limit: Limit, cost: Cost) -> u64 {
        match limit {
            Limit::Flash => Memory::spent(self.flash, cost.image_bytes, cost.code_bytes),
            Limit::Ram => Memory::spent(self.ram, cost.workspace_bytes, cost.stack_bytes),
            Limit::Instructions => cost.instructions,
        }
    }

    /// What of the runtime a limit counts, in words.
    #[must_use]
    pub fn runtime_within(&self, limit: Limit) -> Option<&'static str> {
        match (limit, self.flash, self.ram) {
            (Limit::Flash, Some(Memory::Whole(_)), _) => Some("its runtime's code"),
            (Limit::Ram, _, Some(Memory::Whole(_))) => Some("its runtime's stack"),
            _ => None,
        }
    }

    /// Whether a cost is over this limit.
    #[must_use]
    pub fn exceeds(&self, limit: Limit, cost: Cost) -> bool {
        self.most(limit).is_some_and(|most| self.spent(limit, cost) > most)
    }

    /// Whether all limits are kept.
    #[must_use]
    pub fn admits(&self, cost: Cost) -> bool {
        !Limit::ALL.into_iter().any(|limit| self.exceeds(limit, cost))
    }

    /// By what factor the worst limit is missed; at most 1 where all are kept.
    fn strain(&self, cost: Cost) -> f64 {
        let ratio = |limit: Limit| {
            self.most(limit).map(|most| self.spent(limit, cost) as f64 / (most as f64).max(1.0))
        };
        Limit::ALL.into_iter().filter_map(ratio).fold(0.0, f64::max)
    }
}

/// Why nothing was found.
#[derive(Debug, Error)]
pub enum SearchError {
    /// No candidate keeps the budget.
    #[error(transparent)]
    Impossible(#[from] Box<Impossible>),
    /// Nothing that fits could be trained.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// An image could not be written.
    #[error(transparent)]
    Export(#[from] crate::export::ExportError),
    /// An image could not be scored.
    #[error(transparent)]
    Scoring(#[from] flowlet::Error),
}

/// A budget that no candidate keeps, and what would be needed.
#[derive(Clone, Debug, PartialEq)]
pub struct Impossible {
    /// Features of the data.
    pub features: usize,
    /// The limits that no candidate keeps, with the least that a candidate needs.
    pub limits: Vec<(Limit, u64)>,
    /// The candidate that is closest to keeping all limits.
    pub nearest: (String, Cost),
    budget: Budget,
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let features = self.features;
        let number = |n: u64| grouped(n as usize);
        if self.limits.is_empty() {
            let (name, cost) = &self.nearest;
            return write!(
                f,
                "no flow for {features} features keeps all limits together: the nearest ({name}) needs {} bytes of flash, {} \
                 bytes of RAM and {} instructions on a {}",
                number(self.budget.spent(Limit::Flash, *cost)),
                number(self.budget.spent(Limit::Ram, *cost)),
                number(self.budget.spent(Limit::Instructions, *cost)),
                self.budget.core.name()
            );
        }
        let told = self.limits.iter().map(|&(limit, least)| {
            let most = self.budget.most(limit).unwrap_or(0);
            let (least, most, unit) = (number(least), number(most), limit.unit());
            match self.budget.runtime_within(limit) {
                Some(runtime) => {
                    let option = limit.option();
                    format!(
                        "{least} {unit} with {runtime} (the chip has {most}; if yours takes less, say with {option} what it leaves)"
                    )
                }
                None => format!("{least} {unit} ({} is {most})", limit.option()),
            }
        });
        write!(
            f,
            "the smallest flow for {features} features needs {}",
            told.collect::<Vec<_>>().join(" and ")
        )
    }
}

impl std::error::Error for Impossible {}
