//! The identity of a mail server: the resource of the push, and the labels `job` and `instance` of the pull.

use crate::config;
use crate::model::TranslationStrategy;
use std::borrow::Cow;
use std::sync::Arc;

/// The identity of a mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Shared, because the identity of a target is nearly always the same in all readings.
    attributes: Arc<Vec<(String, String)>>,
    job: Arc<str>,
    instance: Arc<str>,
}

/// Resource attributes that `job` and `instance` are made of. They are not in `target_info`, as in the Collector's exporter.
const IN_LABELS: [&str; 3] = ["service.name", "service.instance.id", "service.namespace"];

/// The only resource attribute that is an integer in OTLP.
pub const SERVER_PORT: &str = "server.port";

impl Identity {
    /// The attributes that Prometheus' OTLP receiver makes `job` and `instance` of.
    pub const IN_LABELS: [&'static str; 3] = IN_LABELS;

    /// An identity of only a system and a name, for readings from files.
    #[must_use]
    pub fn new(job: &str, instance: &str) -> Self {
        let attributes = vec![(IN_LABELS[0].to_owned(), job.to_owned()), (IN_LABELS[1].to_owned(), instance.to_owned())];
        Self { attributes: Arc::new(attributes), job: job.into(), instance: instance.into() }
    }

    /// The identity of a configured target. Its `resource:` overrides the other attributes.
    #[must_use]
    pub fn of(target: &config::Target) -> Self {
        let mut identity = Self::new(target.source.name, &target.name);
        if !target.is_polled() {
            return identity.with_resource(target);
        }
        let url = &target.url;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        identity.set("server.address", host);
        identity.set(SERVER_PORT, &url.port_or_known_default().unwrap_or_default().to_string());
        identity.set("url.scheme", url.scheme());
        identity.with_resource(target)
    }

    fn with_resource(mut self, target: &config::Target) -> Self {
        for (key, value) in &target.resource {
            self.set(key, value);
        }
        self
    }

    /// The same identity with the version that the server reports, unless an attribute is configured for it.
    #[must_use]
    pub fn with_version(&self, version: Option<&str>) -> Self {
        let mut identity = self.clone();
        if let Some(version) = version.filter(|_| !self.attributes.iter().any(|(key, _)| key == "service.version")) {
            identity.set("service.version", version);
        }
        identity
    }

    /// The same identity with the attributes of the server's `target_info`, except those that would have the same name in Prometheus as an
    /// existing one: Prometheus would concatenate the two values.
    #[must_use]
    pub fn with_target_info(mut self, attributes: &[(String, String)]) -> Self {
        for (key, value) in attributes {
            let name = TranslationStrategy::default().label_name(key);
            if !self.info(TranslationStrategy::default()).any(|(known, _)| known == name) {
                Arc::make_mut(&mut self.attributes).push((key.clone(), value.clone()));
            }
        }
        self
    }

    /// Sets an attribute, and `job` and `instance` accordingly.
    pub(super) fn set(&mut self, key: &str, value: &str) {
        let attributes = Arc::make_mut(&mut self.attributes);
        attributes.retain(|(k, _)| k != key);
        attributes.push((key.to_owned(), value.to_owned()));
        let value = |key: &str| self.attributes().find(|(k, _)| *k == key).map(|(_, v)| v.to_owned());
        let name = value("service.name").unwrap_or_default();
        let job = value("service.namespace").map_or(name.clone(), |namespace| format!("{namespace}/{name}"));
        let instance = value("service.instance.id").unwrap_or_default();
        (self.job, self.instance) = (job.into(), instance.into());
    }

    /// The resource attributes.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The label `job`: the mail system.
    #[must_use]
    pub fn job(&self) -> &str {
        &self.job
    }

    /// The label `instance`: the name of the target.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The labels `job` and `instance`, which every series of the pull has.
    #[must_use]
    pub fn labels(&self) -> [(&'static str, Arc<str>); 2] {
        [("instance", self.instance.clone()), ("job", self.job.clone())]
    }

    /// The labels of `target_info` except `job` and `instance`.
    pub fn info(&self, strategy: TranslationStrategy) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
        let rest = self.attributes().filter(|(key, _)| !IN_LABELS.contains(key));
        rest.map(move |(key, value)| (strategy.label_name(key), value))
    }
}
