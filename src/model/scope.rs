//! Instrumentation scopes that labels name (`otel_scope_name` and others), as OpenTelemetry's Prometheus exporters write them.

/// The prefix of labels that describe the scope of a series.
pub(super) const SCOPE_LABEL: &[u8] = b"otel_scope_";
/// The family whose labels describe scopes. It is not a metric in OTLP.
const SCOPE_INFO: &str = "otel_scope_info";

/// An instrumentation scope. Two scopes are equal if their series have the same scope labels; attributes from `otel_scope_info` do not
/// count, so that the sort order of scopes does not depend on them.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The name, version and attributes from the labels of the series.
    identity: Identity,
    /// Attributes from `otel_scope_info`.
    info: Vec<(String, String)>,
}

/// The part of a scope that distinguishes it from others.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Identity {
    name: String,
    version: String,
    schema_url: String,
    attributes: Vec<(String, String)>,
}

/// Returns true if a label of this name describes the scope of its series.
#[must_use]
pub fn is_scope_label(name: &[u8]) -> bool {
    name.starts_with(SCOPE_LABEL)
}

/// Returns true if the family of this name describes scopes.
#[must_use]
pub fn is_scope_info(family: &str) -> bool {
    family == SCOPE_INFO
}

impl Scope {
    /// The scope that these labels describe. `None` if no label describes a scope.
    pub(super) fn of_labels<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let (mut identity, mut found) = (Identity::default(), false);
        for (name, value) in labels {
            let Some(key) = name.strip_prefix("otel_scope_").filter(|key| !key.is_empty()) else { continue };
            found = true;
            match key {
                "name" => value.clone_into(&mut identity.name),
                "version" => value.clone_into(&mut identity.version),
                "schema_url" => value.clone_into(&mut identity.schema_url),
                _ => identity.attributes.push((key.to_owned(), value.to_owned())),
            }
        }
        identity.attributes.sort_unstable();
        found.then(|| Self { identity, info: Vec::new() })
    }

    /// Adds the attributes of a series of `otel_scope_info` that describes this scope.
    pub(super) fn add_info<'a>(&mut self, labels: impl Iterator<Item = (&'a str, &'a str)>) {
        for (name, value) in labels {
            let name = match name.strip_prefix("otel_scope_") {
                Some("name" | "version" | "schema_url" | "") => continue,
                Some(key) => key,
                None => name,
            };
            if !self.attributes().any(|(key, _)| key == name) {
                self.info.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// Returns true if both scopes have the same name and version.
    pub(super) fn has_name_of(&self, other: &Self) -> bool {
        (&self.identity.name, &self.identity.version) == (&other.identity.name, &other.identity.version)
    }

    /// The name. Empty if no label has it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// The version. Empty if no label has it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.identity.version
    }

    /// The schema URL. Empty if no label has it.
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
