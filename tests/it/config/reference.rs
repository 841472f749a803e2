//! The annotated reference file, and other configuration files of the repository.

use super::{ETC, MAIL, etc, good, parse, tokens, warnings};
use postmeter::config::{ClientAuth, Compression, Config, Prometheus, RateLimit, Spool, Window, load};
use postmeter::model::Field;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Loads the reference file.
fn reference() -> (TempDir, Config) {
    let etc = etc();
    let text = fs::read_to_string("otel-config/postmeter.yaml").unwrap();
    let config = parse(&text, "postmeter.yaml", &tokens(), etc.path()).unwrap();
    (etc, config)
}

/// The only warnings of the reference file are those of files that this machine does not have.
#[track_caller]
fn check_warnings(config: &Config) {
    let warnings = warnings(config);
    let is_expected = |text: &String| text.ends_with("/*.yaml matches no file");
    assert!(warnings.len() == 2 && warnings.iter().all(is_expected), "{warnings:?}");
}

#[test]
fn the_reference_file_is_decoded() {
    let (_etc, config) = reference();
    check_warnings(&config);
    let names: Vec<_> = config.targets.iter().map(|target| (target.name.as_str(), target.source.name)).collect();
    let expected = [
        ("cey", "ceymail"),
        ("mta1", "kumomta"),
        ("mail1", "stalwart"),
        ("ee", "emailengine"),
        ("whm1", "cpanel"),
        ("node1", "prometheus"),
    ];
    assert_eq!(names, expected);

    let [cey, mta1, mail1, ee, whm1, node1] = &config.targets[..] else { panic!() };
    assert_eq!(cey.url.as_str(), "https://cey.example.com/");
    assert_eq!(cey.credentials.token.as_ref().unwrap().read().unwrap(), "cey");
    assert_eq!((cey.timeout, cey.min_interval), (Duration::from_secs(10), Duration::from_secs(15)));
    let messages = whm1.delivery_log.as_ref().unwrap();
    assert_eq!((messages.interval, messages.since), (Duration::from_secs(60), Duration::from_secs(3600)));
    assert_eq!((messages.overlap, messages.include.as_slice()), (Duration::from_secs(600), &[Field::Domain, Field::DeliveryDomain][..]));
    assert_eq!(messages.part.credentials.username.as_deref(), Some("root"));
    assert!(whm1.parts.iter().all(|part| part.part.name != "messages"), "the delivery log is not polled");
    assert_eq!(config.state_dir.as_deref(), Some(Path::new("/var/lib/postmeter")));
    assert!(cey.delivery_log.is_none());
    assert_eq!(mta1.parts.iter().map(|part| part.part.name).collect::<Vec<_>>(), ["metrics", "machine-info"]);
    assert_eq!((mta1.format.as_deref(), mta1.body_bytes_max), (Some("text"), Some(64 * 1024 * 1024)));
    assert!(
        mta1.passthrough.includes("ready_count")
            && !mta1.passthrough.includes("scheduled_by_domain")
            && !mta1.passthrough.includes("memory_usage")
    );
    assert_eq!((mta1.passthrough.series_max, mta1.passthrough.min_value("scheduled_count")), (500_000, Some(10.0)));
    assert_eq!((mta1.passthrough.prefix.as_str(), mail1.passthrough.includes("memory_usage")), ("kumomta_", true));
    assert_eq!(mta1.detail.as_ref().map(|detail| (detail.by.key, detail.top)), Some(("mail.destination.domain", 20)));
    assert_eq!(mail1.credentials.username.as_deref(), Some("prometheus"));
    assert_eq!(mail1.parts[0].credentials.password.as_ref().unwrap().read().unwrap(), "s3cret");
    let queue = &mail1.parts[1].credentials;
    assert_eq!((queue.token.as_ref().unwrap().read().unwrap().as_str(), queue.username.is_none()), ("api", true));
    assert_eq!(ee.credentials.token.as_ref().unwrap().read().unwrap(), "s3cret");
    assert_eq!(node1.url.as_str(), "http://192.0.2.8:9100/metrics?collect[]=cpu");
    assert_eq!(whm1.parts.len(), 3);
    assert_eq!(whm1.parts[2].credentials.username.as_deref(), Some("root"));
    assert_eq!((whm1.timeout, whm1.min_interval), (Duration::from_secs(30), Duration::from_secs(60)));
    assert_eq!((whm1.backoff_max, cey.backoff_max), (Duration::from_secs(120), Duration::from_secs(120)));
    assert_eq!(whm1.window, Window::Today(jiff::tz::TimeZone::get("Europe/Berlin").unwrap()));
    assert!(whm1.tls.ca_file.is_some() && whm1.tls.cert_file.is_some() && whm1.tls.key_file.is_some());
    assert_eq!(whm1.tls.server_name.as_deref(), Some("host.example.com"));
    assert_eq!(whm1.headers[0].0, "X-Site");
    assert_eq!(whm1.proxy.as_deref(), Some("http://192.0.2.9:3128"));
    assert_eq!(whm1.resource, [("deployment.environment.name".to_owned(), "production".to_owned())]);
}

