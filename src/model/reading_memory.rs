//! A budget of memory that many owners share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Bytes that may be kept in all. Clones share them.
#[derive(Clone, Debug)]
pub struct MemoryBudget(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    bytes_max: usize,
    used: AtomicUsize,
    refusals: AtomicU64,
}

/// Bytes of a budget, until it is dropped.
#[derive(Debug)]
pub struct MemoryReservation {
    budget: MemoryBudget,
    bytes: usize,
}

impl MemoryBudget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Counts { bytes_max, used: AtomicUsize::new(0), refusals: AtomicU64::new(0) }))
    }

    /// Takes bytes from the budget. `None` if there are not so many; that is counted.
    #[must_use]
    pub fn reserve(&self, bytes: usize) -> Option<MemoryReservation> {
        let fits = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.0.bytes_max);
        match self.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => Some(MemoryReservation { budget: self.clone(), bytes }),
            Err(_) => {
                self.0.refusals.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// The whole budget.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.0.bytes_max
    }

    /// Bytes that are taken.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// How often there was not enough.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.0.refusals.load(Ordering::Relaxed)
    }
}

impl Drop for MemoryReservation {
    fn drop(&mut self) {
        self.budget.0.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_never_exceeded_and_comes_back() {
        let budget = MemoryBudget::new(10);
        let (a, b) = (budget.reserve(6).unwrap(), budget.reserve(4).unwrap());
        assert!(budget.reserve(1).is_none() && budget.reserve(usize::MAX).is_none());
        assert_eq!((budget.used_bytes(), budget.refusals()), (10, 2));
        drop(a);
        assert!(budget.reserve(7).is_none() && budget.reserve(6).is_some());
        drop(b);
        assert_eq!((budget.used_bytes(), budget.bytes_max()), (0, 10));
    }
}
