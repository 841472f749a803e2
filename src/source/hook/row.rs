//! A row of a hook: the items that it fits, and what they report.

use super::{Condition, IdentityPart, Slot, ValueSource};
use crate::model::{BounceType, ComplaintType, FailureOrigin, Outcome, RecordEvent};
use serde_json::Value;
use std::sync::Arc;

/// The fields of a record, each with the places where its value may be.
pub type Fields = Vec<(Slot, Arc<[ValueSource]>)>;

/// The meaning of an item that fulfils the conditions.
#[derive(Clone, Debug)]
pub struct Row {
    /// The conditions. An item must fulfil all.
    pub when: Vec<Condition>,
    /// Conditions of which an item must fulfil none.
    pub unless: Vec<Condition>,
    /// The event.
    pub event: RecordEvent,
    /// The outcome of a delivery.
    pub outcome: Option<Outcome>,
    /// The kind of the bounce, unless a field has it.
    pub bounce: Option<BounceType>,
    /// The kind of the complaint, unless a field has it.
    pub complaint: Option<ComplaintType>,
    /// The origin of the failure, unless a field has it.
    pub origin: Option<FailureOrigin>,
    /// The fields: those of the row, and those of the hook that the row does not have.
    pub fields: Fields,
    /// The identity of the record.
    pub identity: Vec<IdentityPart>,
}

impl Row {
    /// Returns `true` if the item fulfils the conditions.
    pub(super) fn fits(&self, item: &Value) -> bool {
        self.when.iter().all(|condition| condition.is_fulfilled(item)) && !self.unless.iter().any(|condition| condition.is_fulfilled(item))
    }
}
