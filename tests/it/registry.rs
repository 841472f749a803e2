//! The registry in OpenTelemetry's format: the tables of attributes and events, and every canonical point, conform to it.
#![allow(clippy::unwrap_used)]

use crate::support::{ANY, postmeter, start_service, stdout};
use postmeter::model::{BounceType, ComplaintType, FIELDS, FailureOrigin, Outcome, RecordEvent, Repair, registry, vocabulary};
use postmeter::simulate::{Options, Receiver, SimulatedServer, System, TOKEN, USERNAME};
use postmeter::telemetry::{SCOPE, SELF_METRICS};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Attributes of the conventions that the registry refers to: `error.type`, for example.
const UPSTREAM: [&str; 8] = ["client.", "tls.", "http.", "cpu.", "error.", "network.", "system.", "log.record."];

/// A group with the attributes of the group that it extends.
fn extended(group: &Value, groups: &[Value]) -> Value {
    let mut extended = group.clone();
    if let Some(base) = group["extends"].as_str() {
        let base = groups.iter().find(|group| group["id"] == base).unwrap_or_else(|| panic!("{base} is not defined"));
        let attributes = list(&base["attributes"]).iter().chain(list(&group["attributes"])).cloned().collect();
        extended["attributes"] = Value::Array(attributes);
    }
    extended
}

/// The registry, by name.
struct Registry {
    /// The values of each attribute that the registry defines; empty for open ones.
    attributes: BTreeMap<String, BTreeSet<String>>,
    metrics: BTreeMap<String, Value>,
    events: BTreeMap<String, Value>,
}

fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().unwrap_or_else(|| panic!("no {key} in {of}"))
}

fn list(of: &Value) -> &[Value] {
    of.as_array().map_or(&[], Vec::as_slice)
}

impl Registry {
    fn read() -> Self {
        let document: Value = serde_saphyr::from_str(&registry::document(SELF_METRICS)).unwrap();
        let mut read = Self { attributes: BTreeMap::new(), metrics: BTreeMap::new(), events: BTreeMap::new() };
        let mut ids = BTreeSet::new();
        for group in list(&document["groups"]) {
            let group = &extended(group, list(&document["groups"]));
            assert!(ids.insert(text(group, "id").to_owned()), "{} is defined twice", group["id"]);
            let by_name = match text(group, "type") {
                "metric" => read.metrics.insert(text(group, "metric_name").to_owned(), group.clone()),
                "event" => read.events.insert(text(group, "name").to_owned(), group.clone()),
                _ => None,
            };
            assert!(by_name.is_none(), "{} is defined twice", group["id"]);
            for attribute in list(&group["attributes"]).iter().filter(|attribute| !attribute["id"].is_null()) {
                let values = list(&attribute["type"]["members"]).iter().map(|member| text(member, "value").to_owned()).collect();
                assert!(read.attributes.insert(text(attribute, "id").to_owned(), values).is_none(), "{} is defined twice", attribute["id"]);
                assert!(!text(attribute, "brief").is_empty() && text(attribute, "stability") == "development");
            }
        }
        read
    }

    /// The requirement levels of a group's attributes.
    fn levels(group: &Value) -> BTreeMap<&str, &str> {
        let level = |attribute: &Value| -> &'static str {
            match attribute["requirement_level"].as_str() {
                Some("required") => "required",
                Some("opt_in") => "opt_in",
                Some("recommended") => "recommended",
                _ if !attribute["requirement_level"]["conditionally_required"].is_null() => "conditional",
                _ => panic!("{attribute} has no requirement level"),
            }
        };
        list(&group["attributes"]).iter().map(|attribute| (text(attribute, "ref"), level(attribute))).collect()
    }

    /// Returns the faults of a point's attributes.
    fn faults(&self, metric: &str, attributes: &BTreeMap<String, String>) -> Vec<String> {
        let Some(group) = self.metrics.get(metric) else { return vec![format!("{metric} is not in the registry")] };
        let levels = Self::levels(group);
        let missing = levels.iter().filter(|(key, level)| **level == "required" && !attributes.contains_key(**key));
        let mut faults: Vec<_> = missing.map(|(key, _)| format!("{metric} lacks {key}")).collect();
        for (key, value) in attributes {
            if !levels.contains_key(key.as_str()) {
                faults.push(format!("{metric} must not have {key}"));
            }
            if self.attributes.get(key).is_some_and(|values| !values.is_empty() && !values.contains(value)) {
                faults.push(format!("{metric}: {value:?} is not a value of {key}"));
            }
        }
        faults
    }
}

