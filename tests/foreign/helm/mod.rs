//! Tests of the Helm chart in `deploy/helm/postmeter`, rendered by Helm with each value set in its directory `ci`.
//!
//! Helm is named by `POSTMETER_HELM`, or is on PATH as `helm`. `kubeconform` is named by `POSTMETER_KUBECONFORM`, or is on PATH, and
//! `POSTMETER_KUBERNETES_SCHEMAS` names its directory of schemas. `.ci/chart-programs` builds all three. Without them the tests
//! print a notice and are skipped, unless `POSTMETER_REQUIRE_STACK=1` requires them.
#![allow(clippy::unwrap_used)]

mod content;
mod objects;
mod probes;
mod values;

use crate::support::{assert_generated_file, files, postmeter, skipped};
use postmeter::config::{self, Environment, Shard};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/postmeter");
const SECRETS: &str = "/etc/postmeter/secrets";
/// The name and namespace of the rendered release.
const RELEASE: [&str; 3] = ["mail", "--namespace", "metrics"];
/// Kubernetes stores a release in a Secret, which is limited to 1 MiB.
const RELEASE_BYTES_MAX: usize = 1024 * 1024;
/// The time for Postmeter to start and to poll every target once.
const STARTED_MAX: Duration = Duration::from_secs(60);

/// A program by its variable or its name on PATH; without it the test is skipped.
#[track_caller]
fn program(test: &str, variable: &str, name: &str, version: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map_or_else(|| PathBuf::from(name), PathBuf::from);
    if Command::new(&path).arg(version).output().is_ok_and(|output| output.status.success()) {
        return Some(path);
    }
    let why = format!("{variable} does not name a program, and {name} is not on PATH");
    assert!(std::env::var_os("POSTMETER_REQUIRE_STACK").is_none_or(|v| v != "1"), "{why}; .ci/chart-programs builds it");
    skipped(test, &why);
    None
}

/// Helm, with its files in a directory of its own.
struct Helm {
    path: PathBuf,
    home: tempfile::TempDir,
}

impl Helm {
    #[track_caller]
    fn find(test: &str) -> Option<Self> {
        let path = program(test, "POSTMETER_HELM", "helm", "version")?;
        Some(Self { path, home: tempfile::tempdir().unwrap() })
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let home = self.home.path();
        let directories = ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"].map(|name| (name, home));
        let mut command = Command::new(&self.path);
        command.args(arguments).envs(directories);
        // The oldest version that the chart supports. A Helm that was built from its module may assume a much older one.
        if ["lint", "template"].contains(&arguments[0]) {
            command.args(["--kube-version", "1.28.0"]);
        }
        command.output().unwrap()
    }

    #[track_caller]
    fn text(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "helm {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The rendered objects of a chart with a value set.
    #[track_caller]
    fn template(&self, chart: &str, values: &Path) -> String {
        let arguments = ["template", RELEASE[0], chart, RELEASE[1], RELEASE[2], "--values", values.to_str().unwrap()];
        self.text(&arguments)
    }
}

/// The value sets by their names.
fn value_sets() -> Vec<(String, PathBuf)> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().strip_suffix("-values.yaml").map(str::to_owned);
    files(&Path::new(CHART).join("ci")).into_iter().map(|path| (name(&path).unwrap(), path)).collect()
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

fn objects(rendered: &str) -> Vec<Value> {
    let documents = rendered.split("\n---\n").map(|text| text.trim_start_matches("---\n"));
    documents.map(yaml).filter(|object| !object.is_null()).collect()
}

/// Runs `check` on the objects of each value set.
#[track_caller]
fn each(test: &str, check: impl Fn(&str, &[Value])) {
    let Some(helm) = Helm::find(test) else { return };
    let sets = value_sets();
    assert!(sets.len() >= 5, "{sets:?}");
    for (name, path) in sets {
        check(&name, &objects(&helm.template(CHART, &path)));
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn items<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

/// The Deployment or StatefulSet.
fn workload(objects: &[Value]) -> &Value {
    let workloads: Vec<_> = objects.iter().filter(|object| ["Deployment", "StatefulSet"].contains(&text(object, "/kind"))).collect();
    assert_eq!(workloads.len(), 1);
    workloads[0]
}

fn container(workload: &Value) -> &Value {
    workload.pointer("/spec/template/spec/containers/0").unwrap()
}

/// The ConfigMap with the configuration.
fn config_map(objects: &[Value]) -> &Value {
    let name = &workload(objects)["metadata"]["name"];
    of_kind(objects, "ConfigMap").find(|map| map["metadata"]["name"] == *name).unwrap()
}

/// The configuration as it is in the ConfigMap.
fn configuration(objects: &[Value]) -> &str {
    text(config_map(objects), "/data/postmeter.yaml")
}

/// Returns true if an object with these labels is selected.
fn selects(selector: &Value, labels: &Value) -> bool {
    let selector = selector.as_object().unwrap();
    !selector.is_empty() && selector.iter().all(|(key, value)| labels[key] == *value)
}

/// Writes the files that the Secrets of the value sets contain.
fn write_secrets(folder: &Path) {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    for name in ["whm-token", "ee-token", "otlp-token"] {
        write(name, "secret");
    }
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    write("tls.crt", &pair.cert.pem());
    write("tls.key", &pair.signing_key.serialize_pem());
}