#[test]
fn the_reference_file_is_valid_for_the_real_systems() {
    let etc = etc();
    let path = etc.path().join("postmeter.yaml");
    let text = fs::read_to_string("otel-config/postmeter.yaml").unwrap();
    fs::write(&path, text.replace(ETC, &etc.path().display().to_string())).unwrap();
    check_warnings(&load(&path, &tokens()).unwrap());
}

#[test]
fn the_reference_file_shows_authentication() {
    let (_etc, config) = reference();
    let prometheus = config.export.prometheus.unwrap();
    let [token] = &prometheus.auth.tokens[..] else { panic!() };
    assert_eq!((token.name.as_str(), token.expires.unwrap().to_string().as_str()), ("prometheus", "2030-01-31T00:00:00Z"));
    assert_eq!(prometheus.auth.basic.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["alice"]);
    assert_eq!(prometheus.auth.trusted.iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.0.2.7/32", "10.0.0.0/8", "fd00::/8"]);
    assert_eq!(prometheus.auth.open, ["/-/healthy"]);
    assert_eq!(prometheus.rate_limit, Some(RateLimit { per_minute: 12, burst: 4 }));
    let tls = prometheus.tls.unwrap();
    assert_eq!((tls.client_auth, tls.client_allowed_sans), (ClientAuth::RequireAndVerify, vec!["prometheus.example.com".to_owned()]));
    assert_eq!(prometheus.web_config, None);
}

#[test]
fn the_reference_file_shows_the_defaults() {
    let (_etc, mut shown) = reference();
    // The reference shows settings that are absent by default.
    let listen = shown.export.prometheus.take().unwrap().listen;
    shown.export.prometheus = Some(Prometheus::open(listen));
    let config = good(&format!("{MAIL}export: {{otlp: {{}}}}\ntelemetry: {{otlp: {{}}}}\n"), &[]);
    let queue = &mut shown.export.otlp.as_mut().unwrap().queue;
    assert_eq!(queue.retry.give_up_after.take(), Some(Duration::from_secs(24 * 3600)));
    assert_eq!(queue.spool.take(), Some(Spool { dir: "/var/lib/postmeter/spool".into(), max_bytes: 1 << 30 }));
    assert_eq!(shown.reload, config.reload);
    assert_eq!((shown.targets_files.is_empty(), config.targets_files.is_empty()), (false, true));
    assert_eq!(format!("{:?}", shown.export), format!("{:?}", config.export));
    assert_eq!(format!("{:?}", shown.telemetry), format!("{:?}", config.telemetry));
}

#[test]
fn the_configurations_of_the_stack_are_valid() {
    let read = |name: &str| fs::read_to_string(format!("otel-config/{name}")).unwrap();
    let demo = good(&read("demo.yaml"), &[]);
    assert_eq!(demo.targets.len(), 5);
    // The package's file contains no targets until an operator adds some.
    let package = read("systemd/postmeter.yaml");
    let etc = etc();
    let error = parse(&package, "postmeter.yaml", &tokens(), etc.path()).unwrap_err();
    assert!(
        error.contains("targets: there are no targets to poll; add one to targets, or set targets_files or targets_http")
            && error.lines().count() == 1,
        "{error}"
    );
    let with_targets = package.replace("  # - ", "  - ");
    let variables = ["STALWART_PASSWORD", "EE_TOKEN", "CEYMAIL_TOKEN", "WHM_TOKEN"].map(|name| (name, "x"));
    assert_eq!(good(&with_targets, &variables).targets.len(), 5);
}

#[test]
fn the_contract_file_is_valid() {
    let text = fs::read_to_string("tests/fixtures/config/contract.yaml").unwrap();
    let config = good(&text, &[("STALWART_API_KEY", "a"), ("CEYMAIL_TOKEN", "b"), ("WHM_TOKEN", "c")]);
    assert_eq!(config.targets.len(), 5);
    let otlp = config.export.otlp.as_ref().unwrap();
    assert_eq!((otlp.endpoint.as_str(), otlp.compression), ("http://localhost:4317", Compression::Gzip));
    assert_eq!(warnings(&config), [""; 0]);
    assert!(config.targets[2].sends_plain_credentials());
}
