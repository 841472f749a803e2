//! The vocabulary: what can be said about a mail server, in our words and in its own.
//!
//! # Their words and our words are different types
//!
//! A mail server says [`Families`] of series: any name, any label, any number of them. We say [`Point`]s of
//! [`Metric`]s that are declared in [`vocabulary`]: closed names, closed attribute values, tens of series. A rule
//! in `source` is the only way from one to the other, so a server's text cannot end up in a canonical attribute.

mod exemplar;
mod families;
mod histogram;
mod identity;
mod metric;
mod reading_limits;
mod reading_memory;
mod record;
mod repair;
mod reserved;
mod scope;
mod selection;
mod snapshot;
mod target_info;
mod translation;
mod truncate;
mod unit;
pub mod vocabulary;

pub use exemplar::Exemplar;
pub use families::{
    Families, FamiliesBuilder, FamilyRef, FamilyType, LABEL_VALUE_BYTES_MAX, LABELS_PER_SERIES_MAX, PageEdge, SampleRef, Text, Value,
};
pub use histogram::{Histogram, Summary};
pub use metric::{Attribute, Kind, Metric, Number};
pub use reading_limits::{BOUNDS, LimitExceeded, ReadingLimits};
pub use reading_memory::{MemoryBudget, MemoryReservation};
pub use record::{EnhancedStatus, FIELDS, FailureKind, Field, FieldInfo, Outcome, Privacy, Record, RecordPage, RecordState, Reply};
pub use repair::{Repair, Repairs};
pub use scope::{Scope, is_scope_info, is_scope_label};
pub use selection::{FamilySelection, SamplePosition, SamplePositions, SelectedFamilies, SelectedFamily};
pub use snapshot::{Attributes, Point, Snapshot};
pub use target_info::TARGET_INFO;
pub use translation::NameCollision;
pub use truncate::cut;