#[test]
fn values_of_attributes_are_as_in_the_registry() {
    let registry = Registry::read();
    for attribute in vocabulary::ALL.iter().chain(SELF_METRICS).flat_map(|metric| metric.attributes.iter().chain(metric.detail)) {
        let values: BTreeSet<_> = attribute.values.iter().map(ToString::to_string).collect();
        match registry.attributes.get(attribute.key) {
            Some(defined) if attribute.key == "mail.delivery.outcome" => {
                // Events have more.
                let of_events = Outcome::ALL.iter().filter(|outcome| !outcome.is_attempt());
                assert_eq!(defined - &values, of_events.map(|outcome| outcome.as_str().to_owned()).collect());
            }
            // `postmeter.repair.kind` is open in the table: its values are those of `Repair`.
            Some(defined) if attribute.key == "postmeter.repair.kind" => {
                assert_eq!(*defined, Repair::ALL.iter().map(|repair| repair.as_str().to_owned()).collect());
            }
            Some(defined) => assert_eq!(*defined, values, "{}", attribute.key),
            None => assert!(UPSTREAM.iter().chain(&["service."]).any(|prefix| attribute.key.starts_with(prefix)), "{}", attribute.key),
        }
    }
}

#[test]
fn delivery_events_are_as_in_the_registry() {
    let registry = Registry::read();
    assert_eq!(
        registry.events.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        RecordEvent::ALL.iter().map(|event| event.as_str()).collect()
    );
    for event in RecordEvent::ALL {
        let levels = Registry::levels(&registry.events[event.as_str()]);
        for field in FIELDS.iter().filter(|field| !field.attribute.key.is_empty()) {
            for key in [field.attribute.key, field.hash.key] {
                assert!(levels.contains_key(key), "{} lacks {key}", event.as_str());
                assert!(
                    registry.attributes.contains_key(key) || UPSTREAM.iter().chain(&["user."]).any(|prefix| key.starts_with(prefix)),
                    "{key}"
                );
            }
        }
    }
    for (key, values) in [
        ("mail.failure.origin", FailureOrigin::ALL.iter().map(|value| value.as_str().to_owned()).collect()),
        ("mail.bounce.type", BounceType::ALL.iter().map(|value| value.as_str().to_owned()).collect()),
        ("mail.complaint.type", ComplaintType::ALL.iter().map(|value| value.as_str().to_owned()).collect()),
    ] {
        assert_eq!(registry.attributes[key], values, "{key}");
    }
}

#[test]
fn the_document_is_one_yaml_map_of_groups() {
    let output = postmeter().args(["metrics", "--format", "semconv"]).output().unwrap();
    assert!(output.status.success());
    let printed: Value = serde_saphyr::from_str(&stdout(&output)).unwrap();
    assert_eq!(printed.as_object().unwrap().keys().collect::<Vec<_>>(), ["groups"]);
    assert!(list(&printed["groups"]).len() > vocabulary::ALL.len());
}

#[test]
fn every_associated_entity_is_defined() {
    let document: Value = serde_saphyr::from_str(&registry::document(SELF_METRICS)).unwrap();
    let groups = list(&document["groups"]);
    let mut entities: BTreeSet<&str> = groups.iter().filter(|group| group["type"] == "entity").map(|group| text(group, "name")).collect();
    // Of the conventions: the resource of Postmeter itself.
    entities.insert("service.instance");
    let associated: BTreeSet<&str> =
        groups.iter().flat_map(|group| list(&group["entity_associations"])).map(|entity| entity.as_str().unwrap()).collect();
    assert!(associated.contains("mail.server"));
    assert_eq!(associated.difference(&entities).collect::<Vec<_>>(), Vec::<&&str>::new(), "associated, but not defined");
}

