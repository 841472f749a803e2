//! The queue of requests that the receiver has not accepted yet: `export.otlp.queue:`, `retry:` and `spool:`.

use super::decode::Decoder;
use super::map::{Item, Map};
use super::schema::{QUEUE, RETRY, SPOOL};
use std::path::PathBuf;
use std::time::Duration;

/// The default of `queue.max_bytes`.
pub const QUEUE_BYTES_DEFAULT: usize = 64 * 1024 * 1024;
/// The default of `spool.max_bytes`.
pub const SPOOL_BYTES_DEFAULT: usize = 1024 * 1024 * 1024;
/// The default of `retry.initial`: that of the OpenTelemetry Collector's exporters.
pub const RETRY_INITIAL_DEFAULT: Duration = Duration::from_secs(5);
/// The default of `retry.max`: that of the OpenTelemetry Collector's exporters.
pub const RETRY_MAX_DEFAULT: Duration = Duration::from_secs(30);

/// The backoff of retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Key `initial`: the wait before the first retry, which doubles each time.
    pub initial: Duration,
    /// Key `max`: the longest wait.
    pub max: Duration,
    /// Key `give_up_after`: the age at which a request is dropped; `None` is never.
    pub give_up_after: Option<Duration>,
}

impl Default for Retry {
    fn default() -> Self {
        Self { initial: RETRY_INITIAL_DEFAULT, max: RETRY_MAX_DEFAULT, give_up_after: None }
    }
}

/// The queue on disk, which survives the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spool {
    /// Key `dir`: the directory, which is created if necessary. One process can use it at a time.
    pub dir: PathBuf,
    /// Key `max_bytes`: the disk space that its files may use, in blocks of 4 KiB.
    pub max_bytes: usize,
}

/// The queue of requests that the receiver has not accepted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Key `queue.max_bytes`: the size of the queue in memory. One whole collection is kept even if it is larger.
    pub max_bytes: usize,
    /// Key `retry`: the backoff of retries.
    pub retry: Retry,
    /// Key `spool`: the queue on disk.
    pub spool: Option<Spool>,
}

impl Default for Queue {
    fn default() -> Self {
        Self { max_bytes: QUEUE_BYTES_DEFAULT, retry: Retry::default(), spool: None }
    }
}

impl Queue {
    /// Decodes the keys of `export.otlp` that belong to the queue.
    pub(super) fn decode_keys(decoder: &mut Decoder<'_>, map: &mut Map<'_>) -> Self {
        let (queue, retry, spool) = (map.take("queue"), map.take("retry"), map.take("spool"));
        let mut queue = decoder.map_or_empty(queue.as_ref(), QUEUE);
        let max_bytes = queue.bytes_or_default(decoder, "max_bytes");
        decoder.finish(queue);
        Self {
            max_bytes,
            retry: retry.map(|item| Retry::decode(decoder, &item)).unwrap_or_default(),
            spool: spool.and_then(|item| Spool::decode(decoder, &item)),
        }
    }
}

impl Retry {
    fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Self {
        let mut map = decoder.map_or_empty(Some(item), RETRY);
        let initial = map.duration(decoder, "initial");
        let max = map.duration(decoder, "max");
        let give_up_after = map.duration(decoder, "give_up_after");
        let (initial_default, max_default) = (map.default_duration("initial"), map.default_duration("max"));
        decoder.finish(map);
        let initial = initial.unwrap_or(max.map_or(initial_default, |max| max.min(initial_default)));
        let max = max.unwrap_or(max_default.max(initial));
        if max < initial {
            decoder.report(&item.location, "max is shorter than initial");
        }
        Self { initial, max, give_up_after }
    }
}

impl Spool {
    fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<Self> {
        let mut map = decoder.map(item, SPOOL)?;
        let dir = map.take_required(decoder, "dir");
        let max_bytes = map.bytes_or_default(decoder, "max_bytes");
        decoder.finish(map);
        let dir = decoder.path_text(&dir?)?.into();
        Some(Self { dir, max_bytes })
    }
}
