//! The data model: native metrics as a mail server exposes them, canonical metrics, and delivery records.
//!
//! # Native and canonical metrics are different types
//!
//! A mail server exposes [`Families`] of series with arbitrary names and labels, in any number. Canonical metrics are [`Point`]s of
//! [`Metric`]s that are declared in [`vocabulary`]: fixed names, closed sets of attribute values, tens of series. Only a rule of `source`
//! converts one to the other, so that text of a server cannot become a canonical attribute by accident.

mod byte_order_mark;
mod continued_counters;
mod exponential;
mod families;
mod histogram;
mod identity;
mod label_collision;
mod measured_histogram;
mod memory_budget;
mod metric;
mod percent;
mod prometheus_name;
mod reading_limits;
mod record;
pub mod registry;
mod repair;
mod reserved;
mod sample_extras;
mod scale;
mod scope;
mod selection;
pub(crate) mod short_bytes;
mod snapshot;
mod target_info;
mod time_zone;
mod translation;
mod truncate;
mod unit;
mod unix_time;
pub mod vocabulary;

pub use byte_order_mark::without_byte_order_mark;
pub use continued_counters::ContinuedCounters;
pub use exponential::{ExponentialBuckets, ZERO_THRESHOLD};
pub(crate) use families::buffer_with_capacity;
pub use families::{
    Families, FamiliesBuilder, FamilyRef, FamilyType, LABEL_VALUE_BYTES_MAX, LABELS_PER_SERIES_MAX, PageEdge, SampleRef, Text, Value,
    is_plain_label_name, label_text,
};
pub use histogram::{Histogram, Summary};
pub(crate) use identity::{duplicates_to_drop, identity_of_point, remove_indices};
pub use label_collision::LabelCollision;
pub use measured_histogram::{MeasuredExemplar, MeasuredHistogram};
pub use memory_budget::{MemoryBudget, MemoryReservation};
pub use metric::{Attribute, Kind, Metric, Number};
pub use percent::{is_unreserved, percent_decoded, percent_encoded};
pub(crate) use prometheus_name::{
    METRIC_NAME_LABEL, escaped_by_values, is_metric_name_label, is_supported_in_metric_name, is_translatable,
};
pub use prometheus_name::{TranslationStrategy, translated_kind};
pub use reading_limits::{LimitExceeded, READING_LIMITS, ReadingLimits};
pub use record::{
    BounceType, ComplaintType, EnhancedStatus, FIELDS, FailureKind, FailureOrigin, Field, FieldInfo, Outcome, Privacy, Record, RecordEvent,
    RecordMetrics, RecordPage, RecordState, RecordUid, Reply, UID_BYTES, hex,
};
pub use repair::{Repair, Repairs};
pub use sample_extras::{EXEMPLAR_CHARS_MAX, Exemplar};
pub use scale::scale;
pub use scope::{Scope, is_scope_info, is_scope_label};
pub use selection::{FamilySelection, SamplePosition, SamplePositions, SelectedFamilies, SelectedFamily};
pub use snapshot::{Attributes, Point, Snapshot};
pub use target_info::TARGET_INFO;
pub use time_zone::{system_time_zone, time_zone, time_zone_names};
pub use translation::NameCollision;
pub use truncate::cut;
pub use unix_time::{CLOCK_SECONDS_MIN, NANOS_PER_SECOND, since_1970, unix_nanos, unix_seconds};
