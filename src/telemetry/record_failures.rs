//! Failures of deliveries, by stage, kind, reason and class. Reasons and classes are chosen by foreign servers, so both are limited.

use crate::model::vocabulary::{DELIVERY_STAGE, ERROR_TYPE, FAILURE_CLASS, FAILURE_KIND, OTHER};
use crate::model::{Attributes, EnhancedStatus, FailureKind, Field, Record};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// Combinations of stage, kind, reason, class and group with a series of their own, for a target without detail.
pub const FAILURES_MAX: usize = 500;
/// The same for a target whose records are split by provider, source or pool.
pub const DETAILED_FAILURES_MAX: usize = 2000;
/// Failure classes with series of their own.
pub const FAILURE_CLASSES_MAX: usize = 200;
/// The longest name of a failure class in bytes. A longer one is not a name.
const CLASS_BYTES_MAX: usize = 200;

/// The failures of one target.
#[derive(Debug)]
pub(super) struct Failures {
    counts: BTreeMap<Failure, u64>,
    failures_max: usize,
    /// The index of each class by its name, and the names.
    classes: HashMap<String, u16>,
    class_names: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Failure {
    stage: Option<&'static str>,
    kind: &'static str,
    reason: Reason,
    class: Class,
    group: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Status(EnhancedStatus),
    Type(&'static str),
    Unknown,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Unknown,
    Known(u16),
    Other,
}

impl Failures {
    pub(super) fn new(failures_max: usize) -> Self {
        Self { counts: BTreeMap::new(), failures_max, classes: HashMap::new(), class_names: Vec::new() }
    }

    /// Counts a failed attempt of this group. Group 0 is the one that has all further ones.
    pub(super) fn count(&mut self, record: &Record, kind: FailureKind, group: usize) {
        let reason = match record.reply.status {
            Some(status) if status.class != 2 => Reason::Status(status),
            _ => record.error_type.map_or(Reason::Unknown, Reason::Type),
        };
        let class = self.class_of(record.field(Field::FailureClass));
        let failure = Failure { stage: record.reply.stage, kind: kind.as_str(), reason, class, group };
        let is_over_limit = self.counts.len() >= self.failures_max && !self.counts.contains_key(&failure);
        let failure = if is_over_limit { failure.without_names() } else { failure };
        *self.counts.entry(failure).or_default() += 1;
    }

    fn class_of(&mut self, name: Option<&str>) -> Class {
        let Some(name) = name.filter(|name| !name.is_empty()) else { return Class::Unknown };
        if let Some(index) = self.classes.get(name) {
            return Class::Known(*index);
        }
        if self.classes.len() >= FAILURE_CLASSES_MAX || name.len() > CLASS_BYTES_MAX || name == OTHER {
            return Class::Other;
        }
        let index = self.class_names.len() as u16;
        self.classes.insert(name.to_owned(), index);
        self.class_names.push(name.to_owned());
        Class::Known(index)
    }

    /// The number of failures of each series, with its attributes but those of its group, and the group.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Attributes, usize, u64)> + '_ {
        self.counts.iter().map(|(failure, n)| (self.attributes(failure), failure.group, *n))
    }

    fn attributes(&self, failure: &Failure) -> Attributes {
        let reason = match failure.reason {
            Reason::Status(status) => Some(Cow::Owned(status.to_string())),
            Reason::Type(name) => Some(Cow::Borrowed(name)),
            Reason::Unknown => None,
            Reason::Other => Some(Cow::Borrowed(OTHER)),
        };
        let class = match failure.class {
            Class::Unknown => None,
            Class::Known(index) => self.class_names.get(usize::from(index)).map(|name| Cow::Owned(name.clone())),
            Class::Other => Some(Cow::Borrowed(OTHER)),
        };
        let stage = failure.stage.map(|stage| (&DELIVERY_STAGE, Cow::Borrowed(stage)));
        let kind = (&FAILURE_KIND, Cow::Borrowed(failure.kind));
        let reason = reason.map(|reason| (&ERROR_TYPE, reason));
        stage.into_iter().chain([kind]).chain(reason).chain(class.map(|class| (&FAILURE_CLASS, class))).collect()
    }
}

impl Failure {
    /// The same failure in a series for everything beyond the limit.
    fn without_names(self) -> Self {
        let reason = if self.reason == Reason::Unknown { Reason::Unknown } else { Reason::Other };
        let class = if self.class == Class::Unknown { Class::Unknown } else { Class::Other };
        Self { reason, class, group: 0, ..self }
    }
}
