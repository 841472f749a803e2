//! OTEL_* variables, which supply keys that are absent from the file.

use super::{MAIL, environment, good, warnings};
use postmeter::config::{self, Compression, Config, Environment, HistogramForm, LogLevel, Protocol, Temporality};
use std::time::Duration;

#[track_caller]
fn check_exporters(file: &str, variables: &[(&str, &str)], otlp: Option<&str>, prometheus: Option<&str>) {
    let config = good(&format!("{MAIL}{file}"), variables);
    assert_eq!(config.export.otlp.map(|otlp| otlp.endpoint).as_deref(), otlp, "otlp");
    assert_eq!(config.export.prometheus.map(|prometheus| prometheus.listen).as_deref(), prometheus, "prometheus");
}

#[test]
fn the_environment_enables_exporters_that_are_absent_from_the_file() {
    const GRPC: Option<&str> = Some("http://localhost:4317");
    const PULL: Option<&str> = Some("localhost:9464");
    const EXPORTER: &str = "OTEL_METRICS_EXPORTER";
    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    check_exporters("", &[], None, PULL);
    check_exporters("", &[(EXPORTER, "")], None, PULL);
    check_exporters("", &[(EXPORTER, "otlp")], GRPC, None);
    check_exporters("", &[(EXPORTER, "prometheus")], None, PULL);
    check_exporters("", &[(EXPORTER, "prometheus, otlp")], GRPC, PULL);
    check_exporters("", &[(EXPORTER, "none")], None, None);
    check_exporters("", &[(EXPORTER, "console")], None, PULL);
    check_exporters("", &[(ENDPOINT, "http://c:4317")], Some("http://c:4317"), PULL);
    check_exporters("", &[(ENDPOINT, "http://c:4317"), (EXPORTER, "prometheus")], None, PULL);
    check_exporters("", &[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m"), (ENDPOINT, "http://c")], Some("http://m"), PULL);
    check_exporters("export: {otlp: {endpoint: 'http://f'}}", &[(ENDPOINT, "http://c"), (EXPORTER, "none")], Some("http://f"), None);
    check_exporters("export: {otlp: }", &[(ENDPOINT, "http://c:4317")], Some("http://c:4317"), PULL);
    check_exporters("export: {otlp: false, prometheus: false}", &[(ENDPOINT, "http://c:4317")], None, None);
    check_exporters("export: {prometheus: {}}", &[(EXPORTER, "otlp"), ("OTEL_EXPORTER_PROMETHEUS_PORT", "1")], GRPC, Some("localhost:1"));
    check_exporters("", &[("OTEL_EXPORTER_PROMETHEUS_HOST", "::"), ("OTEL_EXPORTER_PROMETHEUS_PORT", "x")], None, Some("[::]:9464"));
    check_exporters("export: {prometheus: {listen: 'h:2'}}", &[("OTEL_EXPORTER_PROMETHEUS_HOST", "i")], None, Some("h:2"));
    check_exporters("export: {otlp: {}, prometheus: {}}", &[("OTEL_SDK_DISABLED", "TRUE")], None, None);
}

#[track_caller]
fn check_endpoint(file: &str, variables: &[(&str, &str)], expected: &str) {
    let config = good(&format!("{MAIL}export: {{otlp: {{{file}}}}}"), variables);
    assert_eq!(config.export.otlp.unwrap().endpoint, expected);
}

#[test]
fn an_endpoint_follows_the_specification() {
    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const METRICS: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
    const HTTP: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    check_endpoint("", &[HTTP], "http://localhost:4318/v1/metrics");
    check_endpoint("", &[HTTP, (ENDPOINT, "http://c:4318")], "http://c:4318/v1/metrics");
    check_endpoint("", &[HTTP, (ENDPOINT, "http://c:4318/otlp/")], "http://c:4318/otlp/v1/metrics");
    check_endpoint("", &[HTTP, (METRICS, "http://c:4318/otlp")], "http://c:4318/otlp");
    check_endpoint("", &[HTTP, (METRICS, "http://c:4318")], "http://c:4318");
    check_endpoint("protocol: http/protobuf, endpoint: 'http://c:4318'", &[], "http://c:4318/v1/metrics");
    // The file's endpoint is for all signals, as OTEL_EXPORTER_OTLP_ENDPOINT is.
    for (written, used) in [
        ("http://c:4318/", "http://c:4318/v1/metrics"),
        ("http://c:4318/x", "http://c:4318/x/v1/metrics"),
        ("https://c/otlp", "https://c/otlp/v1/metrics"),
        ("https://c/otlp/", "https://c/otlp/v1/metrics"),
        ("https://c/otlp?key=x", "https://c/otlp/v1/metrics?key=x"),
        ("https://c/otlp/v1/metrics", "https://c/otlp/v1/metrics"),
        ("https://c/otlp/v1/metrics/", "https://c/otlp/v1/metrics"),
        ("https://c/v1/metrics?key=x", "https://c/v1/metrics?key=x"),
        ("https://c/av1/metrics", "https://c/av1/metrics/v1/metrics"),
    ] {
        check_endpoint(&format!("protocol: http/protobuf, endpoint: '{written}'"), &[], used);
        check_endpoint("", &[HTTP, (ENDPOINT, written)], used);
        check_endpoint("", &[HTTP, (METRICS, written)], written);
    }
    check_endpoint("", &[(ENDPOINT, "https://c/otlp")], "https://c/otlp");
    check_endpoint("", &[(ENDPOINT, "c:4317")], "https://c:4317");
    check_endpoint("endpoint: 'c:4317'", &[("OTEL_EXPORTER_OTLP_INSECURE", "true")], "http://c:4317");
    check_endpoint(
        "",
        &[(ENDPOINT, "c:4317"), ("OTEL_EXPORTER_OTLP_METRICS_INSECURE", "true"), ("OTEL_EXPORTER_OTLP_INSECURE", "false")],
        "http://c:4317",
    );
    check_endpoint("endpoint: 'https://c:4317'", &[("OTEL_EXPORTER_OTLP_INSECURE", "true")], "https://c:4317");
}

#[test]
fn an_endpoint_is_displayed_without_secrets() {
    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const HTTP: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    for (endpoint, metrics, logs) in [
        (
            "http://c:4318/receiver/v1/otlp/ZaVnC4dhaV0abcDEF123456789==",
            "http://c:4318/receiver/v1/otlp/***/v1/metrics",
            "http://c:4318/receiver/v1/otlp/***/v1/logs",
        ),
        ("https://c/api/otlp?token=s3cret", "https://c/api/otlp/v1/metrics?token=***", "https://c/api/otlp/v1/logs?token=***"),
    ] {
        let otlp = good(&format!("{MAIL}export: {{otlp: {{}}}}\n"), &[HTTP, (ENDPOINT, endpoint)]).export.otlp.unwrap();
        assert_eq!((otlp.receiver().as_str(), otlp.logs_receiver().as_deref()), (metrics, Some(logs)));
    }
    let problem = config::parse(
        &format!("{MAIL}export: {{otlp: {{endpoint: 'c/ZaVnC4dhaV0abcDEF123456789/v1?k=s3cret'}}}}\n"),
        "postmeter.yaml",
        &Environment::default(),
    )
    .unwrap_err()
    .to_string();
    assert!(problem.contains("write http://c/***/v1?k=*** for a connection without TLS"), "{problem}");
}

#[test]
fn the_environment_supplies_keys_that_are_absent_from_the_file() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x = y"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "3500"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/postmeter/ca.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/etc/postmeter/client.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/etc/postmeter/client.key"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
        ("OTEL_LOG_LEVEL", "DEBUG"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=x,team=mail%2Cops"),
        ("OTEL_SERVICE_NAME", "pm"),
    ];
    let config = good(&format!("{MAIL}export: {{otlp: {{}}}}\ntelemetry: {{otlp: {{}}}}"), &variables);
    let otlp = config.export.otlp.as_ref().unwrap();
    let headers: Vec<_> = otlp.headers.iter().map(|(name, value)| (name.as_str(), value.read().unwrap())).collect();
    assert_eq!(headers, [("api-key", "a b".to_owned()), ("x", "y".to_owned())]);
    assert_eq!((otlp.timeout, otlp.interval), (Duration::from_millis(3500), Duration::from_secs(5)));
    assert_eq!((otlp.compression, otlp.protocol), (Compression::Gzip, Protocol::Grpc));
    assert!(otlp.tls.ca_file.is_some() && otlp.tls.cert_file.is_some() && otlp.tls.key_file.is_some());
    let telemetry = config.telemetry.otlp.as_ref().unwrap();
    assert_eq!((telemetry.timeout, telemetry.interval), (Duration::from_millis(2500), Duration::from_secs(5)));
    assert!(telemetry.traces && telemetry.metrics && telemetry.logs);
    assert_eq!(config.telemetry.log_level, LogLevel::Debug);
    let resource: Vec<_> = config.telemetry.resource.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(resource, [("team", "mail,ops"), ("service.name", "pm")]);
    assert_eq!(warnings(&config), Vec::<String>::new());

    let file = "export: {otlp: {headers: {}, timeout: 1s, compression: none, interval: 7s}}\ntelemetry: {log_level: warn}";
    let config = good(&format!("{MAIL}{file}"), &variables);
    let otlp = config.export.otlp.as_ref().unwrap();
    assert_eq!((otlp.timeout, otlp.interval), (Duration::from_secs(1), Duration::from_secs(7)));
    assert!(otlp.headers.is_empty() && otlp.compression == Compression::None && config.telemetry.log_level == LogLevel::Warn);
}

#[test]
fn the_compression_is_set_by_variables() {
    const ALL: &str = "OTEL_EXPORTER_OTLP_COMPRESSION";
    const METRICS: &str = "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION";
    for (variables, of_export, of_telemetry) in [
        (vec![], Compression::Gzip, Compression::Gzip),
        (vec![(ALL, "none")], Compression::None, Compression::None),
        (vec![(ALL, "zstd")], Compression::Zstd, Compression::Gzip),
        (vec![(ALL, "gzip"), (METRICS, "zstd")], Compression::Zstd, Compression::Gzip),
        (vec![(ALL, "zstd"), (METRICS, "none")], Compression::None, Compression::Gzip),
    ] {
        let config = good(&format!("{MAIL}export: {{otlp: {{}}}}\ntelemetry: {{otlp: {{}}}}"), &variables);
        let used = (config.export.otlp.as_ref().unwrap().compression, config.telemetry.otlp.as_ref().unwrap().compression);
        assert_eq!(used, (of_export, of_telemetry), "{variables:?}");
    }
}

#[test]
fn the_temporality_is_set_by_a_variable_or_a_key() {
    const VARIABLE: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    for (file, variable, expected) in [
        ("otlp: {}", "", Temporality::Cumulative),
        ("otlp: {}", "Delta", Temporality::Delta),
        ("otlp: {}", "LOWMEMORY", Temporality::LowMemory),
        ("otlp: {temporality: cumulative}", "delta", Temporality::Cumulative),
        ("otlp: {temporality: lowmemory}", "", Temporality::LowMemory),
    ] {
        let config = good(&format!("{MAIL}export: {{{file}}}"), &[(VARIABLE, variable)]);
        assert_eq!(config.export.otlp.unwrap().temporality, expected, "{file} {variable}");
    }
    check_ignored(VARIABLE, "deltas", "unknown value deltas; did you mean delta?; the variable is ignored");
}

#[test]
fn the_form_of_histograms_is_set_by_a_variable_or_a_key() {
    const VARIABLE: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
    for (file, variable, expected) in [
        ("otlp: {}", "", HistogramForm::Explicit),
        ("otlp: {}", "explicit_bucket_histogram", HistogramForm::Explicit),
        ("otlp: {}", "Base2_Exponential_Bucket_Histogram", HistogramForm::Exponential),
        ("otlp: {histograms: explicit}", "base2_exponential_bucket_histogram", HistogramForm::Explicit),
        ("otlp: {histograms: exponential}", "", HistogramForm::Exponential),
    ] {
        let config = good(&format!("{MAIL}export: {{{file}}}"), &[(VARIABLE, variable)]);
        assert_eq!(config.export.otlp.unwrap().histograms, expected, "{file} {variable}");
    }
    check_ignored(
        VARIABLE,
        "exponential",
        "unknown value exponential; did you mean base2_exponential_bucket_histogram?; the variable is ignored",
    );
}

#[track_caller]
fn check_ignored(name: &str, value: &str, expected: &str) {
    let config = good(&format!("{MAIL}export: {{otlp: {{}}}}"), &[(name, value)]);
    assert_eq!(warnings(&config), [format!("{name}: {expected}")]);
    let defaults = good(&format!("{MAIL}export: {{otlp: {{}}}}"), &[]);
    assert_eq!(format!("{:?}{:?}", config.export, config.telemetry), format!("{:?}{:?}", defaults.export, defaults.telemetry));
}

#[test]
fn an_invalid_variable_is_ignored_with_a_warning() {
    check_ignored("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "\"10s\" is not a number of milliseconds; the variable is ignored");
    check_ignored("OTEL_METRIC_EXPORT_INTERVAL", "5", "5 milliseconds is out of range; the limits are 1s to 1h; the variable is ignored");
    check_ignored(
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
        "http/json",
        "unknown value http/json; expected one of: grpc, http/protobuf; the variable is ignored",
    );
    check_ignored("OTEL_EXPORTER_OTLP_COMPRESSION", "gzi", "unknown value gzi; did you mean gzip?; the variable is ignored");
    check_ignored("OTEL_EXPORTER_OTLP_ENDPOINT", "http://", "is not a valid URL: empty host; the variable is ignored");
    check_ignored("OTEL_EXPORTER_OTLP_HEADERS", "hunter2", "entry 1 is not key=value; the variable is ignored");
    check_ignored("OTEL_EXPORTER_OTLP_HEADERS", "a=b,c=%ff", "the value of c is not percent-encoded UTF-8; the variable is ignored");
    check_ignored("OTEL_EXPORTER_OTLP_HEADERS", "a=b,c=%+1", "the value of c is not percent-encoded UTF-8; the variable is ignored");
    check_ignored("OTEL_EXPORTER_OTLP_INSECURE", "yes", "\"yes\" is neither true nor false; the variable is ignored");
    check_ignored(
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        "/none",
        "cannot read /none: No such file or directory (os error 2); the variable is ignored",
    );
    check_ignored(
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        "/etc/postmeter/client.pem",
        "requires OTEL_EXPORTER_OTLP_CLIENT_KEY, and vice versa; both are ignored",
    );
    check_ignored("OTEL_EXPORTER_PROMETHEUS_PORT", "94640", "\"94640\" is not a valid port; the variable is ignored");
    check_ignored("OTEL_RESOURCE_ATTRIBUTES", "a", "entry 1 is not key=value; the variable is ignored");
    check_ignored("OTEL_LOG_LEVEL", "loud", "unknown level \"loud\"; the variable is ignored");
    check_ignored("OTEL_SDK_DISABLED", "1", "\"1\" is neither true nor false; the variable is ignored");
    check_ignored("OTEL_METRICS_EXPORTER", "prometeus", "unknown exporter \"prometeus\"; did you mean prometheus?");
}

#[test]
fn the_environment_configures_exports_without_a_file() {
    let config = Config::from_env(&environment(&[("OTEL_METRICS_EXPORTER", "otlp"), ("OTEL_LOG_LEVEL", "none")]));
    assert!(config.targets.is_empty() && config.export.otlp.is_some() && config.export.prometheus.is_none());
    assert_eq!((config.telemetry.log_level, config.telemetry.log_level.name()), (LogLevel::Off, "off"));
}

#[test]
fn variables_that_the_sdk_ignores_are_warnings() {
    let check = |file: &str, variables: &[(&str, &str)]| warnings(&good(&format!("{MAIL}telemetry: {file}"), variables));
    let on = "{otlp: {endpoint: 'http://c:4317'}}";
    for (variables, expected) in [
        (
            &[("OTEL_TRACES_SAMPLER", "always_offf")][..],
            "OTEL_TRACES_SAMPLER: unknown sampler \"always_offf\"; did you mean always_off?; all traces are exported",
        ),
        (&[("OTEL_TRACES_SAMPLER", "always_off")], ""),
        (&[("OTEL_TRACES_SAMPLER", "")], ""),
        (&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.1")], ""),
        (
            &[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")],
            "OTEL_TRACES_SAMPLER: traceidratio needs OTEL_TRACES_SAMPLER_ARG, a number from 0 to 1; without it, all traces are exported",
        ),
        (
            &[("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")],
            "OTEL_TRACES_SAMPLER: parentbased_traceidratio needs OTEL_TRACES_SAMPLER_ARG, a number from 0 to 1; without it, all traces are exported",
        ),
        (
            &[("OTEL_BSP_MAX_QUEUE_SIZE", "x")],
            "OTEL_BSP_MAX_QUEUE_SIZE: \"x\" is not a whole number in the valid range; the variable is ignored",
        ),
        (
            &[("OTEL_BLRP_SCHEDULE_DELAY", "1s")],
            "OTEL_BLRP_SCHEDULE_DELAY: \"1s\" is not a whole number in the valid range; the variable is ignored",
        ),
        (&[("OTEL_BSP_MAX_QUEUE_SIZE", "100")], ""),
    ] {
        let expected: Vec<&str> = Some(expected).filter(|text| !text.is_empty()).into_iter().collect();
        assert_eq!(check(on, variables), expected, "{variables:?}");
        assert_eq!(check("{}", variables), [""; 0], "nothing is exported");
    }
}

#[test]
fn an_invalid_host_is_named_without_the_port_that_completes_it() {
    let warning = |host: &str| warnings(&good(MAIL, &[("OTEL_EXPORTER_PROMETHEUS_HOST", host)]));
    let expected =
        "OTEL_EXPORTER_PROMETHEUS_HOST: \"a b\" is neither an IP address, such as 0.0.0.0, nor the name of a host; the variable is ignored";
    assert_eq!(warning("a b"), [expected]);
}
