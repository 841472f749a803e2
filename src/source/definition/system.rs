//! Decodes the top level of a definition.

use super::consistency::Declared;
use super::limits::{DIAGNOSES_MAX, EXAMPLES_MAX, NOTES_MAX, PARTS_MAX, VALUES_MAX};
use super::memory::Memory;
use super::schema::VERSION;
use super::{diagnosis, example, hook, part, pattern};
use crate::model::Kind;
use crate::source::{Part, Rule, Source, WindowRule, systems::code};
use crate::yaml::{Decoder, Item, Location, Map};

/// The largest length of a name.
const NAME_BYTES_MAX: usize = 100;

pub(super) fn decode(decoder: &mut Decoder<'_>, memory: Memory, mut map: Map<'_>) -> Option<Source> {
    let name = map.take_required(decoder, "name").and_then(|item| decode_name(decoder, &item, &['.', '_', '-']));
    let title = map.take("title").and_then(|item| decoder.non_empty_text(&item));
    let min_interval = map.duration_or_default(decoder, "min_interval");
    let timeout = map.duration_or_default(decoder, "timeout");
    let requests_per_minute = map.integer(decoder, "requests_per_minute").and_then(|number| u32::try_from(number).ok());
    let (version_item, counters_since, process_since) = (map.take("version"), map.take("counters_since"), map.take("process_since"));
    let since_items: Vec<Item<'_>> = [&counters_since, &process_since].into_iter().flatten().cloned().collect();
    let version = version_item.as_ref().and_then(|item| {
        let mut map = decoder.map(item, VERSION)?;
        let family = map.take_required(decoder, "family").and_then(|item| pattern::family(decoder, &item));
        let label = map.take_required(decoder, "label").and_then(|item| pattern::name(decoder, &item));
        decoder.finish(map);
        Some((memory.text(family?), memory.text(label?)))
    });
    let counters_since = counters_since.and_then(|item| pattern::family_pattern(decoder, &item));
    let process_since = process_since.and_then(|item| pattern::family(decoder, &item));
    let gauges_underflow = map.flag_or_default(decoder, "gauges_underflow");
    let counters = map.take("counters").map(|item| pattern::families(decoder, &item, VALUES_MAX)).unwrap_or_default();
    let windowed = map.flag_or_default(decoder, "windowed");
    let delivery_log = map.take("delivery_log").and_then(|item| decoder.choice(&item, code::DELIVERY_LOGS));
    let hook = map.take("hook").and_then(|item| hook::decode(decoder, memory, &item));
    let notes = map.take("notes").map(|item| notes(decoder, &item)).unwrap_or_default();
    let diagnoses = map.take("diagnoses").map(|item| decoder.bounded_list(&item, DIAGNOSES_MAX)).unwrap_or_default();
    let diagnoses = diagnoses.iter().filter_map(|item| diagnosis::decode(decoder, memory, item)).collect();
    let parts_item = map.take_required(decoder, "parts");
    let examples = map.take("examples").map(|item| decoder.bounded_list(&item, EXAMPLES_MAX)).unwrap_or_default();
    decoder.finish(map);

    let (parts, names, window) = parts_item.map(|item| decode_parts(decoder, memory, &item, windowed)).unwrap_or_default();
    let examples = examples.iter().filter_map(|item| example::decode(decoder, memory, item, &names)).collect();
    let name = name?;
    if let Some(declared) = Declared::of(&parts).filter(|_| memory == Memory::Keep) {
        if let (Some(item), Some((family, label))) = (&version_item, version) {
            declared.check_family(decoder, &item.location, family, Some(label));
        }
        for item in &since_items {
            if let Some(family) = decoder.raw_text(item) {
                declared.check_family(decoder, &item.location, family, None);
            }
        }
    }
    Some(Source {
        name: memory.text(name),
        title: memory.text(title.as_deref().unwrap_or(name)),
        parts: memory.list(parts),
        min_interval,
        timeout,
        requests_per_minute_max: requests_per_minute,
        windowed: windowed || window.is_some(),
        window,
        gauges_underflow,
        mistyped_counters: memory.texts(&counters),
        version,
        counters_since: counters_since.map(|family| memory.text(family)),
        process_since: process_since.map(|family| memory.text(family)),
        delivery_log,
        hook,
        diagnoses: memory.list(diagnoses),
        notes: memory.texts(&notes),
        examples: memory.list(examples),
    })
}

/// Decodes the parts. The second value is the names, which are unique; the third one is the windows of the required part.
fn decode_parts<'n>(
    decoder: &mut Decoder<'_>,
    memory: Memory,
    item: &Item<'n>,
    windowed: bool,
) -> (Vec<Part>, Vec<&'n str>, Option<WindowRule>) {
    let mut window = None;
    let items = decoder.non_empty_list(item, PARTS_MAX, "parts");
    let (mut parts, mut names) = (Vec::new(), Vec::<(&str, Location)>::new());
    for (index, item) in items.iter().enumerate() {
        let (name, part) = part::decode(decoder, memory, item, (index == 0, windowed), &mut window);
        // All counters of the system are sums of windows, and only the required part is read at the end of each one.
        let counter = part.iter().filter(|_| index > 0 && (windowed || window.is_some())).flat_map(|part| part.rules).find(counts);
        if let Some(rule) = counter {
            decoder.report(
                &item.location,
                format!(
                    "{} is a counter, which only the required part of a system with windows can have; make another system of it",
                    rule.metric.name
                ),
            );
        }
        parts.extend(part);
        let Some((name, location)) = name else { continue };
        match names.iter().find(|(other, _)| *other == name) {
            Some((_, first)) => {
                let line = first.line.map(|line| format!(" in line {line}")).unwrap_or_default();
                decoder.report(&location, format!("{name} is also the name of another part{line}"));
            }
            None => names.push((name, location)),
        }
    }
    (parts, names.into_iter().map(|(name, _)| name).collect(), window)
}

/// Returns `true` if the rule produces a metric that rises.
fn counts(rule: &&Rule) -> bool {
    matches!(rule.metric.kind, Kind::Counter | Kind::Histogram)
}

/// Decodes a name of letters, digits and these characters.
pub(super) fn decode_name<'n>(decoder: &mut Decoder<'_>, item: &Item<'n>, others: &[char]) -> Option<&'n str> {
    let name = decoder.raw_text(item)?;
    let is_valid = |c: char| c.is_ascii_alphanumeric() || others.contains(&c);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(is_valid) {
        let others: String = others.iter().map(|c| format!(", '{c}'")).collect();
        decoder.report_value(item, format!("{name:?} is not a valid name: up to {NAME_BYTES_MAX} letters, digits{others}"));
        return None;
    }
    Some(name)
}

fn notes<'n>(decoder: &mut Decoder<'_>, item: &Item<'n>) -> Vec<&'n str> {
    let items = decoder.bounded_list(item, NOTES_MAX);
    items.iter().filter_map(|item| decoder.raw_text(item)).collect()
}
