//! The delivery log: `parts: {messages: {...}}`.

use super::TargetPart;
use super::credentials;
use super::decode::{Decoder, Item, Map, instead};
use crate::model::{FIELDS, Field};
use crate::source::DeliveryLogApi;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How often the log is read, unless the file says otherwise.
pub const MESSAGES_INTERVAL_DEFAULT: Duration = Duration::from_secs(60);
/// The shortest and longest `interval`.
pub const MESSAGES_INTERVAL_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// The furthest `since`.
pub const SINCE_RANGE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(31 * 86_400);
/// How far back each poll looks for records that came late, unless the file says otherwise.
pub const OVERLAP_DEFAULT: Duration = Duration::from_secs(600);
/// The shortest and longest `overlap`.
pub const OVERLAP_RANGE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(86_400);

/// `parts: {messages: {...}}`: the delivery log is followed, record by record.
#[derive(Clone, Debug)]
pub struct Messages {
    /// Which part, with its own credentials or else the target's.
    pub part: TargetPart,
    /// `interval:` how often the log is read. Left out: [`MESSAGES_INTERVAL_DEFAULT`].
    pub interval: Duration,
    /// `since:` how far back the first start reads. Left out: from now on.
    pub since: Duration,
    /// `overlap:` how far back each poll looks for records that came late. Left out: [`OVERLAP_DEFAULT`].
    pub overlap: Duration,
    /// `include:` fields that leave the machine as they are. Left out: none of those that may name a person.
    pub include: Vec<Field>,
}

impl Messages {
    /// What stands below `parts.messages`, and whether it has credentials of its own.
    pub(super) fn decode(
        decoder: &mut Decoder<'_>,
        item: &Item<'_>,
        records: &'static DeliveryLogApi,
        target: &credentials::Credentials,
    ) -> Option<(Self, bool)> {
        let mut map = decoder.map(item)?;
        let its = credentials::decode(decoder, &mut map);
        let mut duration = |map: &mut Map<'_>, key, range| map.take(key).and_then(|item| decoder.duration(&item, range));
        let interval = duration(&mut map, "interval", &MESSAGES_INTERVAL_RANGE).unwrap_or(MESSAGES_INTERVAL_DEFAULT);
        let since = duration(&mut map, "since", &SINCE_RANGE).unwrap_or_default();
        let overlap = duration(&mut map, "overlap", &OVERLAP_RANGE).unwrap_or(OVERLAP_DEFAULT);
        let include = map.take("include").map(|item| fields(decoder, &item)).unwrap_or_default();
        decoder.finish(map);
        if !decoder.has_state_dir {
            let message = "needs state_dir (at the top of the file): a directory to remember in which records were delivered";
            decoder.problem(&item.place, message);
        }
        if decoder.logs_have_no_url {
            let message = "needs an OTLP endpoint that ends in /v1/metrics: its records are sent to /v1/logs beside it";
            decoder.problem(&item.place, message);
        }
        let has_own = !its.is_empty();
        let credentials = if has_own { its } else { target.clone() };
        let part = TargetPart { part: &records.part, credentials };
        Some((Self { part, interval, since, overlap, include }, has_own))
    }
}

fn fields(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<Field> {
    let names: Vec<&str> = FIELDS.iter().map(|info| info.name).collect();
    let mut fields = Vec::new();
    for item in decoder.list(item).unwrap_or_default() {
        let Some(name) = decoder.word(&item) else { continue };
        let found = Field::by_name(&name).ok_or_else(|| format!("there is no field {name}; {}", instead(&name, &names)));
        fields.extend(decoder.noted(&item.place, found));
    }
    fields
}
