//! The content of the objects and of the package: configuration, secrets, rules, dashboards.

use super::*;
use crate::support::gzip::gzip;

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
    let names = ["deliverability.yml", "mail.yml", "postmeter.yml", "recording.yml"].map(|name| format!("otel-config/alerts/{name}"));
    let groups: Vec<Value> = names.iter().flat_map(|name| yaml(&read(name))["groups"].as_array().unwrap().clone()).collect();
    let count = |groups: &[Value]| groups.iter().map(|group| items(group, "/rules").count()).sum::<usize>();
    each("rules_are_those_of_the_repository", |set, objects| {
        let Some(rule) = of_kind(objects, "PrometheusRule").next() else { return assert!(!["single", "shards", "receive"].contains(&set)) };
        let rendered = rule["spec"]["groups"].as_array().unwrap();
        if set != "shards" {
            return assert_eq!(*rendered, groups, "{set}");
        }
        let unchanged = |name: &str, key: &str| {
            let alerts = groups.iter().flat_map(|group| items(group, "/rules"));
            let alert = alerts.into_iter().find(|rule| rule.get("alert").is_some_and(|alert| alert == name)).unwrap();
            alert["annotations"][key].as_str().unwrap().to_owned()
        };
        assert_eq!(count(rendered), count(&groups) - 2, "{set}: two alerts are disabled");
        for alert in rendered.iter().flat_map(|group| items(group, "/rules")).filter(|rule| rule.get("alert").is_some()) {
            let name = text(alert, "/alert");
            assert!(!["MailLicenceExpiring", "PostmeterIdle"].contains(&name));
            assert_eq!(alert["labels"]["team"], "mail", "{name}");
            assert!(!text(alert, "/labels/severity").is_empty(), "{name}");
            let runbook = text(alert, "/annotations/runbook_url");
            assert_eq!(runbook, format!("https://git.example.com/postmeter/otel-config/alerts/README.md#{}", name.to_lowercase()));
            let expected = unchanged(name, "dashboard_url");
            let expected = expected.replace("{{ with $externalLabels.grafana_url }}{{ . }}", "https://grafana.example.com");
            assert_eq!(text(alert, "/annotations/dashboard_url"), expected.strip_suffix("{{ end }}").unwrap(), "{name}");
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
        if !["single", "shards", "receive"].contains(&set) {
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
    use std::io::Read;
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
    let stored = encode(&gzip(release.as_bytes())).len();
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
        ("config.export.otlp.headers.api-key=abc", "config.export.otlp.headers.api-key contains a secret"),
        ("config.export.otlp.headers.x-honeycomb-team=abc", "config.export.otlp.headers.x-honeycomb-team contains a secret"),
        ("config.targets[0].headers.X-Postmark-Server-Token=abc", "config.targets[0].headers.X-Postmark-Server-Token contains a secret"),
        ("config.defaults.headers.Cookie=abc", "config.defaults.headers.Cookie contains a secret"),
        ("config.targets[0].token=${env:TOKEN:-abc}", "config.targets[0].token contains a secret"),
        ("config.targets[0].parts.deliveries.signing_key=abc", "deliveries.signing_key contains a secret"),
        ("config.targets[0].parts.deliveries.password=abc", "deliveries.password contains a secret"),
        ("config.targets[0].proxy=http://a:b@proxy.example.com:3128", "config.targets[0].proxy contains a password in its URL"),
        ("config.targets[0].url=http://192.0.2.5/metrics?a=b&token=abc", "config.targets[0].url contains a secret in its query"),
        ("config.targets_http.url=https://192.0.2.5/?api_key=${env:KEY:-abc}", "config.targets_http.url contains a secret in its query"),
        ("config.targets_http.url=https://192.0.2.5/?X-Api-Key=abc", "config.targets_http.url contains a secret in its query"),
        ("config.receive.listen=localhost:9465", "config.receive.listen localhost:9465 is a loopback address"),
        ("config.export.prometheus.listen=localhost", "does not end with a port number"),
        ("config.export.otlp.spool.dir=/spool", "config.export.otlp.spool.dir /spool is not writable"),
        ("config.shard=0/2,sharding.shards=2", "config.shard and sharding.shards are both set"),
        ("serviceMonitor.enabled=true,podMonitor.enabled=true", "scraped twice"),
        ("config.export.prometheus=false,podMonitor.enabled=true", "needs the pull endpoint"),
        ("config.export.prometheus.listen=localhost:9464,serviceMonitor.enabled=true", "is a loopback address; use 0.0.0.0 and the port"),
        (
            "config.export.prometheus.listen=127.0.0.1:9464,podMonitor.enabled=true",
            "a PodMonitor needs a pull endpoint that Prometheus reaches",
        ),
        ("config.export.prometheus.listen=[::1]:9464,podMonitor.enabled=true", "is a loopback address"),
        ("prometheusRule.enabled=true,prometheusRule.disabled={MailTargetDown,NoSuch}", "prometheusRule.disabled names NoSuch"),
        ("prometheusRule.enabled=true,prometheusRule.disabled={mailtargetdown}", "prometheusRule.disabled names mailtargetdown"),
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

/// References to secrets, and headers without secrets.
#[test]
fn references_are_not_secrets() {
    let Some(helm) = Helm::find("references_are_not_secrets") else { return };
    let values = Path::new(CHART).join("ci/single-values.yaml");
    for set in [
        "config.targets[0].token_file=/a",
        "config.targets[0].token=${env:TOKEN}",
        "config.targets[0].token=${file:/a}",
        "config.targets[0].parts.deliveries.signing_key_file=/a,config.receive.listen=0.0.0.0:9465",
        "config.targets[0].parts.deliveries.signing_key=${env:KEY:-},config.receive.listen=0.0.0.0:9465",
        "config.targets[0].proxy=http://proxy.example.com:3128",
        "config.targets[0].proxy=http://a:${env:PASSWORD}@proxy.example.com:3128",
        "config.targets[0].headers.on-behalf-of=a",
        "config.export.otlp.headers.Authorization=Basic ${env:AUTH}",
        "config.export.otlp.headers.X-Scope-OrgID=mail",
        "config.export.otlp.headers.x-honeycomb-dataset=mail",
    ] {
        helm.text(&["template", RELEASE[0], CHART, "--values", values.to_str().unwrap(), "--set", set]);
    }
}

/// The values of `--set` that a probe depends on, and the probe that results.
#[test]
fn the_kind_of_probe_follows_the_configuration() {
    let Some(helm) = Helm::find("the_kind_of_probe_follows_the_configuration") else { return };
    let values = Path::new(CHART).join("ci/single-values.yaml");
    for (set, is_exec) in [
        ("config.export.prometheus.listen=localhost:9464,serviceMonitor.enabled=false", true),
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
