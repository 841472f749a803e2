//! Summaries from the samples that were read.

use super::Buckets;
use super::buckets::{BUCKETS_MAX, whole_count};
use crate::model::{Repair, Repairs, Summary};

/// Returns the summary whose quantiles are in the place of bucket bounds. Invalid quantiles are omitted and counted as repairs.
///
/// # Errors
/// The repair that omitting the whole summary counts as.
pub(super) fn summary(mut buckets: Buckets) -> Result<(Summary, Repairs), Repair> {
    let count = whole_count(buckets.count.ok_or(Repair::MissingCount)?).ok_or(Repair::OutOfRange)?;
    let exceeds_limit = buckets.counts.len() > BUCKETS_MAX;
    let mut repairs = buckets.sort();
    let sent_count = buckets.counts.len();
    buckets.counts.retain(|(quantile, _)| (0.0..=1.0).contains(quantile));
    let is_invalid = buckets.counts.len() < sent_count;
    buckets.counts.truncate(BUCKETS_MAX);
    if is_invalid {
        repairs.count(Repair::OutOfRange);
    }
    if exceeds_limit {
        repairs.count(Repair::TooManyBuckets);
    }
    Ok((Summary { quantiles: buckets.counts, sum: buckets.sum, count: Some(count) }, repairs))
}
