//! Tests of the Helm chart in `deploy/helm/postmeter`, rendered by Helm with each value set in its directory `ci`.
//!
//! Helm is named by `POSTMETER_HELM`, or is on PATH as `helm`. `kubeconform` is named by `POSTMETER_KUBECONFORM`, or is on PATH, and
//! `POSTMETER_KUBERNETES_SCHEMAS` names its directory of schemas. `.ci/chart-programs` builds all three. Without them the tests
//! print a notice and are skipped, unless `POSTMETER_REQUIRE_STACK=1` requires them.
#![allow(clippy::unwrap_used)]

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

#[test]
fn versions_are_those_of_the_program() {
    let chart = yaml(&read("deploy/helm/postmeter/Chart.yaml"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["name"], env!("CARGO_PKG_NAME"));
    // The user that the image has.
    let user = yaml(&read("deploy/helm/postmeter/values.yaml"))["podSecurityContext"]["runAsUser"].to_string();
    assert!(read("Dockerfile").contains(&format!("USER {user}:{user}\n")));
}

/// Every value has a comment in the style of helm-docs.
#[test]
fn every_value_is_documented() {
    let text = read("deploy/helm/postmeter/values.yaml");
    let lines: Vec<&str> = text.lines().collect();
    let mut values = 0;
    for (index, line) in lines.iter().enumerate() {
        let key = line.trim_start();
        let indent = line.len() - key.len();
        let Some((key, value)) = key.split_once(':').filter(|(key, _)| key.bytes().all(|b| b.is_ascii_alphanumeric())) else { continue };
        // A map without a comment documents each of its keys.
        let next = lines.get(index + 1).copied().unwrap_or_default();
        let is_group = value.is_empty() && next.trim_start().starts_with("# -- ");
        let comment = lines[..index].iter().rev().take_while(|line| line.trim_start().starts_with('#')).any(|l| l.contains("# -- "));
        let is_of_documented_map = indent > 0
            && lines[..index].iter().rev().take_while(|line| !line.is_empty()).any(|above| {
                let outer = above.len() - above.trim_start().len();
                outer < indent && above.trim_start().starts_with("# -- ")
            });
        assert!(is_group || comment || is_of_documented_map, "line {}: {key} has no comment", index + 1);
        values += 1;
    }
    assert!(values > 100, "{values}");
}

/// The schema has the keys of `values.yaml`, so that a typing error is an error of `helm install`.
#[test]
fn the_schema_lists_every_value() {
    fn compare(path: &str, schema: &Value, values: &Value) {
        if path == ".config" {
            return;
        }
        let (Some(properties), Some(values)) = (schema["properties"].as_object(), values.as_object()) else { return };
        assert_eq!(schema["additionalProperties"], false, "{path}");
        for (key, value) in values {
            let of = properties.get(key).unwrap_or_else(|| panic!("{path}.{key} is not in the schema"));
            compare(&format!("{path}.{key}"), of, value);
        }
        let has_other_settings = path.starts_with(".probes.");
        let undocumented = properties.keys().find(|key| !values.contains_key(*key) && *key != "global" && !has_other_settings);
        assert_eq!(undocumented, None, "{path}");
    }
    let schema: Value = serde_json::from_str(&read("deploy/helm/postmeter/values.schema.json")).unwrap();
    compare("", &schema, &yaml(&read("deploy/helm/postmeter/values.yaml")));
}

/// The values in the documentation are valid.
#[test]
fn documented_values_are_valid() {
    let Some(helm) = Helm::find("documented_values_are_valid") else { return };
    let page = read("docs/kubernetes.md");
    let blocks: Vec<&str> = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 4, "{}", blocks.len());
    let base = Path::new(CHART).join("ci/open-values.yaml");
    let file = helm.home.path().join("documented.yaml");
    for block in blocks {
        std::fs::write(&file, block).unwrap();
        let [base, file] = [&base, &file].map(|path| path.to_str().unwrap());
        // The base has a PodMonitor, which excludes a ServiceMonitor.
        helm.text(&["template", RELEASE[0], CHART, "--values", base, "--set", "podMonitor.enabled=false", "--values", file]);
    }
}

/// The line of `values.schema.json` that has this key at this depth, with another value.
fn replace_line(text: &str, key: &str, value: &Value) -> String {
    let start = format!("{key}: ");
    let replace = |line: &str| if line.starts_with(&start) { format!("{start}{value},\n") } else { format!("{line}\n") };
    text.lines().map(replace).collect()
}

