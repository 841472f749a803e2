//! What waits for a receiver, how long, and where: `export.otlp.queue:`, `retry:` and `spool:`.

use super::decode::{Decoder, Item, Map};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Bytes of requests that wait in memory, unless said otherwise.
pub const QUEUE_BYTES_DEFAULT: usize = 64 * 1024 * 1024;
/// The smallest and largest queue in memory.
pub const QUEUE_BYTES_RANGE: RangeInclusive<usize> = 1024 * 1024..=16 * 1024 * 1024 * 1024;
/// Bytes of requests that wait on disk, unless said otherwise.
pub const SPOOL_BYTES_DEFAULT: usize = 1024 * 1024 * 1024;
/// The smallest and largest spool.
pub const SPOOL_BYTES_RANGE: RangeInclusive<usize> = 1024 * 1024..=1024 * 1024 * 1024 * 1024;
/// The wait before the first repetition, unless said otherwise: that of the OpenTelemetry Collector's exporters.
pub const RETRY_INITIAL_DEFAULT: Duration = Duration::from_secs(5);
/// The longest wait between repetitions, unless said otherwise: that of the OpenTelemetry Collector's exporters.
pub const RETRY_MAX_DEFAULT: Duration = Duration::from_secs(30);
/// The shortest and longest wait.
pub const RETRY_RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
/// The shortest and longest time after which a request is given up.
pub const GIVE_UP_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 3600);

/// `retry:` when a request that was not taken is sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// `initial:` the wait before the first repetition; doubled each time. Left out: 5s.
    pub initial: Duration,
    /// `max:` the longest wait. Left out: 30s.
    pub max: Duration,
    /// `give_up_after:` the age of a request after which it is not sent again. Left out: never.
    pub give_up_after: Option<Duration>,
}

impl Default for Retry {
    fn default() -> Self {
        Self { initial: RETRY_INITIAL_DEFAULT, max: RETRY_MAX_DEFAULT, give_up_after: None }
    }
}

/// `spool:` requests wait on disk too, and survive the end of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spool {
    /// `dir:` required: the directory of the spool; it is made if it is not there, and one process has it.
    pub dir: PathBuf,
    /// `max_bytes:` what its files take of the disk at most, in whole blocks of 4 KiB. Left out: 1GiB.
    pub max_bytes: usize,
}

/// What waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// `queue: {max_bytes}` of requests in memory; one whole collection is kept even where it is larger. Left out: 64MiB.
    pub max_bytes: usize,
    /// `retry:` Left out: after 5s, doubled up to 30s, without end.
    pub retry: Retry,
    /// `spool:` Left out: memory only.
    pub spool: Option<Spool>,
}

impl Default for Queue {
    fn default() -> Self {
        Self { max_bytes: QUEUE_BYTES_DEFAULT, retry: Retry::default(), spool: None }
    }
}

impl Queue {
    /// The keys of `export.otlp` that are about waiting.
    pub(super) fn decode_keys(decoder: &mut Decoder<'_>, map: &mut Map<'_>) -> Self {
        let queue = map.take("queue");
        let retry = map.take("retry");
        let spool = map.take("spool");
        let mut of = queue.and_then(|item| decoder.map(&item)).unwrap_or_default();
        let max_bytes = of.take("max_bytes").and_then(|item| decoder.bytes(&item, &QUEUE_BYTES_RANGE));
        decoder.finish(of);
        Self {
            max_bytes: max_bytes.unwrap_or(QUEUE_BYTES_DEFAULT),
            retry: retry.map(|item| Retry::decode(decoder, &item)).unwrap_or_default(),
            spool: spool.and_then(|item| Spool::decode(decoder, &item)),
        }
    }
}

impl Retry {
    fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Self {
        let mut map = decoder.map(item).unwrap_or_default();
        let mut wait = |key, range| map.take(key).and_then(|item| decoder.duration(&item, range));
        let initial = wait("initial", &RETRY_RANGE);
        let max = wait("max", &RETRY_RANGE);
        let give_up_after = wait("give_up_after", &GIVE_UP_RANGE);
        decoder.finish(map);
        let initial = initial.unwrap_or(max.map_or(RETRY_INITIAL_DEFAULT, |max| max.min(RETRY_INITIAL_DEFAULT)));
        let max = max.unwrap_or(RETRY_MAX_DEFAULT.max(initial));
        if max < initial {
            decoder.problem(&item.place, "max is shorter than initial");
        }
        Self { initial, max, give_up_after }
    }
}

impl Spool {
    fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<Self> {
        let mut map = decoder.map(item)?;
        let dir = map.take("dir");
        let max_bytes = map.take("max_bytes").and_then(|item| decoder.bytes(&item, &SPOOL_BYTES_RANGE));
        decoder.finish(map);
        let Some(dir) = dir else {
            decoder.problem(&item.place, "dir is missing: the directory of the spool");
            return None;
        };
        let dir = decoder.word(&dir)?.into();
        Some(Self { dir, max_bytes: max_bytes.unwrap_or(SPOOL_BYTES_DEFAULT) })
    }
}
