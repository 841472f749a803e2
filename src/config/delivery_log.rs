//! The settings of a delivery log: `parts: {messages: {...}}`.

use super::decode::Decoder;
use super::map::Item;
use super::schema::DELIVERY_LOG;
use super::text::suggestion;
use super::{Credentials, RecordDetail, TargetPart, credentials};
use crate::model::{FIELDS, Field};
use crate::source::DeliveryLogApi;
use std::time::Duration;

/// The default of `interval`.
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(60);
/// The default of `overlap`.
pub const OVERLAP_DEFAULT: Duration = Duration::from_secs(600);

/// Settings of a delivery log, which is read record by record.
#[derive(Clone, Debug)]
pub struct DeliveryLog {
    /// The part of the mail system, with its own credentials or else those of the target.
    pub part: TargetPart,
    /// Key `interval`: the time between two reads.
    pub interval: Duration,
    /// Key `since`: how far back the first read goes.
    pub since: Duration,
    /// Key `overlap`: how far each read looks back for records that were written late.
    pub overlap: Duration,
    /// Key `include`: fields to export in plain text although they can identify a person.
    pub include: Vec<Field>,
    /// Keys `by` and `groups_max`: how the metrics of the records are split.
    pub detail: RecordDetail,
}

impl DeliveryLog {
    /// Decodes `parts.messages`. The second value is `true` if it has credentials of its own.
    pub(super) fn decode(
        decoder: &mut Decoder<'_>,
        item: &Item<'_>,
        records: &'static DeliveryLogApi,
        target: &Credentials,
    ) -> Option<(Self, bool)> {
        let mut map = decoder.map(item, DELIVERY_LOG)?;
        let own = credentials::decode(decoder, &mut map);
        let interval = map.duration_or_default(decoder, "interval");
        let since = map.duration_or_default(decoder, "since");
        let overlap = map.duration_or_default(decoder, "overlap");
        let include = map.take("include").map(|item| fields(decoder, &item)).unwrap_or_default();
        let detail = RecordDetail::decode_keys(decoder, &mut map);
        decoder.finish(map);
        if !decoder.has_state_dir {
            let message = "needs state_dir at the top of the file: a directory for the read position of the delivery log";
            decoder.report(&item.location, message);
        }
        if decoder.logs_url_is_unknown {
            let message = "needs an OTLP endpoint that ends in /v1/metrics: records are sent to /v1/logs next to it";
            decoder.report(&item.location, message);
        }
        let has_own = !own.is_empty();
        let credentials = if has_own { own } else { target.clone() };
        let part = TargetPart { part: &records.part, credentials };
        Some((Self { part, interval, since, overlap, include, detail }, has_own))
    }
}

pub(super) fn fields(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<Field> {
    let names: Vec<&str> = FIELDS.iter().map(|info| info.name).collect();
    let mut fields = Vec::new();
    for item in decoder.list(item).unwrap_or_default() {
        let Some(name) = decoder.non_empty_text(&item) else { continue };
        let found = Field::by_name(&name).ok_or_else(|| format!("unknown field {name}; {}", suggestion(&name, &names)));
        fields.extend(decoder.ok_or_report(&item.location, found));
    }
    fields
}
