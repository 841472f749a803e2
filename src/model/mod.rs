//! The vocabulary: what can be said about a mail server, in our words and in its own.
//!
//! # Their words and our words are different types
//!
//! A mail server says [`Families`] of series: any name, any label, any number of them. We say [`Point`]s of
//! [`Metric`]s that are declared in [`vocabulary`]: closed names, closed attribute values, tens of series. A rule
//! in `source` is the only way from one to the other, so a server's text cannot end up in a canonical attribute.

mod bounds;
mod cut;
mod exemplar;
mod families;
mod histogram;
mod identity;
mod memory;
mod metric;
mod native;
mod record;
mod repair;
mod reserved;
mod scope;
mod snapshot;
mod target_info;
mod translation;
mod unit;
pub mod vocabulary;

pub use bounds::{BOUNDS, Bounds, TooMuch};
pub use cut::cut;
pub use exemplar::Exemplar;
pub use families::{
    Families, FamiliesBuilder, FamilyRef, FamilyType, LABEL_VALUE_BYTES_MAX, LABELS_PER_SERIES_MAX, PageEdge, SampleRef, Text, Value,
};
pub use histogram::{Histogram, Summary};
pub use memory::{MemoryBudget, MemoryReservation};
pub use metric::{Attribute, Kind, Metric, Number};
pub use native::{Choice, Native, NativeFamily, Place, Places};
pub use record::{EnhancedStatus, FIELDS, Field, FieldInfo, Outcome, Privacy, Record, RecordPage, Reply};
pub use repair::{Repair, Repairs};
pub use scope::{Scope, is_scope_info, is_scope_label};
pub use snapshot::{Attributes, Point, Snapshot};
pub use target_info::TARGET_INFO;
pub use translation::NameCollision;
