//! Scores rows on an emulated board.

use std::time::Duration;

use flowlet_protocol::job::{self, Job};
use flowlet_protocol::ScoreBits;
use rayon::prelude::*;

use super::replies::{self, Replies};
use super::toolchain::Install;
use super::{Binary, Board, DeviceError, Firmware, Qemu, Source};

/// Rows of one run: few enough that progress shows and cores share the work, many enough that
/// starting the emulator does not matter.
const BATCH: usize = 4096;

/// Rows of each batch that are scored once more, in a loop with nothing else in it, to count
/// instructions. All of them fit the firmware's list.
const TIMED_ROWS: u32 = 256;

/// What a row came to: the bits of its score, or the [number](super::error_code) of the
/// scorer's error.
pub type Row = Result<ScoreBits, u8>;

/// What the board made of the rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulation {
    /// Every row, in order.
    pub rows: Vec<Row>,
    /// Instructions that one score takes, on average over the rows that were timed; `None` if no
    /// row could be scored.
    pub instructions_per_score: Option<f64>,
    /// The deepest stack that loading and scoring reached, in bytes.
    pub stack_bytes: u32,
    /// Bytes of workspace that the image needs.
    pub workspace_bytes: u32,
    /// Bytes of machine code and constants of the whole firmware, without the image.
    pub code_bytes: u64,
}

/// Scores rows (`features` values each, context included, one after the other) with an image, on a board.
///
/// Builds the firmware if need be. Values go through bit for bit, NaN and infinity included.
///
/// # Errors
/// Every [`DeviceError`].
pub fn simulate(
    image: &[u8],
    rows: &[f32],
    features: usize,
    board: Board,
) -> Result<Simulation, DeviceError> {
    Simulator::new(board, Install::Forbidden)?.run(image, rows, features, |_| {})
}

/// A board that is ready to score: emulator found, firmware built.
#[derive(Clone, Debug)]
pub struct Simulator {
    board: Board,
    qemu: Qemu,
    firmware: Firmware,
    limit: Duration,
}

impl Simulator {
    /// Finds (or, if allowed, installs) what a simulation needs, and builds the firmware.
    ///
    /// # Errors
    /// [`DeviceError::Missing`], [`DeviceError::NoSource`], [`DeviceError::Build`].
    pub fn new(board: Board, install: Install) -> Result<Self, DeviceError> {
        let qemu = Qemu::find(install)?;
        let firmware = Source::find()?.build(board, &Binary::ScoreRows, install)?;
        Ok(Self::with_firmware(board, qemu, firmware))
    }

    /// A board with a `score_rows` that was built.
    pub(crate) fn with_firmware(board: Board, qemu: Qemu, firmware: Firmware) -> Self {
        Self { board, qemu, firmware, limit: Duration::from_secs(300) }
    }

    /// Gives each run of the emulator this long at most, instead of five minutes.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Scores rows as [`simulate`] does; `progress` hears, from any thread, how many rows were
    /// done by each run.
    ///
    /// # Errors
    /// Every [`DeviceError`].
    pub fn run(
        &self,
        image: &[u8],
        rows: &[f32],
        features: usize,
        progress: impl Fn(usize) + Sync,
    ) -> Result<Simulation, DeviceError> {
        if features == 0 || !rows.len().is_multiple_of(features) {
            return Err(DeviceError::Shape { values: rows.len(), features });
        }
        let batch = batch_rows(image.len(), features, self.board.job_room())?;
        // No rows are a job too: the image is checked.
        let batches: Vec<&[f32]> =
            if rows.is_empty() { vec![rows] } else { rows.chunks(batch * features).collect() };
        let replies = batches
            .into_par_iter()
            .map(|rows| {
                let replies = self.run_batch(image, rows, features)?;
                progress(replies.rows.len());
                Ok(replies)
            })
            .collect::<Result<Vec<_>, DeviceError>>()?;
        Ok(merge(replies, self.firmware.code_bytes))
    }

    fn run_batch(&self, image: &[u8], rows: &[f32], features: usize) -> Result<Replies, DeviceError> {
        let job = job_bytes(image, rows, features)?;
        let run = self.qemu.run(self.board, &self.firmware.elf, Some(&job), self.limit)?.success()?;
        replies::read(&run.serial, rows.len() / features, features)
    }
}

pub(super) fn batch_rows(image_bytes: usize, features: usize, room: usize) -> Result<usize, DeviceError> {
    let fits = |rows: usize| Job::bytes(image_bytes, rows, features).is_some_and(|bytes| bytes <= room);
    let too_large = DeviceError::TooLarge { image_bytes, features, room };
    // Image and header are rounded up together, so the room for rows is what remains of them.
    let taken = Job::bytes(image_bytes, 0, features).filter(|&taken| taken <= room).ok_or(too_large)?;
    let rows = ((room - taken) / 4 / features).min(BATCH);
    if rows > 0 && fits(rows) {
        Ok(rows)
    } else {
        Err(DeviceError::TooLarge { image_bytes, features, room })
    }
}

