//! Whether what a sensor says can be believed.
//!
//! A model of normal readings says nothing about a sensor that is not there, that repeats its last value, or that ran
//! into the end of its range; scored as if they were readings, such samples raise alarms that send people to the
//! wrong place, or none at all. [`Health`] looks at every sample before anything else does and sorts it: a
//! [`Verdict::Healthy`] sample goes on, a [`Verdict::Faulty`] one is reported as a fault of the sensor, and after a
//! fault the next samples are held back ([`Verdict::Recovering`]) until enough of them in a row were clean. Whoever
//! collects windows empties them at every verdict but healthy, so that no window bridges a fault.
//!
//! Integers only, no division but one by the sample period, some 50 bytes and 12 more for each channel.

/// A sample as an interrupt hands it over: when it was taken, and what the sensor said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Sample<const C: usize> {
    /// When: a clock that wraps around, in ticks of its own.
    pub ticks: u32,
    /// Which: counts the samples that were due, and wraps around. From the sensor where it numbers its samples, else
    /// from the interrupt that reads it.
    pub counter: u32,
    /// How many samples found no room in the queue, since the start; wraps around.
    pub overruns: u32,
    /// The channels in the sensor's own counts, or why there are none.
    pub reading: Result<[i16; C], ReadError>,
}

/// Why a sensor gave no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ReadError {
    /// Nobody answered at the sensor's address: unplugged, unpowered, or at another address.
    NoAcknowledge,
    /// The bus itself failed: lost arbitration, a line held low, a chip-select pin that does not obey.
    Bus,
    /// Something answered, but another part than expected, or one that lost its settings.
    Unidentified,
    /// The driver refused, for example a setting that the part does not have.
    Driver,
}

/// What is wrong with a sensor, or with the way from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Fault {
    /// It can't be read.
    Unreadable(ReadError),
    /// The queue between interrupt and main loop was full: this many samples were taken and dropped.
    Overrun {
        /// Samples dropped since the one before.
        lost: u32,
    },
    /// Samples that were due were never taken.
    Gap {
        /// How many, by the counter or the clock, whichever says more.
        missed: u32,
    },
    /// A channel stands at an end of its range.
    Saturated {
        /// Which channel, from 0.
        channel: u8,
        /// At the upper end.
        high: bool,
    },
    /// A channel repeats one value for longer than its noise allows.
    Stuck {
        /// Which channel, from 0.
        channel: u8,
        /// How many samples in a row had that value, up to 65,535.
        samples: u16,
    },
}

impl Fault {
    /// Whether it is the same kind of fault, of the same channel: one that goes on, not a new one.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Stuck { channel: a, .. }, Self::Stuck { channel: b, .. }) => a == b,
            (Self::Overrun { .. }, Self::Overrun { .. }) | (Self::Gap { .. }, Self::Gap { .. }) => true,
            _ => self == other,
        }
    }
}

/// What is to be done with a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Verdict {
    /// To be used.
    Healthy,
    /// Not to be used, and to be reported.
    Faulty(Fault),
    /// Clean, but too soon after a fault to be used.
    Recovering {
        /// The last fault.
        after: Fault,
        /// How many more clean samples it takes.
        left: u16,
    },
}

/// What is expected of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Channel {
    /// At or below this count it is saturated.
    pub low: i16,
    /// At or above this count it is saturated.
    pub high: i16,
    /// So many equal samples in a row are a stuck channel; 0: it may rest for ever, as a temperature does.
    pub stuck_after: u16,
}

impl Default for Channel {
    /// All 16 bits, and 64 equal samples: a 12-bit part at rest repeats itself for a few.
    fn default() -> Self {
        Self { low: i16::MIN, high: i16::MAX, stuck_after: 64 }
    }
}

/// When a sample is a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Settings<const C: usize> {
    /// What is expected of each channel.
    pub channels: [Channel; C],
    /// So many saturated samples in a row are a fault, at least 1. Above 1, a single blow that fills the range is still
    /// scored, as the anomaly that it may be.
    pub saturated_after: u16,
    /// Ticks of [`Sample::ticks`] between two samples; 0: the time is not looked at.
    pub period: u32,
    /// So many clean samples in a row end a fault.
    pub recover_after: u16,
}

