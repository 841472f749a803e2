//! `postmeter systems records`: which events and fields the delivery records of each mail system have, as Markdown.

use crate::model::{BounceType, FIELDS, Field, Outcome, Privacy, RecordEvent};
use crate::source::hook::{Row, Slot, TYPED_FIELDS};
use crate::source::{DeliveryLogApi, Hook, Source};
use std::fmt::Write as _;

/// The fields that only delivery logs have, each with the attribute that it becomes.
const LOG_FIELDS: [(&str, &str); 2] = [("remote", "mail.delivery.remote"), ("spam_score", "mail.spam.score")];

/// The records of a mail system.
#[derive(Clone, Copy)]
enum Records {
    /// Those of its requests or log files.
    Items(&'static Hook),
    /// Those of the delivery log that it exposes.
    Log(&'static DeliveryLogApi),
}

impl Records {
    /// The records of a system. Only a definition in a file can have both.
    fn of(source: &Source) -> impl Iterator<Item = Self> {
        source.delivery_log.map(Self::Log).into_iter().chain(source.hook.map(Self::Items))
    }

    fn has_event(self, event: RecordEvent, outcome: Option<Outcome>) -> bool {
        match self {
            Self::Items(hook) => hook.rows.iter().any(|row| row.event == event && row.outcome == outcome),
            Self::Log(api) => outcome.is_some_and(|outcome| api.outcomes.contains(&outcome)),
        }
    }

    /// `slot`: the field as definitions fill it.
    fn has_field(self, name: &str, slot: Option<Slot>) -> bool {
        match self {
            Self::Items(hook) => slot.is_some_and(|slot| hook.rows.iter().any(|row| has_field(row, slot))),
            Self::Log(api) => api.fields.contains(&name),
        }
    }

    fn limits(self) -> String {
        match self {
            Self::Items(hook) => hook.limits.join("; "),
            Self::Log(api) => api.limits.join("; "),
        }
    }
}

/// A line of a table: its first cells, and whether the records of each system have it.
type Line = (Vec<String>, Vec<bool>);

/// Returns the tables of events and of fields, and what the records of each system do not contain.
pub(super) fn markdown(systems: &[&'static Source]) -> String {
    let systems: Vec<(&Source, Records)> =
        systems.iter().flat_map(|source| Records::of(source).map(|records| (*source, records))).collect();
    let names: Vec<&str> = systems.iter().map(|(source, _)| source.name).collect();
    let records: Vec<Records> = systems.iter().map(|(_, records)| *records).collect();
    let mut out = String::from("### Events\n\n");
    write_table(&mut out, &["event", "outcome"], &names, &events(&records));
    out.push_str("\n### Fields\n\n");
    write_table(&mut out, &["field", "becomes", "leaves the machine"], &names, &fields(&records));
    out.push_str("\n### What each system does not report\n\n");
    for (source, records) in &systems {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "- **{}**: {}.", source.title, records.limits());
    }
    out
}

fn write_table(out: &mut String, head: &[&str], systems: &[&str], lines: &[Line]) {
    let _ = writeln!(out, "| {} |", [head, systems].concat().join(" | "));
    let _ = writeln!(out, "|{}", "---|".repeat(head.len() + systems.len()));
    for (cells, marks) in lines.iter().filter(|(_, marks)| marks.contains(&true)) {
        let marks: Vec<&str> = marks.iter().map(|has| if *has { "yes" } else { "" }).collect();
        let _ = writeln!(out, "| {} | {} |", cells.join(" | "), marks.join(" | "));
    }
}

fn events(records: &[Records]) -> Vec<Line> {
    let outcomes = Outcome::ALL.iter().map(|outcome| (RecordEvent::Delivery, Some(*outcome)));
    let others = RecordEvent::ALL.iter().filter(|event| **event != RecordEvent::Delivery).map(|event| (*event, None));
    let line = |(event, outcome): (RecordEvent, Option<Outcome>)| {
        let outcome_cell = outcome.map(|outcome| format!("`{}`", outcome.as_str())).unwrap_or_default();
        let cells = vec![format!("`{}`", event.as_str()), outcome_cell];
        (cells, records.iter().map(|records| records.has_event(event, outcome)).collect())
    };
    outcomes.chain(others).map(line).collect()
}

fn fields(records: &[Records]) -> Vec<Line> {
    let typed = TYPED_FIELDS.iter().map(|(name, slot, becomes)| (*name, Some(*slot), *becomes));
    let typed = typed.chain(LOG_FIELDS.iter().map(|(name, becomes)| (*name, None, *becomes))).map(|(name, slot, becomes)| {
        let becomes = if becomes.contains(' ') { becomes.to_owned() } else { format!("`{becomes}`") };
        (name, slot, becomes, "as it is".to_owned())
    });
    let texts = FIELDS.iter().map(|info| {
        let becomes = if info.attribute.key.is_empty() { "the body".to_owned() } else { format!("`{}`", info.attribute.key) };
        let leaves = match info.privacy {
            Privacy::Open => "as it is".to_owned(),
            Privacy::Hashed => format!("as a keyed hash, `{}`", info.hash.key),
            Privacy::Hidden => "only if `include` names it".to_owned(),
        };
        (info.name, Some(Slot::Text(info.field)), becomes, leaves)
    });
    let line = |(name, slot, becomes, leaves): (&str, Option<Slot>, String, String)| {
        (vec![format!("`{name}`"), becomes, leaves], records.iter().map(|records| records.has_field(name, slot)).collect())
    };
    typed.chain(texts).map(line).collect()
}

/// Returns `true` if records of a row can have a field.
fn has_field(row: &Row, slot: Slot) -> bool {
    let has = |slot: Slot| row.fields.iter().any(|(other, sources)| *other == slot && !sources.is_empty());
    has(slot)
        || match slot {
            Slot::Origin => row.origin.is_some(),
            Slot::BounceType => row.bounce.is_some_and(|kind| kind != BounceType::Unknown),
            Slot::ComplaintType => row.complaint.is_some(),
            // These are in the text of a reply.
            Slot::Code | Slot::Status => has(Slot::Text(Field::Message)),
            Slot::ErrorType => row.outcome == Some(Outcome::Failed),
            Slot::Duration => has(Slot::Received) && row.event == RecordEvent::Delivery,
            Slot::Text(Field::DeliveryDomain) => has(Slot::Text(Field::Recipient)),
            _ => false,
        }
}
