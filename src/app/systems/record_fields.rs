//! `postmeter systems records`: which events and fields the delivery records of each mail system have, as Markdown.

use crate::model::{BounceType, FIELDS, Field, Outcome, Privacy, RecordEvent};
use crate::source::hook::{Row, Slot, TYPED_FIELDS};
use crate::source::{Hook, Source};
use std::fmt::Write as _;

/// A line of a table: its first cells, and whether a row of a definition has it.
struct Line {
    cells: Vec<String>,
    has: Box<dyn Fn(&Row) -> bool>,
}

/// Returns the tables of events and of fields, and what the records of each system do not contain.
pub(super) fn markdown(systems: &[&'static Source]) -> String {
    let hooks: Vec<(&Source, &Hook)> = systems.iter().filter_map(|source| Some((*source, source.hook?))).collect();
    let mut out = String::from("### Events\n\n");
    write_table(&mut out, &["event", "outcome"], &events(), &hooks);
    out.push_str("\n### Fields\n\n");
    write_table(&mut out, &["field", "becomes", "leaves the machine"], &fields(), &hooks);
    out.push_str("\n### What each system does not report\n\n");
    for (source, hook) in &hooks {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "- **{}**: {}.", source.title, hook.limits.join("; "));
    }
    out
}

fn write_table(out: &mut String, head: &[&str], lines: &[Line], hooks: &[(&Source, &Hook)]) {
    let names = head.iter().copied().chain(hooks.iter().map(|(source, _)| source.name));
    let _ = writeln!(out, "| {} |", names.collect::<Vec<_>>().join(" | "));
    let _ = writeln!(out, "|{}", "---|".repeat(head.len() + hooks.len()));
    for line in lines {
        let marks: Vec<&str> = hooks.iter().map(|(_, hook)| if hook.rows.iter().any(|row| (line.has)(row)) { "yes" } else { "" }).collect();
        if marks.iter().any(|mark| !mark.is_empty()) {
            let _ = writeln!(out, "| {} | {} |", line.cells.join(" | "), marks.join(" | "));
        }
    }
}

fn events() -> Vec<Line> {
    let outcomes = Outcome::ALL.iter().map(|outcome| (RecordEvent::Delivery, Some(*outcome)));
    let others = RecordEvent::ALL.iter().filter(|event| **event != RecordEvent::Delivery).map(|event| (*event, None));
    let line = |(event, outcome): (RecordEvent, Option<Outcome>)| Line {
        cells: vec![format!("`{}`", event.as_str()), outcome.map(|outcome| format!("`{}`", outcome.as_str())).unwrap_or_default()],
        has: Box::new(move |row| row.event == event && row.outcome == outcome),
    };
    outcomes.chain(others).map(line).collect()
}

fn fields() -> Vec<Line> {
    let typed = TYPED_FIELDS.iter().map(|(name, slot, becomes)| {
        let becomes = if becomes.contains(' ') { (*becomes).to_owned() } else { format!("`{becomes}`") };
        (*slot, vec![format!("`{name}`"), becomes, "as it is".to_owned()])
    });
    let texts = FIELDS.iter().map(|info| {
        let becomes = if info.attribute.key.is_empty() { "the body".to_owned() } else { format!("`{}`", info.attribute.key) };
        let leaves = match info.privacy {
            Privacy::Open => "as it is".to_owned(),
            Privacy::Hashed => format!("as a keyed hash, `{}`", info.hash.key),
            Privacy::Hidden => "only if `include` names it".to_owned(),
        };
        (Slot::Text(info.field), vec![format!("`{}`", info.name), becomes, leaves])
    });
    typed.chain(texts).map(|(slot, cells)| Line { cells, has: Box::new(move |row| has_field(row, slot)) }).collect()
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
