//! What has been read of one summary.

use super::Buckets;
use super::buckets::BUCKETS_MAX;
use crate::model::{Repair, Repairs, Summary};

/// The summary: quantiles stand where a histogram has bounds. What is not a valid quantile is left out and counted.
///
/// # Errors
/// The repair that leaving the summary out counts as.
pub(super) fn summary(mut read: Buckets) -> Result<(Summary, Repairs), Repair> {
    let count = read.count.ok_or(Repair::MissingCount)?;
    let too_many = read.counts.len() > BUCKETS_MAX;
    let mut repairs = read.sort();
    let sent = read.counts.len();
    read.counts.retain(|(quantile, _)| (0.0..=1.0).contains(quantile));
    read.counts.truncate(BUCKETS_MAX);
    if !(0.0..=9e15).contains(&count) {
        return Err(Repair::OutOfRange);
    }
    if too_many || read.counts.len() < sent {
        repairs.count(Repair::OutOfRange);
    }
    let count = Some(count as u64);
    Ok((Summary { quantiles: read.counts, sum: read.sum.filter(|sum| sum.is_finite()), count }, repairs))
}
