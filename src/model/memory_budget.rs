//! A memory budget that several owners share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A memory budget. Clones share it.
#[derive(Clone, Debug)]
pub struct MemoryBudget(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    bytes_max: usize,
    used: AtomicUsize,
    rejections: AtomicU64,
}

/// A share of a budget, which is returned when the reservation is dropped.
#[derive(Debug)]
pub struct MemoryReservation {
    budget: MemoryBudget,
    bytes: usize,
}

impl MemoryBudget {
    /// A budget of this many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Counts { bytes_max, used: AtomicUsize::new(0), rejections: AtomicU64::new(0) }))
    }

    /// Reserves bytes. Returns `None` and counts a rejection if too few are left.
    #[must_use]
    pub fn reserve(&self, bytes: usize) -> Option<MemoryReservation> {
        let fits = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.0.bytes_max);
        match self.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => Some(MemoryReservation { budget: self.clone(), bytes }),
            Err(_) => {
                self.0.rejections.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// The size of the budget in bytes.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.0.bytes_max
    }

    /// The number of reserved bytes.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// The number of rejected reservations.
    #[must_use]
    pub fn rejections(&self) -> u64 {
        self.0.rejections.load(Ordering::Relaxed)
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
    fn a_budget_is_never_exceeded_and_reservations_are_returned() {
        let budget = MemoryBudget::new(10);
        let (a, b) = (budget.reserve(6).unwrap(), budget.reserve(4).unwrap());
        assert!(budget.reserve(1).is_none() && budget.reserve(usize::MAX).is_none());
        assert_eq!((budget.used_bytes(), budget.rejections()), (10, 2));
        drop(a);
        assert!(budget.reserve(7).is_none() && budget.reserve(6).is_some());
        drop(b);
        assert_eq!((budget.used_bytes(), budget.bytes_max()), (0, 10));
    }
}