#[test]
fn the_schema_file_has_the_version_of_the_schema_url() {
    let (start, version) = registry::SCHEMA_URL.rsplit_once('/').unwrap();
    assert!(start.starts_with("https://"), "{start}");
    let path = format!("{}/docs/schema/{version}.yaml", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(text(&schema, "schema_url"), registry::SCHEMA_URL);
    assert!(schema["versions"].as_object().unwrap().contains_key(version));
    let manifest: Value = serde_saphyr::from_str(include_str!("../../src/model/registry/manifest.yaml")).unwrap();
    assert_eq!(text(&manifest, "schema_url"), registry::SCHEMA_URL);
}

#[test]
fn a_point_outside_the_registry_is_a_fault() {
    let registry = Registry::read();
    let attributes = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let good = attributes(&[("mail.system.name", "kumomta"), ("mail.queue.state", "ready")]);
    assert_eq!(registry.faults("mail.queue.depth", &good), [""; 0]);
    assert_eq!(registry.faults("mail.queue.size", &good).len(), 1);
    let faulty = attributes(&[("mail.system.name", "kumomta"), ("mail.queue.state", "lost"), ("mail.queue.colour", "red")]);
    assert_eq!(registry.faults("mail.queue.depth", &faulty).len(), 2);
    assert_eq!(registry.faults("mail.queue.depth", &attributes(&[("mail.system.name", "kumomta")])).len(), 1);
}

/// A target with everything that the system reports.
fn target(server: &SimulatedServer) -> String {
    let rest = match server.system() {
        System::Cpanel => {
            let parts = "fetch_mail_queue: {}, servicestatus: {}, getdiskusage: {}, messages: {since: 1h, interval: 1s}";
            format!("username: {USERNAME}, token: {TOKEN}, parts: {{{parts}}}")
        }
        System::Kumomta => "parts: {machine-info: {}}, detail: {by: domain, top: 3}".to_owned(),
        system => system.credential_keys() + &system.parts_key(""),
    };
    let name = server.system().name();
    format!("  - {{name: the-{name}, system: {name}, url: \"{}\", {rest}}}\n", server.url())
}

#[tokio::test]
async fn every_canonical_point_of_every_simulator_conforms() {
    let registry = Registry::read();
    let receiver = Receiver::start(ANY).await.unwrap();
    let mut servers = Vec::new();
    for system in System::ALL {
        servers.push(SimulatedServer::start(system, ANY, Options { frozen: true, ..Options::default() }).await.unwrap());
    }
    let targets: String = servers.iter().map(target).collect();
    let state = tempfile::tempdir().unwrap();
    let file = format!(
        "state_dir: {:?}\ndefaults: {{min_interval: 1s, timeout: 10s}}\ntargets:\n{targets}export:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n  otlp: {{endpoint: \"{}\", interval: 1s}}\n",
        state.path(),
        receiver.url()
    );
    let service = start_service(&file).await;
    // The last to come are the metrics of delivery records.
    let has_all = |requests: &[_]| {
        let points = canonical_points(requests);
        let names: BTreeSet<&str> = points.iter().map(|(metric, _)| metric.as_str()).collect();
        ["postmeter.poll.records", "mail.job.depth", "mail.connection.duration", "mail.delivery.duration", "system.filesystem.usage"]
            .iter()
            .all(|name| names.contains(name))
    };
    assert!(receiver.wait_for(has_all, Duration::from_secs(60)).await, "not every metric arrived");
    let points = canonical_points(&receiver.requests());
    service.stop().await;
    receiver.shutdown().await;
    for server in servers {
        server.shutdown().await;
    }
    let faults: BTreeSet<String> = points.iter().flat_map(|(metric, attributes)| registry.faults(metric, attributes)).collect();
    assert_eq!(faults, BTreeSet::new());
}

/// The points in the canonical scope: metric and attributes.
fn canonical_points(
    requests: &[opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest],
) -> Vec<(String, BTreeMap<String, String>)> {
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    let mut points = Vec::new();
    for resource in requests.iter().flat_map(|request| &request.resource_metrics) {
        assert_eq!(resource.schema_url, registry::SCHEMA_URL);
        for scope in resource.scope_metrics.iter().filter(|scope| scope.scope.as_ref().is_some_and(|scope| scope.name == SCOPE)) {
            assert_eq!(scope.schema_url, registry::SCHEMA_URL);
            for metric in &scope.metrics {
                let attributes: Vec<_> = match metric.data.as_ref().unwrap() {
                    Data::Gauge(gauge) => gauge.data_points.iter().map(|point| &point.attributes).collect(),
                    Data::Sum(sum) => sum.data_points.iter().map(|point| &point.attributes).collect(),
                    Data::Histogram(histogram) => histogram.data_points.iter().map(|point| &point.attributes).collect(),
                    other => panic!("{}: {other:?}", metric.name),
                };
                points.extend(
                    attributes
                        .into_iter()
                        .map(|attributes| (metric.name.clone(), crate::support::flat::strings(attributes).into_iter().collect())),
                );
            }
        }
    }
    points
}
