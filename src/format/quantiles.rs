//! What has been read of one summary.

use super::Buckets;
use super::buckets::BUCKETS_MAX;
use crate::model::{Repair, Repairs, Summary};

/// The summary: quantiles stand where a histogram has bounds. What is no count or no quantile is left out, and said.
pub(super) fn summary(mut read: Buckets) -> (Summary, Repairs) {
    let too_many = read.counts.len() > BUCKETS_MAX;
    let mut repairs = read.sort();
    let sent = read.counts.len();
    read.counts.retain(|(quantile, _)| (0.0..=1.0).contains(quantile));
    read.counts.truncate(BUCKETS_MAX);
    let count = read.count.filter(|n| (0.0..=9e15).contains(n)).map(|n| n as u64);
    if too_many || read.counts.len() < sent || (read.count.is_some() && count.is_none()) {
        repairs.count(Repair::OutOfRange);
    }
    (Summary { quantiles: read.counts, sum: read.sum.filter(|sum| sum.is_finite()), count }, repairs)
}