pub(super) fn job_bytes(image: &[u8], rows: &[f32], features: usize) -> Result<Vec<u8>, DeviceError> {
    let too_large = || DeviceError::TooLarge { image_bytes: image.len(), features, room: u32::MAX as usize };
    let word = |count: usize| u32::try_from(count).map_err(|_| too_large());
    let mut body = image.to_vec();
    body.resize(image.len().next_multiple_of(job::ALIGN), 0);
    body.extend(rows.iter().flat_map(|value| value.to_bits().to_le_bytes()));
    let count = word(rows.len() / features)?;
    let header = job::header(word(image.len())?, count, word(features)?, TIMED_ROWS, &body);
    Ok([&header[..], &body].concat())
}

/// A job as [`job_bytes`] makes it, with another number of timed rows.
pub(crate) fn timed_job(
    image: &[u8],
    rows: &[f32],
    features: usize,
    timed_rows: u32,
) -> Result<Vec<u8>, DeviceError> {
    let mut job = job_bytes(image, rows, features)?;
    set_timed_rows(&mut job, timed_rows);
    Ok(job)
}

/// Job and header as [`job_bytes`] makes them, with another number of rows to time.
pub(super) fn set_timed_rows(job: &mut [u8], rows: u32) {
    let (head, body) = job.split_at_mut(job::HEADER_BYTES);
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let made = job::header(word(8), word(12), word(16), rows, body);
    head.copy_from_slice(&made);
}

fn merge(replies: Vec<Replies>, code_bytes: u64) -> Simulation {
    let (mut instructions, mut scores) = (0.0, 0.0);
    let (mut stack_bytes, mut workspace_bytes) = (0, 0);
    let mut rows = Vec::new();
    for reply in replies {
        let measured = reply.measured;
        let ticks = measured.ticks - measured.overhead_ticks;
        instructions += ticks as f64 * measured.instructions_per_tick();
        scores += f64::from(measured.timed_scores);
        stack_bytes = stack_bytes.max(measured.stack_bytes);
        workspace_bytes = workspace_bytes.max(reply.workspace_bytes);
        rows.extend(reply.rows);
    }
    let instructions_per_score = (scores > 0.0).then(|| instructions / scores);
    Simulation { rows, instructions_per_score, stack_bytes, workspace_bytes, code_bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowlet_protocol::Measurements;

    #[test]
    fn a_job_is_what_the_firmware_reads() {
        let values = [f32::from_bits(0x7F80_0001), f32::NEG_INFINITY, 1e-45, -0.0];
        let bytes = job_bytes(b"an image", &values, 2).unwrap();
        // The parser wants the alignment that the board's memory has.
        let mut memory = vec![0; bytes.len() + job::ALIGN];
        let start = memory.as_ptr().align_offset(job::ALIGN);
        memory[start..start + bytes.len()].copy_from_slice(&bytes);
        let job = Job::parse(&memory[start..]).unwrap();
        assert_eq!((job.image, job.features, job.rows().len()), (&b"an image"[..], 2, 2));
        assert!(job.values.iter().map(|v| v.to_bits()).eq(values.map(f32::to_bits)));
    }

    #[test]
    fn batches_fit_the_board() {
        let room = 1 << 20;
        assert_eq!(batch_rows(1000, 8, room).unwrap(), BATCH);
        let rows = batch_rows(room / 2, 1000, room).unwrap();
        assert!(Job::bytes(room / 2, rows, 1000).unwrap() <= room);
        assert!(Job::bytes(room / 2, rows + 1, 1000).unwrap() > room);
        assert!(batch_rows(room, 1, room).is_err());
        assert!(batch_rows(0, room / 4, room).is_err());
        assert!(batch_rows(usize::MAX, usize::MAX, room).is_err());
    }

    #[test]
    fn batches_are_merged_by_weight() {
        let reply = |timed_scores, ticks, stack_bytes| Replies {
            rows: vec![Err(1); 2],
            workspace_bytes: 64,
            measured: Measurements {
                timed_scores,
                ticks,
                overhead_ticks: ticks / 2,
                clock_hz: 25_000_000,
                stack_bytes,
            },
        };
        let merged = merge(vec![reply(3, 300, 100), reply(1, 20, 300), reply(0, 0, 200)], 9);
        assert_eq!(merged.instructions_per_score, Some(160.0 * 40.0 / 4.0));
        assert_eq!((merged.stack_bytes, merged.workspace_bytes, merged.rows.len()), (300, 64, 6));
        assert_eq!(merge(vec![reply(0, 0, 0)], 9).instructions_per_score, None);
    }
}
