//! Scores of many rows, a tile of them at once, with the bits of [`flowlet::Scorer`].
//!
//! A tile is 32 rows, feature by feature; every operation is a plain loop over a feature's rows, in the order and
//! with the roundings that the runtime has for one row, compiled for the widest vectors that the processor has
//! (`isa`). A `Program` is an image laid out for that: what the runtime parses for each row is parsed
//! once. `tiled` names the operations that differ between the arithmetics, `float` and `fixed` have them.
//!
//! What a tile does not take is left to the runtime's own code, so that there is one definition of it:
//!
//! * rows that leave the usual ranges (past the reading limit, beyond 2048 standard deviations in fixed point, no
//!   number in f32) are scored anew by a [`Scorer`], one by one;
//! * transforms and bases without a loop of their own run row by row within the tile;
//! * images for the fast-math arithmetic are scored row by row.

mod fixed;
mod float;
mod isa;
mod program;
mod tiled;

use flowlet::arithmetic::{Fixed, Float};
use flowlet::image::descriptor::Numeric;
use flowlet::{Error, Model, Score, Scorer};
use isa::Level;
use program::{Program, Tile};

/// Rows of a tile: two vectors of 512 bits side by side.
pub(crate) const ROWS: usize = 32;

/// One number of each row of a tile.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Lane<T>([T; ROWS]);

/// A model, prepared for scoring many rows. Shared by threads, each with a [`Worker`].
#[derive(Debug)]
pub struct Batch<'m> {
    model: &'m Model<'m>,
    level: Level,
    program: Prepared<'m>,
}

/// The programs of the arithmetics that have tiles.
#[derive(Debug)]
enum Prepared<'m> {
    Float(Program<'m, Float>),
    Fixed(Program<'m, Fixed>),
    /// Row by row.
    None,
}

impl<'m> Batch<'m> {
    /// Lays the model out. Takes some microseconds per kilobyte of weights.
    #[must_use]
    pub fn new(model: &'m Model<'m>) -> Self {
        Self::at(model, Level::detect())
    }

    /// One for every set of instructions that this processor has, for tests: all give the same bits.
    #[doc(hidden)]
    #[must_use]
    pub fn for_every_level(model: &'m Model<'m>) -> Vec<Self> {
        Level::all().into_iter().map(|level| Self::at(model, level)).collect()
    }

    fn at(model: &'m Model<'m>, level: Level) -> Self {
        let program = match model.numeric() {
            Numeric::F32 => Program::new(model).map(Prepared::Float),
            Numeric::I16 | Numeric::I8 => Program::new(model).map(Prepared::Fixed),
            Numeric::F32FastMath => None,
        };
        Batch { model, level, program: program.unwrap_or(Prepared::None) }
    }

    /// Buffers for one thread: some kilobytes.
    #[must_use]
    pub fn worker(&self) -> Worker<'_, 'm> {
        let buffers = match &self.program {
            Prepared::Float(program) => Buffers::Float(program, Box::new(program.tile())),
            Prepared::Fixed(program) => Buffers::Fixed(program, Box::new(program.tile())),
            Prepared::None => Buffers::None,
        };
        Worker {
            model: self.model,
            level: self.level,
            buffers,
            workspace: vec![0; self.model.workspace_bytes() / 4],
        }
    }
}

#[derive(Debug)]
enum Buffers<'b, 'm> {
    Float(&'b Program<'m, Float>, Box<Tile<Float>>),
    Fixed(&'b Program<'m, Fixed>, Box<Tile<Fixed>>),
    None,
}

/// Scores rows for one thread.
#[derive(Debug)]
pub struct Worker<'b, 'm> {
    model: &'m Model<'m>,
    level: Level,
    buffers: Buffers<'b, 'm>,
    workspace: Vec<u32>,
}

impl Worker<'_, '_> {
    /// Scores rows of [`Model::inputs`] values each, one behind the other, in their order; a part of a row at the end is
    /// left out. The bits are those of [`Scorer::score`].
    ///
    /// # Errors
    /// What the first row that cannot be scored gives: [`Error::NotFinite`].
    pub fn score(&mut self, values: &[f32]) -> Result<Vec<Score>, Error> {
        let inputs = self.model.inputs();
        let mut scores = Vec::with_capacity(values.len() / inputs);
        let mut scorer = Scorer::new(self.model, &mut self.workspace)?;
        let whole = values.len() / inputs * inputs;
        for rows in values[..whole].chunks(ROWS * inputs) {
            let first = scores.len();
            // A row with what is no number ends all; the scorer below finds it.
            let finite = rows.iter().all(|x| x.is_finite());
            let odd = match &mut self.buffers {
                _ if !finite => None,
                Buffers::Float(program, tile) => program.score(self.level, tile, rows, &mut scores),
                Buffers::Fixed(program, tile) => program.score(self.level, tile, rows, &mut scores),
                Buffers::None => None,
            };
            match odd {
                Some(mut odd) => {
                    while odd != 0 {
                        let row = odd.trailing_zeros() as usize;
                        odd &= odd - 1;
                        scores[first + row] = scorer.score(&rows[row * inputs..][..inputs])?;
                    }
                }
                None => {
                    scores.truncate(first);
                    for row in rows.chunks_exact(inputs) {
                        scores.push(scorer.score(row)?);
                    }
                }
            }
        }
        Ok(scores)
    }
}