impl<const C: usize> Default for Settings<C> {
    /// Channels as [`Channel::default`], three saturated samples, no period, eight clean samples.
    fn default() -> Self {
        Self { channels: [Channel::default(); C], saturated_after: 3, period: 0, recover_after: 8 }
    }
}

/// Watches the samples of one sensor with `C` channels.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Health<const C: usize> {
    settings: Settings<C>,
    runs: [Run; C],
    /// Ticks, counter and overruns of the sample before.
    before: Option<(u32, u32, u32)>,
    /// The last fault, and how many clean samples are still to come.
    fault: Option<(Fault, u16)>,
}

/// How long a channel has done the same.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Run {
    value: i16,
    /// Samples of this value in a row.
    equal: u16,
    /// Saturated samples in a row.
    saturated: u16,
}

impl<const C: usize> Health<C> {
    /// A sensor that nothing is known of: its first sample is believed if it is in range.
    #[must_use]
    pub fn new(settings: Settings<C>) -> Self {
        Self { settings, runs: [Run::default(); C], before: None, fault: None }
    }

    /// Sorts the next sample. Of several faults the one nearest to the sensor's wires is named: unreadable, overrun,
    /// gap, saturated, stuck.
    ///
    /// Cost: a few comparisons for each channel.
    pub fn observe(&mut self, sample: &Sample<C>) -> Verdict {
        let late = self.lost(sample);
        let fault = match &sample.reading {
            Err(error) => {
                // What comes after a silence is not a repetition of what came before.
                self.runs = [Run::default(); C];
                Some(Fault::Unreadable(*error))
            }
            Ok(counts) => {
                let still = self.follow(counts);
                late.or(still)
            }
        };
        match (fault, self.fault) {
            (Some(fault), _) => {
                self.fault = Some((fault, self.settings.recover_after));
                Verdict::Faulty(fault)
            }
            (None, Some((after, left))) if left > 1 => {
                self.fault = Some((after, left - 1));
                Verdict::Recovering { after, left: left - 1 }
            }
            (None, _) => {
                self.fault = None;
                Verdict::Healthy
            }
        }
    }

