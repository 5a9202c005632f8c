//! What stands behind the scorer, run on pseudo-random streams: digests of all that alarm, drift, re-centring and
//! commissioning say, by the same code on host and board.

use flowlet::stream::{
    Alarm, AlarmSettings, Channel, Commissioning, Cusum, Drift, DriftSettings, Ewma, Promise, Recentring,
    RecentringSettings, Surprise, Votes,
};

/// Words of a digest.
pub const WORDS: usize = 8;
/// Channels of the stream.
const CHANNELS: usize = 6;

/// Xorshift (Marsaglia 2003).
struct Xorshift(u32);

impl Xorshift {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }
}

/// One step of FNV-1a over a word (Fowler, Noll and Vo), so that every state of every reading counts.
fn hash(state: &mut u32, word: u32) {
    *state = (*state ^ word).wrapping_mul(0x0100_0193);
}

/// Runs a stream of so many readings; `None` if its settings were refused, which they are not.
#[must_use]
pub fn digest(seed: u32, readings: u32) -> Option<[u32; WORDS]> {
    let mut random = Xorshift(seed | 1);
    let level = Surprise::from_bits(4);
    let votes = Votes { needed: 2, of: 7, level, clear: Surprise::from_bits(2) };
    let ewma = Ewma { weight: 6554, level: Surprise::from_bits(3), clear: Surprise::from_bits(2) };
    let cusum = Cusum { reference: Surprise::from_raw(600), limit: 3000, clear: 100 };
    let mut alarm = Alarm::new(AlarmSettings::new(Some(votes), Some(ewma), Some(cusum), 9).ok()?);
    let one = 1 << 24;
    let settings = DriftSettings {
        shift: 6,
        every: 2,
        mean_limit: one / 3,
        least_variance: one / 2,
        most_variance: one * 2,
    };
    let mut channels = [Channel::START; CHANNELS];
    let mut drift = Drift::new(settings, &mut channels).ok()?;
    let settings = RecentringSettings { shift: 7, limit: one / 2, most_step: 1 << 17, learn_below: level };
    let mut offsets = [0; CHANNELS];
    let mut centre = Recentring::new(settings, &mut offsets).ok()?;
    let mut commissioning = Commissioning::<6>::new();
    let mut words = [0x811c_9dc5; WORDS];
    let [of_surprise, of_alarm, of_evidence, of_drift, of_moments, of_offsets, of_site, of_interval] =
        &mut words;
    for _ in 0..readings {
        // Any exponent down to the subnormals, small ones seldom.
        let octaves = random.next().leading_zeros() + random.next().leading_zeros() * (random.next() & 3);
        let p = f32::from_bits(127u32.saturating_sub(octaves) << 23 | random.next() >> 9);
        let surprise = Surprise::of_p_value(p);
        hash(of_surprise, surprise.raw().into());
        hash(of_alarm, alarm.step(surprise) as u32);
        let evidence = alarm.evidence();
        hash(
            of_evidence,
            u32::from(evidence.votes) << 24 ^ u32::from(evidence.ewma.raw()) << 8 ^ evidence.cusum,
        );
        let mut values = [0; CHANNELS];
        for value in &mut values {
            let size = random.next() & 31;
            *value = (random.next() as i32) >> size.max(12);
        }
        if let Some(found) = drift.update(&values) {
            hash(of_drift, u32::from(found.channel));
            hash(of_moments, found.moments.mean as u32);
            hash(of_moments, found.moments.variance);
        }
        centre.learn(&values, surprise);
        centre.offsets().iter().for_each(|&offset| hash(of_offsets, offset as u32));
        let statistic = f32::from_bits(0x4000_0000 | random.next() >> 8);
        commissioning.add(statistic);
    }
    let site = commissioning.finish(Surprise::from_bits(5), Promise::Tail).ok()?;
    for _ in 0..200 {
        let surprise = site.surprise(f32::from_bits(0x4000_0000 | random.next() >> 8));
        hash(of_site, surprise.raw().into());
        let (low, high) = site.interval(surprise);
        hash(of_interval, u32::from(low.raw()) << 16 | u32::from(high.raw()));
    }
    Some(words)
}
