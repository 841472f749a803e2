//! The rendered Kubernetes objects.

use super::*;

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
                "Service" => {
                    let selector = &object["spec"]["selector"];
                    let mut labels = labels.clone();
                    // Kubernetes labels the pods of a StatefulSet with their index.
                    labels["apps.kubernetes.io/pod-index"] = selector["apps.kubernetes.io/pod-index"].clone();
                    assert!(selects(selector, &labels), "{set}: {object}");
                }
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
        let (is_sharded, keeps) = (["shards", "receive"].contains(&set), ["shards", "push", "receive"].contains(&set));
        let shards = match set {
            "shards" => 3,
            "receive" => 2,
            _ => 1,
        };
        assert_eq!(workload["spec"]["replicas"], shards, "{set}");
        assert_eq!(workload["kind"], if keeps { "StatefulSet" } else { "Deployment" }, "{set}");
        assert_eq!(workload["spec"].get("volumeClaimTemplates").is_some(), keeps, "{set}");
        assert_eq!(of_kind(objects, "PodDisruptionBudget").count(), usize::from(is_sharded), "{set}");
        // A Service that balances between shards would return the targets of one of them.
        let pods = |service: &Value| service["spec"]["selector"]["apps.kubernetes.io/pod-index"].is_string();
        let balances = of_kind(objects, "Service").any(|service| service["spec"]["clusterIP"] != "None" && !pods(service));
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
            assert_eq!((set, text(&configuration, "/health/listen")), ("push", "0.0.0.0:13133"));
            let ports: Vec<_> = items(container, "/ports").collect();
            assert!(ports.len() == 1 && ports[0]["name"] == "health" && ports[0]["containerPort"] == 13133, "{ports:?}");
            for (probe, path) in [("livenessProbe", "/-/healthy"), ("readinessProbe", "/-/ready")] {
                assert_eq!(container[probe]["httpGet"], serde_json::json!({"path": path, "port": "health"}));
                assert!(container[probe]["periodSeconds"].is_u64(), "{probe}");
            }
            return;
        }
        let (_, port) = text(pull, "/listen").rsplit_once(':').unwrap();
        let port: u16 = port.parse().unwrap();
        let ports: Vec<_> = items(container, "/ports").collect();
        let expected = if set == "receive" { 2 } else { 1 };
        assert!(ports.len() == expected && ports[0]["name"] == "metrics" && ports[0]["containerPort"] == port, "{set}: {ports:?}");
        let scheme = if pull.get("tls").is_some() { "HTTPS" } else { "HTTP" };
        for (probe, path) in [("livenessProbe", "/-/healthy"), ("readinessProbe", "/-/ready")] {
            let probe = &container[probe];
            if set == "secured" {
                // The pull endpoint responds with 401, whether Postmeter is ready or not.
                assert_eq!(text(&configuration, "/health/listen"), "127.0.0.1:13133");
                let url = format!("http://127.0.0.1:13133{path}");
                let command: Vec<_> = items(probe, "/exec/command").filter_map(Value::as_str).collect();
                assert_eq!(command, ["/postmeter", "healthcheck", "--url", &url], "{set}");
            } else {
                assert_eq!(probe["httpGet"], serde_json::json!({"path": path, "port": "metrics", "scheme": scheme}), "{set}");
            }
            assert!(probe["periodSeconds"].is_u64() && probe.get("enabled").is_none(), "{set}: {probe}");
        }
        let component = |service: &Value| text(service, "/metadata/labels/app.kubernetes.io~1component").to_owned();
        for service in of_kind(objects, "Service").filter(|service| component(service) != "receive") {
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
            // Alerts distinguish two releases of a namespace by it.
            let release = items(endpoint, "/relabelings").find(|relabeling| relabeling["targetLabel"] == "release").unwrap();
            assert_eq!(text(release, "/replacement"), RELEASE[0], "{set}");
        }
        // `helm test` requests the port of a Service.
        let test = of_kind(objects, "Pod").next().unwrap();
        let url = text(test, "/spec/containers/0/args/2");
        let address = |service: &Value| format!("//{}:{}/", text(service, "/metadata/name"), service["spec"]["ports"][0]["port"]);
        assert!(of_kind(objects, "Service").any(|service| url.contains(&address(service))), "{set}: {url}");
    });
}