    /// The fault that is not over yet.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.fault.map(|(fault, _)| fault)
    }

    /// Samples that did not arrive between the one before and this one.
    fn lost(&mut self, sample: &Sample<C>) -> Option<Fault> {
        let Sample { ticks, counter, overruns, .. } = *sample;
        let (ticks_before, counter_before, overruns_before) =
            self.before.replace((ticks, counter, overruns))?;
        let lost = overruns.wrapping_sub(overruns_before);
        if lost > 0 {
            return Some(Fault::Overrun { lost });
        }
        let by_counter = counter.wrapping_sub(counter_before).wrapping_sub(1);
        // A counter that stands still has counted nothing, rather than all but once around.
        let by_counter = if by_counter == u32::MAX { 0 } else { by_counter };
        let period = self.settings.period;
        let elapsed = ticks.wrapping_sub(ticks_before).saturating_add(period / 2);
        let by_time = elapsed.checked_div(period).unwrap_or(0).saturating_sub(1);
        let missed = by_counter.max(by_time);
        (missed > 0).then_some(Fault::Gap { missed })
    }

    /// Takes note of a reading; the first channel that is saturated, else the first that is stuck.
    fn follow(&mut self, counts: &[i16; C]) -> Option<Fault> {
        let (mut saturated, mut stuck) = (None, None);
        let channels = self.settings.channels.iter().zip(&mut self.runs).zip(counts);
        for (index, ((expected, run), &count)) in (0u8..=u8::MAX).zip(channels) {
            let repeats = run.equal > 0 && run.value == count;
            run.equal = if repeats { run.equal.saturating_add(1) } else { 1 };
            run.value = count;
            let (low, high) = (count <= expected.low, count >= expected.high);
            run.saturated = if low || high { run.saturated.saturating_add(1) } else { 0 };
            if run.saturated >= self.settings.saturated_after.max(1) {
                saturated = saturated.or(Some(Fault::Saturated { channel: index, high }));
            }
            if expected.stuck_after > 0 && run.equal >= expected.stuck_after {
                stuck = stuck.or(Some(Fault::Stuck { channel: index, samples: run.equal }));
            }
        }
        saturated.or(stuck)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: u32 = 1000;

    fn settings() -> Settings<2> {
        let channel = Channel { low: -2048, high: 2047, stuck_after: 5 };
        let resting = Channel { stuck_after: 0, ..channel };
        Settings { channels: [channel, resting], saturated_after: 2, period: PERIOD, recover_after: 3 }
    }

    /// A sensor with a little noise on its first channel, whose clock and counter soon wrap around.
    struct Sensor {
        health: Health<2>,
        next: Sample<2>,
    }

    impl Sensor {
        fn new() -> Self {
            let next = Sample {
                ticks: u32::MAX - 2500,
                counter: u32::MAX - 1,
                overruns: u32::MAX,
                reading: Ok([0, 7]),
            };
            Self { health: Health::new(settings()), next }
        }

        fn give(&mut self, reading: Result<[i16; 2], ReadError>) -> Verdict {
            self.next.reading = reading;
            let verdict = self.health.observe(&self.next);
            self.next.counter = self.next.counter.wrapping_add(1);
            // A clock is never quite even.
            self.next.ticks = self.next.ticks.wrapping_add(PERIOD + 40 - 80 * (self.next.counter & 1));
            verdict
        }

        fn noise(&mut self) -> Verdict {
            let x = 100 + (self.next.counter & 1) as i16;
            self.give(Ok([x, 7]))
        }

        fn expect_recovery(&mut self, after: Fault) {
            assert_eq!(self.noise(), Verdict::Recovering { after, left: 2 });
            assert_eq!(self.noise(), Verdict::Recovering { after, left: 1 });
            assert_eq!(self.health.fault(), Some(after));
            assert_eq!(self.noise(), Verdict::Healthy);
            assert_eq!(self.health.fault(), None);
        }
    }

    #[test]
    fn clean_samples_are_healthy_also_where_counters_wrap() {
        let mut sensor = Sensor::new();
        for _ in 0..100 {
            assert_eq!(sensor.noise(), Verdict::Healthy);
        }
    }

    #[test]
    fn a_sensor_that_does_not_answer_is_a_fault_until_it_answered_for_a_while() {
        let mut sensor = Sensor::new();
        let fault = Fault::Unreadable(ReadError::NoAcknowledge);
        assert_eq!(
            sensor.give(Err(ReadError::NoAcknowledge)),
            Verdict::Faulty(fault),
            "even as the first sample"
        );
        assert_eq!(sensor.noise(), Verdict::Recovering { after: fault, left: 2 });
        let bus = Fault::Unreadable(ReadError::Bus);
        assert_eq!(sensor.give(Err(ReadError::Bus)), Verdict::Faulty(bus), "a new fault starts anew");
        sensor.expect_recovery(bus);
    }

    #[test]
    fn a_channel_that_repeats_itself_is_stuck_and_one_that_may_rest_is_not() {
        let mut sensor = Sensor::new();
        for _ in 0..4 {
            assert_eq!(sensor.give(Ok([5, 7])), Verdict::Healthy);
        }
        for samples in 5..9 {
            assert_eq!(sensor.give(Ok([5, 7])), Verdict::Faulty(Fault::Stuck { channel: 0, samples }));
        }
        sensor.expect_recovery(Fault::Stuck { channel: 0, samples: 8 });
    }

    #[test]
    fn a_repetition_counts_from_the_first_sample_and_not_from_zero() {
        // A sensor whose first readings are the value that a run starts with.
        let mut sensor = Sensor::new();
        let verdicts = [(); 5].map(|()| sensor.give(Ok([0, 7])));
        assert_eq!(verdicts[3], Verdict::Healthy);
        assert_eq!(verdicts[4], Verdict::Faulty(Fault::Stuck { channel: 0, samples: 5 }));
        // A silence between two equal readings ends the run.
        assert!(matches!(sensor.give(Err(ReadError::Bus)), Verdict::Faulty(Fault::Unreadable(_))));
        assert!(matches!(sensor.give(Ok([0, 7])), Verdict::Recovering { .. }));
    }

    #[test]
    fn both_ends_of_the_range_saturate_after_the_stated_number_of_samples() {
        for (count, high) in [(2047, true), (-2048, false), (i16::MIN, false), (i16::MAX, true)] {
            let mut sensor = Sensor::new();
            assert_eq!(sensor.noise(), Verdict::Healthy);
            assert_eq!(sensor.give(Ok([3, count])), Verdict::Healthy, "one blow is a reading");
            let fault = Fault::Saturated { channel: 1, high };
            assert_eq!(sensor.give(Ok([4, count])), Verdict::Faulty(fault));
            sensor.expect_recovery(fault);
        }
        let mut sensor = Sensor::new();
        for turn in 0..20 {
            let count = if turn % 2 == 0 { 2046 } else { -2047 };
            assert_eq!(sensor.give(Ok([count, count])), Verdict::Healthy, "one count from the ends");
        }
    }

    #[test]
    fn a_stuck_channel_at_the_end_of_its_range_is_saturated() {
        let mut sensor = Sensor::new();
        let last = (0..10).map(|_| sensor.give(Ok([2047, 7]))).last();
        assert_eq!(last, Some(Verdict::Faulty(Fault::Saturated { channel: 0, high: true })));
    }

    #[test]
    fn samples_that_were_never_taken_are_seen_by_the_counter() {
        let mut sensor = Sensor::new();
        sensor.noise();
        sensor.next.counter = sensor.next.counter.wrapping_add(4);
        assert_eq!(sensor.noise(), Verdict::Faulty(Fault::Gap { missed: 4 }));
        sensor.expect_recovery(Fault::Gap { missed: 4 });
    }

    #[test]
    fn samples_that_were_never_taken_are_seen_by_the_clock() {
        for (late, missed) in [(PERIOD * 2 / 5, 0), (PERIOD * 3 / 5, 1), (PERIOD, 1), (7 * PERIOD, 7)] {
            let mut sensor = Sensor::new();
            for _ in 0..4 {
                sensor.noise();
            }
            sensor.next.ticks = sensor.next.ticks.wrapping_add(late);
            let expected =
                if missed == 0 { Verdict::Healthy } else { Verdict::Faulty(Fault::Gap { missed }) };
            assert_eq!(sensor.noise(), expected, "{late} ticks late");
        }
    }

    #[test]
    fn a_queue_without_room_is_an_overrun_and_not_a_gap() {
        let mut sensor = Sensor::new();
        sensor.noise();
        // Three samples were taken and dropped: counter and clock went on.
        sensor.next.overruns = sensor.next.overruns.wrapping_add(3);
        sensor.next.counter = sensor.next.counter.wrapping_add(3);
        sensor.next.ticks = sensor.next.ticks.wrapping_add(3 * PERIOD);
        assert_eq!(sensor.noise(), Verdict::Faulty(Fault::Overrun { lost: 3 }));
        sensor.expect_recovery(Fault::Overrun { lost: 3 });
    }

    #[test]
    fn without_a_period_or_a_counter_nothing_is_late() {
        let mut health = Health::new(Settings { period: 0, ..settings() });
        for (turn, ticks) in [0, 5, 1 << 30, 7].into_iter().enumerate() {
            let sample = Sample { ticks, counter: 0, overruns: 0, reading: Ok([turn as i16, 0]) };
            assert_eq!(health.observe(&sample), Verdict::Healthy);
        }
    }

    #[test]
    fn any_samples_whatever_give_a_verdict() {
        // Nothing here may overflow or panic; and a sample without a reading is never healthy.
        let mut bits = 1u64;
        let mut next = || {
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            (bits >> 16) as u32
        };
        for recover_after in [0, 1, u16::MAX] {
            let mut health =
                Health::new(Settings { saturated_after: 0, recover_after, period: next(), ..settings() });
            for _ in 0..2000 {
                let counts = [next() as i16, next() as i16];
                let reading = if next() % 8 == 0 { Err(ReadError::Driver) } else { Ok(counts) };
                let sample = Sample { ticks: next(), counter: next(), overruns: next() & 1, reading };
                let verdict = health.observe(&sample);
                assert!(reading.is_ok() || matches!(verdict, Verdict::Faulty(Fault::Unreadable(_))));
            }
        }
    }

    #[test]
    fn the_size_is_what_the_documentation_says() {
        assert!(core::mem::size_of::<Health<0>>() <= 48);
        let by_channel = core::mem::size_of::<Health<8>>() - core::mem::size_of::<Health<4>>();
        assert_eq!(by_channel, 4 * (6 + 6), "settings and runs");
    }
}
