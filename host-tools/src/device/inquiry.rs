//! Statistics, explanations and samples from an emulated board, word by word.

use std::time::Duration;

use flowlet_protocol::{inquiry, layers, streams, Message, Outcome};

use super::replies::{self, Messages};
use super::simulate::{batch_rows, timed_job};
use super::toolchain::Install;
use super::{error_code, Binary, Board, DeviceError, Firmware, Qemu, Source};

/// Rows that are explained once more to count instructions.
const TIMED_ROWS: u32 = 64;

/// What the board said of the rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Inquiry {
    /// Per row the words of [`Inquirer::on_host`], or the [number](error_code) of the error.
    pub rows: Vec<Result<Vec<u32>, u8>>,
    /// Instructions of one explanation, on average over the first rows that could be explained.
    pub instructions_per_explanation: Option<f64>,
    /// The deepest stack of an explanation, in bytes.
    pub stack_bytes: u32,
    /// Bytes of workspace that an explanation needs.
    pub workspace_bytes: u32,
}

/// A board that is ready to explain.
#[derive(Clone, Debug)]
pub struct Inquirer {
    board: Board,
    qemu: Qemu,
    firmware: Firmware,
    /// Whether instructions are counted, which slows the emulator down.
    counts: bool,
}

impl Inquirer {
    /// Finds what a simulation needs, and builds the firmware.
    ///
    /// # Errors
    /// As [`super::Simulator::new`].
    pub fn new(board: Board, install: Install) -> Result<Self, DeviceError> {
        let qemu = Qemu::find(install)?;
        let firmware = Source::find()?.build(board, &Binary::ExplainRows, install)?;
        Ok(Self { board, qemu, firmware, counts: true })
    }

    /// As [`Self::new`], for rows that stand for dense layers: see [`flowlet_protocol::layers`]. The job has no
    /// image, and its answers are [`layer_digests`].
    ///
    /// # Errors
    /// As [`super::Simulator::new`].
    pub fn of_layers(board: Board, install: Install) -> Result<Self, DeviceError> {
        let qemu = Qemu::find(install)?;
        let firmware = Source::find()?.build(board, &Binary::LayerDigests, install)?;
        Ok(Self { board, qemu, firmware, counts: false })
    }

    /// As [`Self::new`], for rows of a seed and a number of readings, both as the bits of an f32, that stand for streams: see
    /// [`flowlet_protocol::streams`]. The job has no image, and its answers are [`stream_digests`].
    ///
    /// # Errors
    /// As [`super::Simulator::new`].
    pub fn of_streams(board: Board, install: Install) -> Result<Self, DeviceError> {
        let qemu = Qemu::find(install)?;
        let firmware = Source::find()?.build(board, &Binary::StreamDigests, install)?;
        Ok(Self { board, qemu, firmware, counts: true })
    }

    /// The firmware that was built.
    #[must_use]
    pub fn firmware(&self) -> &Firmware {
        &self.firmware
    }

    /// Asks the board about rows of `inputs` values each (features, then context), in one run.
    ///
    /// # Errors
    /// Every [`DeviceError`].
    pub fn run(&self, image: &[u8], rows: &[f32], inputs: usize) -> Result<Inquiry, DeviceError> {
        if inputs == 0 || !rows.len().is_multiple_of(inputs) {
            return Err(DeviceError::Shape { values: rows.len(), features: inputs });
        }
        let count = rows.len() / inputs;
        let room = self.board.job_room();
        if count > batch_rows(image.len(), inputs, room)? {
            return Err(DeviceError::TooLarge { image_bytes: image.len(), features: inputs, room });
        }
        // An explanation takes as long as a hundred scores.
        let job = timed_job(image, rows, inputs, TIMED_ROWS)?;
        let (elf, limit) = (&self.firmware.elf, Duration::from_secs(600));
        let run = if self.counts {
            self.qemu.run(self.board, elf, Some(&job), limit)?
        } else {
            self.qemu.run_uncounted(self.board, elf, &job, limit)?
        };
        read(&run.success()?.serial, count, count, inputs)
    }

    /// As [`Self::new`], for raw samples of an image with a front end: see [`Self::run_windows`].
    ///
    /// # Errors
    /// As [`super::Simulator::new`].
    pub fn of_windows(board: Board, install: Install) -> Result<Self, DeviceError> {
        let qemu = Qemu::find(install)?;
        let firmware = Source::find()?.build(board, &Binary::ScoreWindows, install)?;
        Ok(Self { board, qemu, firmware, counts: true })
    }

    /// Gives the board samples (`channels` values each; counts too as f32) in one run. Per window its features, then log_prob,
    /// p-value, score and alarm, all as bits; the instructions are those of a window, from its first new sample to its
    /// score; the window lies in a static, and the stack is that of a window and a score.
    ///
    /// # Errors
    /// Every [`DeviceError`]; [`DeviceError::Refused`] for an image without a front end.
    pub fn run_windows(
        &self,
        image: &[u8],
        samples: &[f32],
        channels: usize,
        windows: usize,
    ) -> Result<Inquiry, DeviceError> {
        if channels == 0 || !samples.len().is_multiple_of(channels) {
            return Err(DeviceError::Shape { values: samples.len(), features: channels });
        }
        let job = timed_job(image, samples, channels, u32::MAX)?;
        let room = self.board.job_room();
        if job.len() > room {
            return Err(DeviceError::TooLarge { image_bytes: image.len(), features: channels, room });
        }
        let run = self.qemu.run(self.board, &self.firmware.elf, Some(&job), Duration::from_secs(300))?;
        read(&run.success()?.serial, samples.len() / channels, windows, channels)
    }

