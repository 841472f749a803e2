//! The counters that a target continues after a reload has changed its configuration.

use super::Target;
use crate::config;
use std::sync::Arc;

/// The relation between the counters of a target and those of the target that it replaces. A greater one continues less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Continuity {
    /// The same counters of the same server.
    #[default]
    SameCounters,
    /// The same server, but other parts or rules: a series that is new may have existed before without being read, and a canonical counter
    /// may be the sum of other counters.
    OtherRules,
    /// Another server.
    OtherServer,
}

impl Target {
    /// Returns how the counters of this target continue those of `before`, which had its name.
    #[must_use]
    pub fn continuity_after(&self, before: &Self) -> Continuity {
        let parts = |target: &Self| target.config.parts.iter().map(|part| part.part.name).collect::<Vec<_>>();
        if !is_same_server(&self.config, &before.config) {
            Continuity::OtherServer
        } else if !Arc::ptr_eq(&self.polling, &before.polling) || parts(self) != parts(before) {
            Continuity::OtherRules
        } else {
            Continuity::SameCounters
        }
    }
}

pub(super) fn is_same_server(a: &config::Target, b: &config::Target) -> bool {
    let is_same_account = a.credentials.username == b.credentials.username && a.selecting_headers().eq(b.selecting_headers());
    is_same_account && (a.source.name, &a.url) == (b.source.name, &b.url)
}

/// Returns true if the sums that one target has counted are valid for the other.
pub(super) fn counts_the_same(a: &config::Target, b: &config::Target) -> bool {
    // Another time zone takes effect at its next midnight; the sums continue.
    let is_fixed = |window: &config::Window| !matches!(window, config::Window::Sliding(_));
    let is_same_kind = std::mem::discriminant(&a.window) == std::mem::discriminant(&b.window);
    let same_window = a.window == b.window || is_same_kind && is_fixed(&a.window);
    // The state of counters belongs to the rules of one definition. A definition file may have changed in its windows only.
    let same_rules = || std::ptr::eq(a.source, b.source) || a.source.windowed && a.source.counts_as(b.source);
    same_window && a.format == b.format && same_rules()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::Environment;
    use crate::poll::Limits;

    fn config(keys: &str) -> config::Target {
        let text = format!("targets: [{{name: mta1, {keys}}}]\nexport: {{prometheus: {{}}}}\n");
        config::parse(&text, "test.yaml", &Environment::default()).unwrap().targets.remove(0)
    }

    #[tokio::test]
    async fn counters_continue_unless_the_server_or_what_is_counted_changes() {
        const KUMO: &str = "system: kumomta, url: 'http://192.0.2.1:8000'";
        const CPANEL: &str = "system: cpanel, url: 'https://192.0.2.1:2087', username: u, token: t";
        for (before, after, expected) in [
            (KUMO, "system: kumomta, url: 'http://192.0.2.1:8000', timeout: 9s, detail: {by: domain}", Continuity::SameCounters),
            (KUMO, "system: kumomta, url: 'http://192.0.2.1:8000', relay: false", Continuity::SameCounters),
            (KUMO, "system: kumomta, url: 'http://192.0.2.1:8000', format: text", Continuity::OtherRules),
            (KUMO, "system: kumomta, url: 'http://192.0.2.1:8000/b'", Continuity::OtherServer),
            (CPANEL, "system: cpanel, url: 'https://192.0.2.1:2087', username: u, token: new", Continuity::SameCounters),
            (
                CPANEL,
                "system: cpanel, url: 'https://192.0.2.1:2087', username: u, token: t, parts: [fetch_mail_queue]",
                Continuity::OtherRules,
            ),
            (CPANEL, "system: cpanel, url: 'https://192.0.2.1:2087', username: u, token: t, window: {sliding: 1h}", Continuity::OtherRules),
            (CPANEL, "system: cpanel, url: 'https://192.0.2.1:2087', username: v, token: t", Continuity::OtherServer),
            (KUMO, "system: kumomta, url: 'http://192.0.2.1:8000', headers: {x-api-key: k}", Continuity::SameCounters),
            (KUMO, "system: kumomta, url: 'http://192.0.2.1:8000', headers: {on-behalf-of: a}", Continuity::OtherServer),
        ] {
            let before_reload = Target::new(config(before), Limits::default()).unwrap();
            let after_reload = Target::succeeding(config(after), &before_reload).unwrap();
            assert_eq!(after_reload.continuity_after(&before_reload), expected, "{after}");
        }
    }
}