/// Records reach the pod of each shard, and only that one: another shard would reject them.
#[test]
fn delivery_records_reach_the_pods() {
    each("delivery_records_reach_the_pods", |set, objects| {
        let labels = |object: &Value| object["metadata"]["labels"].clone();
        let receives = |object: &&Value| labels(object)["app.kubernetes.io/component"] == "receive";
        let services: Vec<&Value> = of_kind(objects, "Service").filter(receives).collect();
        if set != "receive" {
            return assert!(services.is_empty(), "{set}");
        }
        let port = items(container(workload(objects)), "/ports").find(|port| port["name"] == "deliveries").unwrap();
        assert_eq!(port["containerPort"], 9475);
        let policy = of_kind(objects, "NetworkPolicy").next().unwrap();
        let rule = items(policy, "/spec/ingress").find(|rule| rule["ports"][0]["port"] == 9475).unwrap();
        assert_eq!(rule["from"][0]["ipBlock"]["cidr"], "192.0.2.0/24");
        let names: Vec<_> = services.iter().map(|service| text(service, "/metadata/name")).collect();
        assert_eq!(names, ["mail-postmeter-receive-0", "mail-postmeter-receive-1"]);
        for (index, service) in services.iter().enumerate() {
            let mut pod = workload(objects)["spec"]["template"]["metadata"]["labels"].clone();
            pod["apps.kubernetes.io/pod-index"] = index.to_string().into();
            assert!(selects(&service["spec"]["selector"], &pod), "{service}");
            pod["apps.kubernetes.io/pod-index"] = "7".into();
            assert!(!selects(&service["spec"]["selector"], &pod), "{service}");
            assert_eq!(
                [&service["spec"]["ports"][0]["port"], &service["spec"]["ports"][0]["targetPort"]],
                [&443.into(), &Value::from("deliveries")]
            );
            assert_eq!(service["spec"]["type"], "LoadBalancer");
        }
    });
}

/// Without shards one Service leads to the pod, also without a pull endpoint.
#[test]
fn one_pod_receives_through_one_service() {
    let Some(helm) = Helm::find("one_pod_receives_through_one_service") else { return };
    for values in ["single", "push"] {
        let path = Path::new(CHART).join(format!("ci/{values}-values.yaml"));
        let set = "config.receive.listen=0.0.0.0:9465";
        let arguments = ["template", RELEASE[0], CHART, "--values", path.to_str().unwrap(), "--set", set];
        let objects = objects(&helm.text(&arguments));
        let services = of_kind(&objects, "Service").filter(|service| text(service, "/metadata/name") == "mail-postmeter-receive");
        let services: Vec<&Value> = services.collect();
        assert_eq!(services.len(), 1, "{values}");
        assert!(selects(&services[0]["spec"]["selector"], &workload(&objects)["spec"]["template"]["metadata"]["labels"]), "{values}");
        assert!(items(container(workload(&objects)), "/ports").any(|port| port["containerPort"] == 9465), "{values}");
        for policy in of_kind(&objects, "NetworkPolicy") {
            assert_eq!(policy["spec"]["ingress"], serde_json::json!([{"ports": [{"port": 9465, "protocol": "TCP"}]}]), "{values}");
        }
    }
}

/// A label that several values set is written once, and none replaces what selectors need. YAML with a key twice is invalid.
#[test]
fn labels_of_several_values_are_written_once() {
    each("labels_of_several_values_are_written_once", |set, objects| {
        if set != "receive" {
            return;
        }
        let team = |object: &Value| text(object, "/metadata/labels/team").to_owned();
        let template = &workload(objects)["spec"]["template"];
        assert_eq!([team(workload(objects)), team(template)], ["mail", "metrics"]);
        assert_eq!(text(template, "/metadata/annotations/checksum~1config").len(), 64);
        for kind in ["PodMonitor", "PrometheusRule"] {
            assert!(of_kind(objects, kind).all(|object| team(object) == "monitoring"), "{kind}");
        }
        let metrics = |service: &&Value| service["metadata"]["labels"]["app.kubernetes.io/component"] == "metrics";
        assert_eq!(of_kind(objects, "Service").filter(metrics).count(), 1);
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
