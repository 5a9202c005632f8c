//! From the data-ready interrupt to the main loop, without a lock and without losing count.
//!
//! [`heapless::spsc`] carries the samples. What it has no room for is dropped, the newest first, and counted: the next
//! sample that finds room says how many were dropped before it, and [`flowlet::stream::health`] makes a fault of it.

use flowlet::stream::health::{ReadError, Sample};
use heapless::spsc::{Consumer, Producer, Queue};

/// Room for `N - 1` samples of `C` channels: one place tells full from empty.
pub type Storage<const C: usize, const N: usize> = Queue<Sample<C>, N>;

/// The end for the interrupt and the end for the main loop.
pub fn split<const C: usize, const N: usize>(
    storage: &mut Storage<C, N>,
) -> (SampleProducer<'_, C>, SampleConsumer<'_, C>) {
    let (producer, consumer) = storage.split();
    (SampleProducer { producer, numbering: Numbering::default() }, SampleConsumer { consumer })
}

/// Numbers samples, and counts those that a queue, of whatever kind, had no room for.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Numbering {
    counter: u32,
    overruns: u32,
}

impl Numbering {
    /// The next sample: what the sensor said at a time.
    pub fn next<const C: usize>(&mut self, ticks: u32, reading: Result<[i16; C], ReadError>) -> Sample<C> {
        let sample = Sample { ticks, counter: self.counter, overruns: self.overruns, reading };
        self.counter = self.counter.wrapping_add(1);
        sample
    }

    /// The sample found no room.
    pub fn overran(&mut self) {
        self.overruns = self.overruns.wrapping_add(1);
    }

    /// So many samples were due and never taken.
    pub fn skip(&mut self, samples: u32) {
        self.counter = self.counter.wrapping_add(samples);
    }
}

/// The end for the interrupt: numbers the samples and counts those that found no room.
pub struct SampleProducer<'q, const C: usize> {
    producer: Producer<'q, Sample<C>>,
    numbering: Numbering,
}

impl<const C: usize> SampleProducer<'_, C> {
    /// Hands over what the sensor said at a time, if there is room. Never waits.
    pub fn push(&mut self, ticks: u32, reading: Result<[i16; C], ReadError>) {
        let sample = self.numbering.next(ticks, reading);
        if self.producer.enqueue(sample).is_err() {
            self.numbering.overran();
        }
    }

    /// Takes the sensor's own count of samples in place of ours, for parts that number them (a frame counter, a sensor
    /// time). The next [`Self::push`] has this number.
    pub fn set_counter(&mut self, counter: u32) {
        self.numbering.counter = counter;
    }
}

/// The end for the main loop.
pub struct SampleConsumer<'q, const C: usize> {
    consumer: Consumer<'q, Sample<C>>,
}

impl<const C: usize> SampleConsumer<'_, C> {
    /// The oldest sample; `None` if all were taken.
    pub fn pop(&mut self) -> Option<Sample<C>> {
        self.consumer.dequeue()
    }

    /// How many samples wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.consumer.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.consumer.is_empty()
    }
}
