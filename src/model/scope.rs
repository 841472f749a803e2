//! Instrumentation scopes that a server's labels name: `otel_scope_name` and its kin, as OpenTelemetry's Prometheus exporters write them.

/// The prefix of labels that describe the scope of a series.
pub(super) const SCOPE_LABEL: &[u8] = b"otel_scope_";
/// The family whose labels describe scopes, and which is no metric in OTLP.
const SCOPE_INFO: &str = "otel_scope_info";

/// An instrumentation scope. Two are equal where their series say so: what `otel_scope_info` adds does not count, so that a scope keeps
/// its place when that changes.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The name, version and attributes that the series have.
    identity: Identity,
    /// Attributes that `otel_scope_info` adds.
    info: Vec<(String, String)>,
}

/// What tells scopes apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Identity {
    name: String,
    version: String,
    schema_url: String,
    attributes: Vec<(String, String)>,
}

/// Whether this label describes the scope of its series.
#[must_use]
pub fn is_scope_label(name: &[u8]) -> bool {
    name.starts_with(SCOPE_LABEL)
}

/// Whether the family of this name describes scopes.
#[must_use]
pub fn is_scope_info(family: &str) -> bool {
    family == SCOPE_INFO
}

impl Scope {
    /// The scope that these labels describe, if any of them does.
    pub(super) fn of_labels<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let (mut identity, mut any) = (Identity::default(), false);
        for (name, value) in labels {
            let Some(end) = name.strip_prefix("otel_scope_").filter(|end| !end.is_empty()) else { continue };
            any = true;
            match end {
                "name" => value.clone_into(&mut identity.name),
                "version" => value.clone_into(&mut identity.version),
                "schema_url" => value.clone_into(&mut identity.schema_url),
                _ => identity.attributes.push((end.to_owned(), value.to_owned())),
            }
        }
        identity.attributes.sort_unstable();
        any.then(|| Self { identity, info: Vec::new() })
    }

    /// Adds the attributes of a series of `otel_scope_info` that describes this scope.
    pub(super) fn add_info<'a>(&mut self, labels: impl Iterator<Item = (&'a str, &'a str)>) {
        for (name, value) in labels {
            let name = match name.strip_prefix("otel_scope_") {
                Some("name" | "version" | "schema_url" | "") => continue,
                Some(end) => end,
                None => name,
            };
            if !self.attributes().any(|(key, _)| key == name) {
                self.info.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// Whether both have the same name and version.
    pub(super) fn has_name_of(&self, other: &Self) -> bool {
        (&self.identity.name, &self.identity.version) == (&other.identity.name, &other.identity.version)
    }

    /// `otel_scope_name`; empty when there is none.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// `otel_scope_version`; empty when there is none.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.identity.version
    }

    /// `otel_scope_schema_url`; empty when there is none.
    #[must_use]
    pub fn schema_url(&self) -> &str {
        &self.identity.schema_url
    }

    /// The attributes of the scope.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.identity.attributes.iter().chain(&self.info).map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for Scope {}

impl Ord for Scope {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.identity.cmp(&other.identity)
    }
}

impl PartialOrd for Scope {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
