//! Families that are not on the page because of their names: each is logged once.

use crate::export::exposition::OmittedFamilies;
use crate::net::LoggedSet;
use crate::telemetry::SelfTelemetry;
use parking_lot::Mutex;
use std::sync::Arc;

/// Families in one line of the log.
const LISTED_MAX: usize = 3;
/// The maximum number of families that are logged. Further ones are counted in the metric only.
const LOGGED_MAX: usize = 1000;

/// The omitted families that have been logged, each with its reason. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct LoggedConflicts(Arc<Mutex<LoggedSet<String>>>);

impl Default for LoggedConflicts {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(LoggedSet::new(LOGGED_MAX))))
    }
}

impl LoggedConflicts {
    /// Counts the omissions of a page and logs each omitted family once, with one line for a page.
    pub(crate) fn report(&self, telemetry: &SelfTelemetry, omitted: OmittedFamilies) {
        telemetry.changed("family_dropped", omitted.families_dropped);
        telemetry.changed("family_untyped", omitted.families_untyped);
        telemetry.changed("label_renamed", omitted.labels_renamed);
        telemetry.changed("series_dropped", omitted.series_dropped);
        telemetry.changed("value_dropped", omitted.values_dropped);
        let mut logged = self.0.lock();
        let mut new = omitted.reasons;
        new.retain(|reason| logged.insert(reason));
        if !new.is_empty() {
            tracing::warn!(families = %summarize(&new), "native metric families omitted from the pull endpoint; a relay.prefix for one of the targets avoids a conflict between targets");
        }
    }
}

/// Formats the reasons of omitted families for the log: the first [`LISTED_MAX`] and the number of the others.
fn summarize(reasons: &[String]) -> String {
    let (listed, rest) = reasons.split_at(reasons.len().min(LISTED_MAX));
    let more = if rest.is_empty() { String::new() } else { format!("; and {} more", rest.len()) };
    format!("{}{more}", listed.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn omitted_families_are_summarized_in_one_line() {
        let reasons = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(summarize(&reasons(&["a"])), "a");
        assert_eq!(summarize(&reasons(&["a", "b", "c", "d", "e"])), "a; b; c; and 2 more");
    }
}
