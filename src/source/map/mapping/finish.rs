//! The end of mapping a poll: the snapshot, from the points and what is remembered of earlier polls.

use super::super::carried::{MappingFacts, carry_of};
use super::Mapping;
use super::contribution::{identities_of_sums_with, omit};
use crate::model::{Kind, Number, Point, Repair, Snapshot};
use crate::source::{Rule, Source, Transform};

impl Mapping<'_> {
    /// Returns the snapshot, without the sums that lack a series, and with counters that do not fall.
    pub(in crate::source::map) fn finish(self, source: &Source) -> Snapshot {
        let Self { mut snapshot, mut points, memory, context, checks_summands, window, .. } = self;
        let negative;
        (snapshot.points, negative) = points.take_valid();
        snapshot.repairs.add(Repair::OutOfRange, negative.len() as u64);
        negative.into_iter().for_each(|metric| snapshot.note_unknown(metric));
        let have_stayed_lower = memory.summands.have_stayed_lower() && memory.counter_start.is_unknown();
        let is_later = memory.counter_start.update(snapshot.counters_since, context.now, memory.summands.has_decreased());
        let is_restarted = is_later || have_stayed_lower;
        snapshot.counters_since = memory.counter_start.exported(snapshot.counters_since);
        if checks_summands {
            omit(&mut snapshot, &memory.summands.finish(is_restarted));
        }
        if !source.windowed {
            let awaited = identities_of_sums_with(&snapshot, &memory.contributions.awaited_rules(source));
            omit(&mut snapshot, &awaited);
        }
        if source.windowed && context.sliding {
            // The sums of a sliding window fall as events leave it, so they are not counters.
            snapshot.points.retain(|point| point.metric.kind != Kind::Counter);
        } else if source.windowed {
            let window_start = context.window();
            let are_zero =
                |point: &Point| !points.contains(point.identity()) && window.as_ref().is_some_and(|window| window.has_no(point, source));
            snapshot.counters_since = Some(memory.windows.add_up(window_start, &mut snapshot.points, are_zero, &mut snapshot.repairs));
        } else {
            let holding: Vec<&Rule> = source.rules().map(|(_, rule)| rule).filter(|rule| rule.transform == Transform::Hold).collect();
            let held = snapshot.points.iter_mut().filter(|point| holding.iter().any(|rule| rule.may_produce(point)));
            memory.hold(is_restarted, held, &mut snapshot.repairs);
        }
        for point in &mut snapshot.points {
            if point.metric.number == Number::Int {
                point.value = point.value.round();
            }
            // A difference of values that a server counts one after the other can be slightly negative.
            point.value = point.value.max(0.0);
        }
        snapshot.continued.metrics = source.continued_metrics();
        if !snapshot.continued.metrics.is_empty() {
            // These counters continue after a restart, so a later start is not theirs. Restored ones contain what was counted before the
            // first start, too.
            if !source.rules().any(|(_, rule)| rule.transform == Transform::Rebase) {
                memory.first_counters_since = memory.first_counters_since.or(snapshot.counters_since);
            }
            snapshot.continued.since = memory.first_counters_since;
        }
        if let Some(carried) = &mut memory.carried {
            carried.add_to(&mut snapshot, MappingFacts::of(source, context, is_restarted), |point| carry_of(source, context, point));
        }
        snapshot
    }
}