/// `config` is described by the schema of the configuration, so that an unknown key is an error of `helm install`.
/// `INSTA_UPDATE=always` rewrites it.
#[test]
fn the_schema_contains_that_of_the_configuration() {
    const FILE: &str = "deploy/helm/postmeter/values.schema.json";
    let output = postmeter().arg("config-schema").output().unwrap();
    let mut schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    let object = schema.as_object_mut().unwrap();
    let definitions = object.remove("definitions").unwrap();
    // Without targets, lint must succeed: the templates report what is missing.
    ["$schema", "title", "anyOf", "required"].iter().for_each(|key| drop(object.remove(*key)));
    object["properties"]["targets"].as_object_mut().unwrap().remove("minItems");
    let before = read(FILE);
    let after = replace_line(&replace_line(&before, "    \"config\"", &schema), "  \"definitions\"", &definitions);
    assert_generated_file(&Path::new(ROOT).join(FILE), &after);
    let read: Value = serde_json::from_str(&after).unwrap();
    assert!(read["properties"]["config"] == schema && read["definitions"] == definitions);
}

/// Helm rejects a schema in which an enumeration has a value twice.
#[test]
fn enumerations_have_distinct_values() {
    fn check(path: &str, schema: &Value) {
        let names = schema["enum"].as_array().into_iter().flatten().map(Value::to_string);
        let distinct: BTreeSet<String> = names.clone().collect();
        assert_eq!(distinct.len(), names.count(), "{path}");
        let maps = schema.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value));
        let lists = schema.as_array().into_iter().flatten().enumerate().map(|(index, value)| (index.to_string(), value));
        maps.chain(lists).for_each(|(key, value)| check(&format!("{path}/{key}"), value));
    }
    check("", &serde_json::from_str(&read("deploy/helm/postmeter/values.schema.json")).unwrap());
}

#[test]
fn helm_lint_finds_nothing() {
    let Some(helm) = Helm::find("helm_lint_finds_nothing") else { return };
    for values in value_sets().into_iter().map(|(_, path)| path).chain([Path::new(CHART).join("values.yaml")]) {
        helm.text(&["lint", "--strict", CHART, "--values", values.to_str().unwrap()]);
    }
}

