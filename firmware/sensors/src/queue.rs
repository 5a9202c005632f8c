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
    (SampleProducer { producer, counter: 0, overruns: 0 }, SampleConsumer { consumer })
}

/// The end for the interrupt: numbers the samples and counts those that found no room.
pub struct SampleProducer<'q, const C: usize> {
    producer: Producer<'q, Sample<C>>,
    counter: u32,
    overruns: u32,
}

impl<const C: usize> SampleProducer<'_, C> {
    /// Hands over what the sensor said at a time, if there is room. Never waits.
    pub fn push(&mut self, ticks: u32, reading: Result<[i16; C], ReadError>) {
        let sample = Sample { ticks, counter: self.counter, overruns: self.overruns, reading };
        self.counter = self.counter.wrapping_add(1);
        if self.producer.enqueue(sample).is_err() {
            self.overruns = self.overruns.wrapping_add(1);
        }
    }

    /// Takes the sensor's own count of samples in place of ours, for parts that number them (a frame counter, a sensor
    /// time). The next [`Self::push`] has this number.
    pub fn set_counter(&mut self, counter: u32) {
        self.counter = counter;
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