    /// What the runtime says of the same rows on the host.
    ///
    /// # Errors
    /// What the image's check reports.
    pub fn on_host(
        image: &[u8],
        rows: &[f32],
        inputs: usize,
    ) -> Result<Vec<Result<Vec<u32>, u8>>, flowlet::Error> {
        let model = flowlet::Model::from_bytes(image)?;
        let mut workspace = vec![0; inquiry::workspace_words(&model)];
        let rows = rows.chunks_exact(inputs.max(1)).enumerate().map(|(index, row)| {
            let mut words = Vec::new();
            let asked = inquiry::inquire(&model, &mut workspace, row, index as u64, |word| words.push(word));
            asked.map(|()| words).map_err(error_code)
        });
        Ok(rows.collect())
    }
}

/// What the board answers to a row of [`Inquirer::of_streams`], from the host's own run.
#[must_use]
pub fn stream_digests(row: &[f32]) -> Option<Vec<u32>> {
    let &[seed, readings] = row else { return None };
    streams::digest(seed.to_bits(), readings.to_bits()).map(Vec::from)
}

/// What the board answers to a row of [`Inquirer::of_layers`], from the host's own kernels.
///
/// `None` if the row stands for no layer.
#[must_use]
pub fn layer_digests(row: &[f32]) -> Option<Vec<u32>> {
    let &[encoding, activation, shift, extreme, inputs] = row else { return None };
    let kind = layers::Kind::from_numbers([encoding, activation, shift, extreme])?;
    let mut memory = [0; layers::MEMORY_WORDS];
    (1..=layers::WIDEST).map(|outputs| layers::digest(kind, inputs as usize, outputs, &mut memory)).collect()
}

/// `rows` of the job, and how many answers there are to be: of windows fewer than of samples.
fn read(serial: &[u8], rows: usize, expected: usize, inputs: usize) -> Result<Inquiry, DeviceError> {
    let mut messages = Messages::new(serial);
    let workspace_bytes = replies::loaded(&mut messages, rows, inputs)?;
    let mut answers = Vec::new();
    for row in 0..expected {
        answers.push(read_row(&mut messages, row)?);
    }
    let measured = match messages.next()? {
        Message::Finished(measured) => measured,
        other => return Err(replies::unexpected(&other, "the measurements")),
    };
    messages.end()?;
    let instructions = measured.ticks as f64 * measured.instructions_per_tick();
    let timed = f64::from(measured.timed_scores);
    Ok(Inquiry {
        rows: answers,
        instructions_per_explanation: (timed > 0.0).then(|| instructions / timed),
        stack_bytes: measured.stack_bytes,
        workspace_bytes,
    })
}

fn read_row(messages: &mut Messages<'_>, expected: usize) -> Result<Result<Vec<u32>, u8>, DeviceError> {
    let mut found = Vec::new();
    loop {
        match messages.next()? {
            Message::Words { row, at, is_last, count, words }
                if row as usize == expected && at as usize == found.len() =>
            {
                found.extend(words.into_iter().take(usize::from(count)));
                if is_last {
                    return Ok(Ok(found));
                }
            }
            Message::Row { index, outcome: Outcome::Failed(code) } if index as usize == expected => {
                return Ok(Err(code));
            }
            other => {
                return Err(replies::unexpected(&other, &format!("word {} of row {expected}", found.len())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowlet_protocol::{frame, Measurements};

    const LOADED: Message = Message::Loaded { features: 3, rows: 2, workspace_bytes: 640 };
    const END: Measurements = Measurements {
        timed_scores: 2,
        ticks: 100,
        overhead_ticks: 0,
        clock_hz: 25_000_000,
        stack_bytes: 512,
    };

    fn words(row: u32, at: u32, is_last: bool, count: u8) -> Message {
        Message::Words { row, at, is_last, count, words: [7; 8] }
    }

    fn bytes(messages: &[Message]) -> Vec<u8> {
        messages.iter().flat_map(|m| frame::encode(m).unwrap()).collect()
    }

    #[test]
    fn words_are_put_together_and_gaps_are_errors() {
        let failed = Message::Row { index: 1, outcome: Outcome::Failed(14) };
        let end = Message::Finished(END);
        let good = [LOADED, words(0, 0, false, 8), words(0, 8, true, 3), failed, end];
        let inquiry = read(&bytes(&good), 2, 2, 3).unwrap();
        assert_eq!(inquiry.rows, [Ok(vec![7; 11]), Err(14)]);
        assert_eq!(inquiry.instructions_per_explanation, Some(2000.0));
        for bad in [
            &[LOADED, words(0, 8, true, 3), failed, end][..],
            &[LOADED, words(1, 0, true, 3), failed, end],
            &[LOADED, words(0, 0, false, 8), failed, end],
            &[LOADED, words(0, 0, true, 8), failed],
            &[LOADED, words(0, 0, true, 8), failed, end, end],
        ] {
            assert!(matches!(read(&bytes(bad), 2, 2, 3), Err(DeviceError::Replies(_))), "{bad:?}");
        }
    }
}