#[test]
fn objects_match_the_schemas_of_kubernetes() {
    const TEST: &str = "objects_match_the_schemas_of_kubernetes";
    let Some(helm) = Helm::find(TEST) else { return };
    let Some(kubeconform) = program(TEST, "POSTMETER_KUBECONFORM", "kubeconform", "-v") else { return };
    let Some(schemas) = std::env::var_os("POSTMETER_KUBERNETES_SCHEMAS") else {
        assert!(std::env::var_os("POSTMETER_REQUIRE_STACK").is_none_or(|v| v != "1"), "POSTMETER_KUBERNETES_SCHEMAS is not set");
        return skipped(TEST, "POSTMETER_KUBERNETES_SCHEMAS does not name a directory of schemas");
    };
    let location = format!("{}/{{{{.Group}}}}/{{{{.ResourceKind}}}}_{{{{.ResourceAPIVersion}}}}.json", schemas.to_str().unwrap());
    let validate = |rendered: &str| {
        let file = helm.home.path().join("rendered.yaml");
        std::fs::write(&file, rendered).unwrap();
        let output = Command::new(&kubeconform).args(["-strict", "-summary", "-schema-location", &location]).arg(file).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for (name, path) in value_sets() {
        let rendered = helm.template(CHART, &path);
        let (is_valid, message) = validate(&rendered);
        assert!(is_valid && message.contains(&format!("Valid: {},", objects(&rendered).len())), "{name}: {message}");
    }
    // The schemas find errors.
    let rendered = helm.template(CHART, &Path::new(CHART).join("ci/shards-values.yaml"));
    for (right, wrong) in [
        ("enableServiceLinks: false", "enableServiceLink: false"),
        ("maxUnavailable: 1", "maxUnavailable: {}"),
        ("honorLabels: true", "honourLabels: true"),
    ] {
        assert!(rendered.contains(right));
        assert!(!validate(&rendered.replace(right, wrong)).0, "{wrong}");
    }
}

#[test]
fn objects_have_distinct_names() {
    each("objects_have_distinct_names", |set, objects| {
        let mut names = BTreeSet::new();
        for object in objects {
            let name = ["/kind", "/metadata/namespace", "/metadata/name"].map(|pointer| text(object, pointer).to_owned());
            assert!(!name[2].is_empty() && name[2].len() <= 63, "{set}: {name:?}");
            assert!(names.insert(name.clone()), "{set}: two objects {name:?}");
            let namespaces = ["metrics", "monitoring"];
            let is_extra = object.pointer("/metadata/labels").is_none();
            assert!(is_extra || namespaces.contains(&name[1].as_str()), "{set}: {name:?}");
        }
    });
}

#[test]
fn selectors_match() {
    each("selectors_match", |set, objects| {
        let workload = workload(objects);
        let labels = &workload["spec"]["template"]["metadata"]["labels"];
        assert!(selects(&workload["spec"]["selector"]["matchLabels"], labels), "{set}");
        let pods = ["/spec/selector/matchLabels", "/spec/podSelector/matchLabels"];
        for object in objects {
            match text(object, "/kind") {
                "Service" => assert!(selects(&object["spec"]["selector"], labels), "{set}: {object}"),
                "PodDisruptionBudget" | "PodMonitor" => assert!(selects(object.pointer(pods[0]).unwrap(), labels), "{set}: {object}"),
                "NetworkPolicy" => assert!(selects(object.pointer(pods[1]).unwrap(), labels), "{set}: {object}"),
                "ServiceMonitor" => {
                    let selector = object.pointer(pods[0]).unwrap();
                    // A second Service would double every series.
                    let services: Vec<_> =
                        of_kind(objects, "Service").filter(|service| selects(selector, &service["metadata"]["labels"])).collect();
                    assert_eq!(services.len(), 1, "{set}");
                }
                // The pod of `helm test` is not part of the workload.
                "Pod" => assert!(!selects(&workload["spec"]["selector"]["matchLabels"], &object["metadata"]["labels"]), "{set}"),
                _ => {}
            }
        }
        if workload["kind"] == "StatefulSet" {
            let governing = of_kind(objects, "Service").find(|service| service["metadata"]["name"] == workload["spec"]["serviceName"]);
            assert!(governing.is_some_and(|service| service["spec"]["clusterIP"] == "None"), "{set}");
        }
        for constraint in items(workload, "/spec/template/spec/topologySpreadConstraints") {
            assert!(selects(&constraint["labelSelector"]["matchLabels"], labels), "{set}");
        }
    });
}

#[test]
fn the_number_of_shards_determines_the_objects() {
    each("the_number_of_shards_determines_the_objects", |set, objects| {
        let workload = workload(objects);
        let (is_sharded, keeps) = (set == "shards", ["shards", "push"].contains(&set));
        assert_eq!(workload["spec"]["replicas"], if is_sharded { 3 } else { 1 }, "{set}");
        assert_eq!(workload["kind"], if keeps { "StatefulSet" } else { "Deployment" }, "{set}");
        assert_eq!(workload["spec"].get("volumeClaimTemplates").is_some(), keeps, "{set}");
        assert_eq!(of_kind(objects, "PodDisruptionBudget").count(), usize::from(is_sharded), "{set}");
        // A Service that balances between shards would return the targets of one of them.
        let balances = of_kind(objects, "Service").any(|service| service["spec"]["clusterIP"] != "None");
        assert_eq!(balances, !is_sharded && set != "push", "{set}");
    });
}

#[test]
fn every_mount_has_its_volume() {
    each("every_mount_has_its_volume", |set, objects| {
        let workload = workload(objects);
        let names = |values: Vec<&Value>, pointer: &str| values.iter().map(|value| text(value, pointer).to_owned()).collect::<Vec<_>>();
        let mounts: Vec<_> = items(container(workload), "/volumeMounts").collect();
        let mut volumes = names(items(workload, "/spec/template/spec/volumes").collect(), "/name");
        volumes.extend(names(items(workload, "/spec/volumeClaimTemplates").collect(), "/metadata/name"));
        let mounted = names(mounts.clone(), "/name");
        assert_eq!(mounted.iter().collect::<BTreeSet<_>>(), volumes.iter().collect::<BTreeSet<_>>(), "{set}");
        assert_eq!(volumes.iter().collect::<BTreeSet<_>>().len(), volumes.len(), "{set}: {volumes:?}");
        let paths = names(mounts.clone(), "/mountPath");
        assert_eq!(paths.iter().collect::<BTreeSet<_>>().len(), paths.len(), "{set}: {paths:?}");
        // A volume inside a read-only volume cannot be mounted.
        let is_nested = |path: &String| paths.iter().any(|other| path.starts_with(&format!("{other}/")));
        assert!(!paths.iter().any(is_nested), "{set}: {paths:?}");
        // Only the state can be written to.
        let writable: Vec<_> = mounts.iter().filter(|mount| mount["readOnly"] != true).map(|mount| text(mount, "/mountPath")).collect();
        assert_eq!(writable, [text(&yaml(configuration(objects)), "/state_dir")], "{set}");
        // The chart mounts exactly the Secrets that it creates.
        for volume in items(workload, "/spec/template/spec/volumes") {
            if volume["name"] == "config" {
                assert_eq!(volume["configMap"]["name"], config_map(objects)["metadata"]["name"], "{set}");
            }
        }
        let file = items(container(workload), "/args").nth(2).unwrap();
        assert_eq!(file, "/etc/postmeter/config/postmeter.yaml");
        assert!(paths.contains(&"/etc/postmeter/config".to_owned()), "{set}");
        let mounted: BTreeSet<_> = items(workload, "/spec/template/spec/volumes")
            .flat_map(|volume| items(volume, "/projected/sources"))
            .map(|source| text(source, "/secret/name").to_owned())
            .collect();
        for secret in of_kind(objects, "Secret") {
            assert!(mounted.contains(text(secret, "/metadata/name")), "{set}: {mounted:?}");
        }
    });
}

#[test]
fn probes_use_the_pull_endpoint() {
    each("probes_use_the_pull_endpoint", |set, objects| {
        let (configuration, workload) = (yaml(configuration(objects)), workload(objects));
        let pull = &configuration["export"]["prometheus"];
        let container = container(workload);
        if *pull == false {
            assert_eq!(set, "push");
            return assert!(["livenessProbe", "readinessProbe", "ports"].iter().all(|key| container.get(key).is_none()), "{set}");
        }
        let (_, port) = text(pull, "/listen").rsplit_once(':').unwrap();
        let port: u16 = port.parse().unwrap();
        let ports: Vec<_> = items(container, "/ports").collect();
        assert!(ports.len() == 1 && ports[0]["name"] == "metrics" && ports[0]["containerPort"] == port, "{set}: {ports:?}");
        let scheme = if pull.get("tls").is_some() { "HTTPS" } else { "HTTP" };
        for (probe, path) in [("livenessProbe", "/-/healthy"), ("readinessProbe", "/-/ready")] {
            let probe = &container[probe];
            if set == "secured" {
                let url = format!("{}://localhost:{port}{path}", scheme.to_lowercase());
                let command: Vec<_> = items(probe, "/exec/command").filter_map(Value::as_str).collect();
                assert_eq!(command, ["/postmeter", "healthcheck", "--url", &url], "{set}");
            } else {
                assert_eq!(probe["httpGet"], serde_json::json!({"path": path, "port": "metrics", "scheme": scheme}), "{set}");
            }
            assert!(probe["periodSeconds"].is_u64() && probe.get("enabled").is_none(), "{set}: {probe}");
        }
        for service in of_kind(objects, "Service") {
            assert_eq!(service["spec"]["ports"][0]["targetPort"], "metrics", "{set}");
        }
        for policy in of_kind(objects, "NetworkPolicy") {
            assert_eq!(policy["spec"]["ingress"][0]["ports"][0]["port"], port, "{set}");
        }
        for monitor in of_kind(objects, "ServiceMonitor").chain(of_kind(objects, "PodMonitor")) {
            let endpoint = ["/spec/endpoints/0", "/spec/podMetricsEndpoints/0"].iter().find_map(|pointer| monitor.pointer(pointer));
            let endpoint = endpoint.unwrap();
            assert_eq!([&endpoint["port"], &endpoint["honorLabels"]], [&Value::from("metrics"), &Value::from(true)], "{set}");
            assert_eq!(endpoint["scheme"], scheme.to_lowercase(), "{set}");
            // Without the names of pods, a target keeps its series when another pod polls it.
            let dropped = items(endpoint, "/relabelings").find(|relabeling| relabeling["action"] == "labeldrop").unwrap();
            assert!(text(dropped, "/regex").split('|').any(|label| label == "pod"), "{set}");
        }
        // `helm test` requests the port of a Service.
        let test = of_kind(objects, "Pod").next().unwrap();
        let url = text(test, "/spec/containers/0/args/2");
        let address = |service: &Value| format!("//{}:{}/", text(service, "/metadata/name"), service["spec"]["ports"][0]["port"]);
        assert!(of_kind(objects, "Service").any(|service| url.contains(&address(service))), "{set}: {url}");
    });
}

#[test]
fn containers_have_no_privileges() {
    each("containers_have_no_privileges", |set, objects| {
        let pods = [workload(objects).pointer("/spec/template/spec").unwrap()];
        for pod in pods.into_iter().chain(of_kind(objects, "Pod").map(|pod| &pod["spec"])) {
            assert_eq!(pod["automountServiceAccountToken"], false, "{set}");
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{set}");
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{set}");
            let context = &pod["containers"][0]["securityContext"];
            assert_eq!(context["readOnlyRootFilesystem"], true, "{set}");
            assert_eq!(context["allowPrivilegeEscalation"], false, "{set}");
            assert_eq!(context["capabilities"]["drop"], serde_json::json!(["ALL"]), "{set}");
        }
        assert!(of_kind(objects, "ServiceAccount").all(|account| account["automountServiceAccountToken"] == false), "{set}");
        let digest = "registry.example.com/postmeter@sha256:";
        let image = text(container(workload(objects)), "/image");
        assert!(image == concat!("postmeter:", env!("CARGO_PKG_VERSION")) || set == "push" && image.starts_with(digest), "{set}: {image}");
    });
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

/// Postmeter accepts the rendered configuration, in each shard, and every target is in exactly one of them.
#[test]
fn postmeter_accepts_the_configuration() {
    each("postmeter_accepts_the_configuration", |set, objects| {
        let folder = tempfile::tempdir().unwrap();
        write_secrets(folder.path());
        let text = configuration(objects).replace(SECRETS, folder.path().to_str().unwrap());
        let workload = workload(objects);
        let replicas = u32::try_from(workload["spec"]["replicas"].as_u64().unwrap()).unwrap();
        let mut polled = Vec::new();
        for index in 0..replicas {
            let mut variables: BTreeMap<String, String> = BTreeMap::new();
            for variable in items(container(workload), "/env") {
                let is_index = variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['apps.kubernetes.io/pod-index']";
                let value = if is_index { index.to_string() } else { "x".to_owned() };
                variables.insert(variable["name"].as_str().unwrap().to_owned(), value);
            }
            let environment: Environment = variables.into_iter().collect();
            let config = config::parse(&text, set, &environment).unwrap_or_else(|problems| panic!("{set}: {problems}\n{text}"));
            let expected = (replicas > 1).then(|| format!("{index}/{replicas}"));
            assert_eq!(config.shard.map(|shard: Shard| shard.to_string()), expected, "{set}");
            polled.extend(config.sharded(None).targets.into_iter().map(|target| target.name));
        }
        polled.sort();
        let configured = yaml(configuration(objects));
        let mut names: Vec<_> = items(&configured, "/targets").map(|target| target["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        assert_eq!(polled, names, "{set}");
    });
}

#[test]
fn secrets_are_only_in_secrets() {
    use base64::Engine;
    each("secrets_are_only_in_secrets", |set, objects| {
        if set != "shards" {
            return assert_eq!(of_kind(objects, "Secret").count(), 0, "{set}");
        }
        for value in ["not-a-real-token-1", "not-a-real-token-2", "314159265"] {
            let encoded = base64::engine::general_purpose::STANDARD.encode(value);
            for object in objects {
                let text = object.to_string();
                assert!(!text.contains(value), "{set}: {text}");
                assert_eq!(text.contains(&encoded), object["kind"] == "Secret", "{set}: {value} {text}");
            }
        }
    });
}

/// The pods are replaced when the configuration changes, and only then.
#[test]
fn a_changed_configuration_replaces_the_pods() {
    let Some(helm) = Helm::find("a_changed_configuration_replaces_the_pods") else { return };
    let values = Path::new(CHART).join("ci/single-values.yaml");
    let checksum = |set: &str| {
        let arguments = ["template", RELEASE[0], CHART, "--values", values.to_str().unwrap(), "--set", set];
        let objects = objects(&helm.text(&arguments));
        text(workload(&objects), "/spec/template/metadata/annotations/checksum~1config").to_owned()
    };
    let before = checksum("service.port=1");
    assert_eq!(before.len(), 64);
    assert_eq!(before, checksum("service.port=2"));
    assert_ne!(before, checksum("config.telemetry.log_level=debug"));
    assert_ne!(before, checksum("sharding.shards=2"));
}

/// The rule files of the repository, with what the values add.
#[test]
fn rules_are_those_of_the_repository() {
    let names = ["mail.yml", "postmeter.yml", "recording.yml"].map(|name| format!("otel-config/alerts/{name}"));
    let groups: Vec<Value> = names.iter().flat_map(|name| yaml(&read(name))["groups"].as_array().unwrap().clone()).collect();
    let count = |groups: &[Value]| groups.iter().map(|group| items(group, "/rules").count()).sum::<usize>();
    each("rules_are_those_of_the_repository", |set, objects| {
        let Some(rule) = of_kind(objects, "PrometheusRule").next() else { return assert!(!["single", "shards"].contains(&set)) };
        let rendered = rule["spec"]["groups"].as_array().unwrap();
        if set == "single" {
            return assert_eq!(*rendered, groups, "{set}");
        }
        assert_eq!(count(rendered), count(&groups) - 2, "{set}: two alerts are disabled");
        for alert in rendered.iter().flat_map(|group| items(group, "/rules")).filter(|rule| rule.get("alert").is_some()) {
            let name = text(alert, "/alert");
            assert!(!["MailLicenceExpiring", "PostmeterIdle"].contains(&name));
            assert_eq!(alert["labels"]["team"], "mail", "{name}");
            assert!(!text(alert, "/labels/severity").is_empty(), "{name}");
            let runbook = text(alert, "/annotations/runbook_url");
            assert_eq!(runbook, format!("https://git.example.com/postmeter/otel-config/alerts/README.md#{}", name.to_lowercase()));
            let (base, uid) = text(alert, "/annotations/dashboard_url").split_once("/d/").unwrap();
            assert_eq!(base, "https://grafana.example.com");
            let uid = uid.split('?').next().unwrap();
            let file = read(format!("grafana/dashboards/{}.json", uid.strip_prefix("postmeter-").unwrap()));
            assert!(file.contains(&format!("\"uid\": \"{uid}\"")), "{name}");
        }
    });
}

#[test]
fn dashboards_are_those_of_the_repository() {
    let folder = Path::new(ROOT).join("grafana/dashboards");
    let dashboards: BTreeMap<String, Value> = files(&folder)
        .into_iter()
        .map(|path| {
            let name = format!("postmeter-{}", path.file_name().unwrap().to_str().unwrap());
            (name, serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
        })
        .collect();
    each("dashboards_are_those_of_the_repository", |set, objects| {
        let maps: Vec<_> = of_kind(objects, "ConfigMap").filter(|map| map["metadata"]["labels"]["grafana_dashboard"] == "1").collect();
        if !["single", "shards"].contains(&set) {
            return assert!(maps.is_empty(), "{set}");
        }
        let data = maps.iter().flat_map(|map| map["data"].as_object().unwrap());
        let rendered = data.map(|(name, text)| (name.clone(), serde_json::from_str(text.as_str().unwrap()).unwrap()));
        assert_eq!(rendered.collect::<BTreeMap<String, Value>>(), dashboards, "{set}");
    });
}

/// The package contains the linked files, without their tests, and renders the same objects. Its release fits into a Secret.
#[test]
fn the_package_is_complete() {
    use base64::Engine;
    use std::io::{Read, Write};
    let Some(helm) = Helm::find("the_package_is_complete") else { return };
    let folder = helm.home.path().to_str().unwrap();
    helm.text(&["package", CHART, "--destination", folder]);
    let chart = yaml(&read("deploy/helm/postmeter/Chart.yaml"));
    let package = format!("{folder}/postmeter-{}.tgz", text(&chart, "/version"));
    for (name, path) in value_sets() {
        assert_eq!(helm.template(&package, &path), helm.template(CHART, &path), "{name}");
    }
    let mut archive = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(&package).unwrap()).read_to_end(&mut archive).unwrap();
    // A tar archive is a sequence of blocks of 512 bytes: a header with the name and the octal size of a file, then its content.
    let mut entries = BTreeMap::new();
    let mut rest = archive.as_slice();
    while let Some((header, after)) = rest.split_at_checked(512).filter(|(header, _)| header[0] != 0) {
        let field = |range: std::ops::Range<usize>| String::from_utf8_lossy(&header[range]).trim_matches(['\0', ' ']).to_owned();
        assert_eq!(header[156], b'0', "{} is not a file", field(0..100));
        let size = usize::from_str_radix(&field(124..136), 8).unwrap();
        entries.insert(field(0..100), after[..size].to_vec());
        rest = &after[size.next_multiple_of(512)..];
    }
    let unwanted = |name: &&String| ["/ci/", "/tests/reach.yml", "README.md"].iter().any(|part| name.contains(part));
    assert_eq!(entries.keys().find(unwanted), None);
    for name in ["files/alerts/mail.yml", "files/dashboards/overview.json", "templates/NOTES.txt", "values.schema.json"] {
        assert!(entries.contains_key(&format!("postmeter/{name}")), "{name} is not in {:?}", entries.keys());
    }
    // Helm stores the chart's files, encoded with base64, and the rendered objects, compressed and encoded again.
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let chart: Map<String, Value> = entries.iter().map(|(name, bytes)| (name.clone(), encode(bytes).into())).collect();
    let manifest = helm.template(&package, &Path::new(CHART).join("ci/shards-values.yaml"));
    let release = serde_json::json!({"chart": chart, "manifest": manifest}).to_string();
    let mut compressed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    compressed.write_all(release.as_bytes()).unwrap();
    let stored = encode(&compressed.finish().unwrap()).len();
    assert!(stored < RELEASE_BYTES_MAX * 3 / 4, "a release needs {stored} bytes");
}

/// Values that cannot work are errors of `helm install`, with the key and what to do.
#[test]
fn wrong_values_are_errors() {
    let Some(helm) = Helm::find("wrong_values_are_errors") else { return };
    let target = ["config.targets[0].name=a", "config.targets[0].system=kumomta", "config.targets[0].url=http://192.0.2.5:8000"].join(",");
    for (set, expected) in [
        ("config.targets=null", "config.targets is empty"),
        ("config.targets[0].token=abc", "config.targets[0].token contains a secret"),
        ("config.targets[0].headers.Authorization=abc", "config.targets[0].headers.Authorization contains a secret"),
        ("config.export.otlp.headers.x-api-key=abc", "config.export.otlp.headers.x-api-key contains a secret"),
        ("config.export.prometheus.listen=localhost", "does not end with a port number"),
        ("config.export.otlp.spool.dir=/spool", "config.export.otlp.spool.dir /spool is not writable"),
        ("config.shard=0/2,sharding.shards=2", "config.shard and sharding.shards are both set"),
        ("serviceMonitor.enabled=true,podMonitor.enabled=true", "scraped twice"),
        ("config.export.prometheus=false,podMonitor.enabled=true", "needs the pull endpoint"),
        ("config.targets[0].tokn=abc", "tokn"),
        ("config.exprot.otlp=false", "exprot"),
        ("secrets.create.a=314159265", "secrets"),
        ("shards=2", "shards"),
        ("sharding.shards=0", "shards"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
    ] {
        let output = helm.run(&["template", RELEASE[0], CHART, "--set", &target, "--set", set]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && message.contains(expected), "{set}: {message}");
    }
}

/// The values of `--set` that a probe depends on, and the probe that results.
#[test]
fn the_kind_of_probe_follows_the_configuration() {
    let Some(helm) = Helm::find("the_kind_of_probe_follows_the_configuration") else { return };
    let values = Path::new(CHART).join("ci/single-values.yaml");
    for (set, is_exec) in [
        ("config.export.prometheus.listen=localhost:9464", true),
        ("config.export.prometheus.rate_limit.per_minute=12", true),
        ("config.export.prometheus.auth.trusted[0]=192.0.2.7", true),
        ("config.export.prometheus.auth.trusted[0]=192.0.2.7,config.export.prometheus.auth.open={/-/healthy,/-/ready}", false),
        ("config.export.prometheus.tls.cert_file=/a,config.export.prometheus.tls.key_file=/b", false),
        (
            "config.export.prometheus.tls.cert_file=/a,config.export.prometheus.tls.client_auth_type=RequireAnyClientCert,config.export.prometheus.tls.key_file=/b",
            true,
        ),
        ("config.export.prometheus.web_config_file=/a", true),
        ("probes.type=exec", true),
    ] {
        let arguments = ["template", RELEASE[0], CHART, "--values", values.to_str().unwrap(), "--set", set];
        let objects = objects(&helm.text(&arguments));
        let probe = &container(workload(&objects))["livenessProbe"];
        assert_eq!([probe.get("exec").is_some(), probe.get("httpGet").is_some()], [is_exec, !is_exec], "{set}: {probe}");
    }
}

/// Some tools drop symbolic links. Then the chart reports what is missing, instead of installing no alerts.
#[test]
fn missing_links_are_errors() {
    let Some(helm) = Helm::find("missing_links_are_errors") else { return };
    let chart = helm.home.path().join("postmeter");
    let copied = Command::new("cp").args(["-rP", CHART]).arg(&chart).status().unwrap();
    assert!(copied.success());
    let links = [("alerts", "prometheusRule"), ("dashboards", "dashboards")];
    for (link, _) in links {
        std::fs::remove_file(chart.join("files").join(link)).unwrap();
    }
    for (link, value) in links {
        let values = chart.join("ci/open-values.yaml");
        let (chart, values) = (chart.to_str().unwrap(), values.to_str().unwrap());
        helm.text(&["template", RELEASE[0], chart, "--values", values]);
        let output = helm.run(&["template", RELEASE[0], chart, "--values", values, "--set", &format!("{value}.enabled=true")]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && message.contains(&format!("files/{link} is a symbolic link")), "{message}");
    }
}

/// Ends a process with the test.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The status of an HTTP request as kubelet sends it: without credentials, and without verification of the certificate.
async fn request(url: &str) -> Result<u16, reqwest::Error> {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).tls_danger_accept_invalid_certs(true).build()?;
    Ok(client.get(url).send().await?.status().as_u16())
}

/// Runs Postmeter with the rendered configuration and executes its probes as kubelet does.
#[test]
fn probes_succeed() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Another part of the process may have chosen it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    each("probes_succeed", |set, objects| {
        if set == "push" {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        write_secrets(folder.path());
        let configured = yaml(configuration(objects));
        let listen = text(&configured, "/export/prometheus/listen");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut rendered = configuration(objects).replace(SECRETS, path).replace("/var/lib/postmeter", path);
        rendered = rendered.replace(listen, &format!("127.0.0.1:{port}"));
        // Nothing listens on port 1, so the first poll of every target ends at once.
        for target in items(&configured, "/targets") {
            rendered = rendered.replace(text(target, "/url"), "http://127.0.0.1:1");
        }
        let file = folder.path().join("postmeter.yaml");
        std::fs::write(&file, &rendered).unwrap();
        let mut command = postmeter();
        command.env("POD_INDEX", "0").env("STALWART_PASSWORD", "x").args(["run", "--config"]).arg(&file);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let running = Running(command.stderr(log).spawn().unwrap());
        let container = container(workload(objects));
        for probe in ["livenessProbe", "readinessProbe"].map(|name| &container[name]) {
            let succeeds = || match probe.get("httpGet") {
                Some(get) => {
                    let url = format!("{}://127.0.0.1:{port}{}", text(get, "/scheme").to_lowercase(), text(get, "/path"));
                    runtime.block_on(request(&url)).is_ok_and(|status| status == 200)
                }
                None => {
                    let arguments: Vec<_> = items(probe, "/exec/command").skip(1).map(|argument| argument.as_str().unwrap()).collect();
                    let (_, configured) = listen.rsplit_once(':').unwrap();
                    let arguments = arguments.iter().map(|argument| argument.replace(&format!(":{configured}/"), &format!(":{port}/")));
                    postmeter().args(arguments).output().unwrap().status.success()
                }
            };
            let start = Instant::now();
            while !succeeds() {
                let log = || std::fs::read_to_string(folder.path().join("log")).unwrap();
                assert!(start.elapsed() < STARTED_MAX, "{set}: {probe}\n{rendered}\n{}", log());
                std::thread::park_timeout(Duration::from_millis(50));
            }
        }
        drop(running);
    });
}
