//! Where threads wait for one another, many thousand times a second.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Looks at the counter before a waiting thread offers its processor to others, some tens of microseconds. A step of a
/// small flow takes 70 microseconds: to sleep and be woken at each barrier would take as long.
const LOOKS: usize = 1000;

/// A barrier that spins.
pub(super) struct Barrier {
    threads: usize,
    /// Arrivals since the beginning.
    arrived: AtomicUsize,
    broken: AtomicBool,
}

/// One thread's place at a barrier. Dropped by a panic it breaks the barrier, so that the others do not wait forever.
pub(super) struct Member<'a> {
    barrier: &'a Barrier,
    /// Arrivals that this thread waits for next.
    next: usize,
}

impl Barrier {
    /// For so many threads.
    pub(super) fn new(threads: usize) -> Self {
        Self { threads, arrived: AtomicUsize::new(0), broken: AtomicBool::new(false) }
    }

    /// The place of one thread, to be taken before any wait: each thread has one.
    pub(super) fn member(&self) -> Member<'_> {
        Member { barrier: self, next: 0 }
    }
}

impl Member<'_> {
    /// Returns when all threads have come here; what they wrote before is then seen.
    ///
    /// Panics if another thread has panicked.
    pub(super) fn wait(&mut self) {
        let Barrier { threads, arrived, broken } = self.barrier;
        self.next += threads;
        arrived.fetch_add(1, Ordering::AcqRel);
        let mut looks = 0;
        while arrived.load(Ordering::Acquire) < self.next {
            assert!(!broken.load(Ordering::Relaxed), "another thread of this training panicked");
            if looks < LOOKS {
                looks += 1;
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.barrier.broken.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More threads than cores, so that the patient way of waiting is taken too.
    #[test]
    fn nobody_runs_ahead() {
        const THREADS: usize = 5;
        let (barrier, count) = (Barrier::new(THREADS), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let mut member = barrier.member();
                    for round in 1..=200 {
                        count.fetch_add(1, Ordering::Relaxed);
                        member.wait();
                        assert_eq!(count.load(Ordering::Relaxed), round * THREADS);
                        member.wait();
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_does_not_leave_the_others_waiting() {
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            let panics = scope.spawn(|| {
                let _member = barrier.member();
                panic!("on purpose");
            });
            let waits = scope.spawn(|| barrier.member().wait());
            assert!(panics.join().is_err());
            assert!(waits.join().is_err());
        });
    }
}
