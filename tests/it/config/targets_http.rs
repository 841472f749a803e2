//! `targets_http`: its keys, and the lists that a server responds with.

use super::{environment, etc, parse};
use postmeter::config::{Config, Discovery, Environment, Target};
use tempfile::TempDir;

const URL: &str = "https://sd.example.com/jobs/mail/targets?collector_id=pod-1";

fn config_with(text: &str, environment: &Environment) -> Config {
    parse(text, "main.yaml", environment, TempDir::new().unwrap().path()).unwrap()
}

fn config() -> Config {
    config_with(&format!("targets_http: {{url: '{URL}'}}\n"), &environment(&[("MX_TOKEN", "s3cret")]))
}

/// Returns the targets of a list.
#[track_caller]
fn targets(config: &Config, list: &str) -> Vec<Target> {
    let mut discovery = Discovery::read(config);
    discovery.receive(config, Ok(list.to_owned()));
    assert_eq!(discovery.problems().map(|problems| problems.to_string()), None);
    discovery.targets(&config.targets).cloned().collect()
}

/// Returns the problems of a list, without the name of the list in front of each.
#[track_caller]
fn problems(list: &str) -> Vec<String> {
    let config = config();
    let mut discovery = Discovery::read(&config);
    assert!(!discovery.receive(&config, Ok(list.to_owned())));
    let problems = discovery.problems().unwrap().to_string();
    let name = "https://sd.example.com/jobs/mail/targets?collector_id=***: ";
    problems.lines().map(|line| line.strip_prefix(name).unwrap_or_else(|| panic!("{line}")).to_owned()).collect()
}

#[test]
fn labels_are_keys_of_targets_and_other_labels_are_attributes_of_the_resource() {
    // As a Target Allocator responds: one group for each target, with all labels of the discovery.
    let list = r#"[
      {"targets": ["mx2.example.com:8000"], "labels": {
        "__address__": "mx2.example.com:8000", "__metrics_path__": "/metrics", "__scheme__": "https", "__scrape_interval__": "1m",
        "__scrape_timeout__": "10s", "__meta_kubernetes_pod_name": "mx2-0", "__param_target": "x", "job": "mail", "instance": "i",
        "__postmeter_system": "cpanel", "__postmeter_min_interval": "1m", "__postmeter_parts": "[messages]",
        "__postmeter_username": "root", "__postmeter_token": "${env:MX_TOKEN}", "__postmeter_password": "", "datacenter": "fra", "cost": "$5"}},
      {"targets": ["http://mx1.example.com:8000", "192.0.2.7:25", "[2001:db8::1]:80"], "labels": {"__postmeter_system": "kumomta",
        "__postmeter_tls": "{server_name: mx.example.com}", "__postmeter_resource": "{rack: 7, team: mail}", "team": "other"}},
      {"targets": ["mx3.example.com"], "labels": {"__postmeter_system": "prometheus", "__postmeter_name": "third",
        "__postmeter_url": "https://mx3.example.com/probe?target=$x", "__postmeter_headers": "{Authorization: 'Bearer ${env:MX_TOKEN}'}"}},
      {"targets": []}
    ]"#;
    let config = config_with(
        &format!("targets_http: {{url: '{URL}'}}\nstate_dir: /tmp\ndefaults: {{timeout: 7s, resource: {{inherited: 'yes'}}}}\n"),
        &environment(&[("MX_TOKEN", "s3cret")]),
    );
    let targets = targets(&config, list);
    let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    assert_eq!(names, ["192.0.2.7-25", "2001-db8--1--80", "mx1.example.com-8000", "mx2.example.com-8000", "third"]);
    let urls: Vec<&str> = targets.iter().map(|target| target.url.as_str()).collect();
    assert_eq!(
        urls,
        [
            "http://192.0.2.7:25/",
            "http://[2001:db8::1]/",
            "http://mx1.example.com:8000/",
            "https://mx2.example.com:8000/",
            "https://mx3.example.com/probe?target=$x"
        ]
    );
    let [.., mx1, mx2, third] = targets.as_slice() else { panic!("{names:?}") };
    let resource = |target: &Target| target.resource.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    assert_eq!(resource(mx1), ["rack=7", "team=mail"]);
    assert_eq!(resource(mx2), ["cost=$5", "datacenter=fra"]);
    assert_eq!(resource(third), ["inherited=yes"]);
    assert_eq!(mx1.tls.server_name.as_deref(), Some("mx.example.com"));
    assert!(
        mx2.delivery_log.is_some() && mx2.credentials.password.is_none() && mx2.min_interval.as_secs() == 60 && mx2.timeout.as_secs() == 7
    );
    assert_eq!(third.headers[0].1.read().unwrap(), "Bearer s3cret");
    assert_eq!(mx1.origin.to_string(), "https://sd.example.com/jobs/mail/targets?collector_id=***");
}

#[test]
fn credentials_are_references() {
    let etc = etc();
    let list = format!(
        r#"[{{"targets": ["a:1"], "labels": {{"__postmeter_system": "ceymail", "__postmeter_token": "${{env:MX_TOKEN}}"}}}},
            {{"targets": ["b:1"], "labels": {{"__postmeter_system": "ceymail", "__postmeter_token_file": "{0}/secret"}}}},
            {{"targets": ["c:1"], "labels": {{"__postmeter_system": "ceymail", "__postmeter_token": "${{file:{0}/secret}}"}}}}]"#,
        etc.path().display()
    );
    let targets = targets(&config(), &list);
    let tokens: Vec<String> = targets.iter().map(|target| target.credentials.token.as_ref().unwrap().read().unwrap()).collect();
    assert_eq!(tokens, ["s3cret", "s3cret", "s3cret"]);
}

#[test]
fn every_problem_names_its_entry_and_no_problem_quotes_a_secret() {
    let list = r#"[
      {"targets": ["a:1", "a:2"], "labels": {"__postmeter_sytem": "kumomta"}},
      {"targets": ["b:1"], "labels": {"__postmeter_system": "kumota", "__postmeter_timeout": "1"}},
      {"targets": ["c:1"], "labels": {"__postmeter_system": "ceymail", "__postmeter_token": "hunter2"}},
      {"targets": ["d:1"], "labels": {"__postmeter_system": "kumomta", "__postmeter_headers": "{X-A: hunter2}"}},
      {"targets": ["e:1"], "labels": {"__postmeter_system": "kumomta", "__postmeter_parts": "{messages: {token: hunter2}}"}},
      {"targets": ["f:1"], "labels": {"__postmeter_system": "kumomta", "__postmeter_url": "http://${env:MX_TOKEN}.example.com"}},
      {"targets": ["g:1"], "labels": {"__postmeter_system": "kumomta", "__postmeter_tls": "{ca_file: '${file:/etc/passwd}'}"}},
      {"targets": ["h:1", "h:2"], "labels": {"__postmeter_system": "kumomta", "__postmeter_name": "h"}},
      {"targets": ["i:1"], "labels": {"__postmeter_system": "kumomta", "__postmeter_relay": "{include: ["}},
      {"targets": ["j:1"], "labels": {"__postmeter_system": "kumomta", "__postmeter_name": "twice"}},
      {"targets": ["k:1"], "labels": {"__postmeter_system": "kumomta", "__postmeter_name": "twice"}}
    ]"#;
    let problems = problems(list);
    assert!(problems.iter().all(|problem| !problem.contains("hunter2") && !problem.contains("s3cret")), "{problems:#?}");
    let secret = "a label must not contain a secret; refer to it by ${env:NAME}, ${file:PATH}, or a key that ends in _file";
    let reference = "in labels, references are only replaced in passwords, tokens and headers";
    for expected in [
        "[0] a:1: __postmeter_sytem: unknown label; did you mean __postmeter_system?".to_owned(),
        "[0] a:1: __postmeter_system is missing; it names the mail system, such as kumomta".to_owned(),
        "[1] b:1: __postmeter_system: unknown mail system \"kumota\"; did you mean kumomta? A file of systems_files can define it"
            .to_owned(),
        format!("[2] c:1: __postmeter_token: {secret}"),
        format!("[3] d:1: __postmeter_headers.X-A: {secret}"),
        format!("[4] e:1: __postmeter_parts.messages.token: {secret}"),
        format!("[5] f:1: __postmeter_url: {reference}"),
        format!("[6] g:1: __postmeter_tls.ca_file: {reference}"),
        "[7] h:1: __postmeter_name is the name of one target, but the group has 2".to_owned(),
        "[10] k:1: __postmeter_name: twice is also the name of [9] j:1: __postmeter_name".to_owned(),
    ] {
        assert!(problems.contains(&expected), "{expected} is not in {problems:#?}");
    }
    for entry in ["[1] b:1: __postmeter_timeout: ", "[8] i:1: __postmeter_relay: "] {
        assert!(problems.iter().any(|problem| problem.starts_with(entry)), "{entry} is not in {problems:#?}");
    }
    // A group is reported once, however many targets it has.
    assert_eq!(problems.iter().filter(|problem| problem.contains("a:1")).count(), 2, "{problems:#?}");
    assert!(!problems.iter().any(|problem| problem.contains("a:2")), "{problems:#?}");
}

#[test]
fn responses_that_are_not_lists_are_rejected_with_the_form_to_write() {
    for (list, expected) in [
        ("", "the response is empty; a list without targets is []"),
        ("<html>", "the response is not JSON; write "),
        ("null", "the response is not JSON; write "),
        (r#"{"pod-1": {"_link": "/jobs/mail/targets?collector_id=pod-1"}}"#, "the response is a map, not a list; write "),
        (r#"{"pod-1": {}}"#, "(for a Target Allocator, add ?collector_id=NAME to the url)"),
        (r#"[{"targets": "a:1"}]"#, "the response is not a valid list of targets: invalid type: string"),
        (r#"[{"labels": {}}]"#, "missing field `targets`"),
        (r#"[{"targets": ["a:1"], "lables": {}}]"#, "unknown field `lables`"),
        (r#"[{"targets": ["a:1"]}"#, "EOF while parsing a list"),
        (r#"[{"targets": ["a:1"], "labels": {"__postmeter_system": 1}}]"#, "invalid type: integer `1`, expected a string"),
    ] {
        let problems = problems(list);
        assert!(problems.len() == 1 && problems[0].contains(expected), "{list}: {problems:?}");
    }
    let many: Vec<String> = (0..10_001).map(|n| format!("\"mx{n}:80\"")).collect();
    let list = format!(r#"[{{"targets": [{}], "labels": {{"__postmeter_system": "kumomta"}}}}]"#, many.join(","));
    assert_eq!(problems(&list), ["10001 targets exceed the limit of 10000; run several instances"]);
}

#[test]
fn a_failed_request_or_an_invalid_list_keeps_the_targets_and_an_empty_list_removes_them() {
    let config = config_with(
        &format!("targets: [{{name: main, system: kumomta, url: 'http://main.example.com'}}]\ntargets_http: {{url: '{URL}'}}\n"),
        &Environment::default(),
    );
    let mut discovery = Discovery::read(&config);
    let list = |names: &[&str]| {
        let group = |name: &&str| {
            format!(r#"{{"targets": ["{name}:80"], "labels": {{"__postmeter_system": "kumomta", "__postmeter_name": "{name}"}}}}"#)
        };
        Ok(format!("[{}]", names.iter().map(group).collect::<Vec<_>>().join(",")))
    };
    let names = |discovery: &Discovery| discovery.targets(&config.targets).map(|target| target.name.clone()).collect::<Vec<_>>();
    assert!(discovery.receive(&config, list(&["b", "a"])));
    assert_eq!(names(&discovery), ["main", "a", "b"]);
    // The order of a list does not matter.
    assert!(!discovery.receive(&config, list(&["a", "b"])));
    for response in [Err("no connection".to_owned()), Ok("[{]".to_owned()), list(&["a", "main"])] {
        assert!(!discovery.receive(&config, response));
        assert_eq!(names(&discovery), ["main", "a", "b"]);
        let report = discovery.report();
        assert!(report.http_is_failing && report.http_errors == 1 && report.http_failed.is_some() && report.failing == 0);
    }
    // The same problem is counted each time and reported once.
    assert!(!discovery.receive(&config, list(&["a", "main"])));
    let report = discovery.report();
    assert!(report.http_is_failing && report.http_errors == 1 && report.http_failed.is_none());
    // A reload decodes the last valid list again, and the server's problem lasts.
    discovery.receive(&config, Err("no connection".to_owned()));
    discovery = discovery.reread(&config).unwrap();
    assert_eq!((names(&discovery).len(), discovery.problems().is_some()), (3, true));
    assert!(discovery.receive(&config, Ok("[]".to_owned())));
    assert_eq!(names(&discovery), ["main"]);
    let report = discovery.report();
    assert!(!report.http_is_failing && report.http_recovered.is_some() && discovery.problems().is_none());
    // Without the key, the list has no targets.
    discovery.receive(&config, list(&["a"]));
    let without = Config { targets_http: None, ..config.clone() };
    assert_eq!(names(&discovery.reread(&without).unwrap()), ["main"]);
}

#[test]
fn a_reload_whose_defaults_the_list_contradicts_is_rejected() {
    let text = |defaults: &str| format!("targets_http: {{url: '{URL}'}}\n{defaults}");
    let before = config_with(&text(""), &Environment::default());
    let mut discovery = Discovery::read(&before);
    discovery.receive(&before, Ok(r#"[{"targets": ["a:80"], "labels": {"__postmeter_system": "kumomta"}}]"#.to_owned()));
    let after = config_with(&text("defaults: {timeout: 3s}\n"), &Environment::default());
    let next = discovery.reread(&after).unwrap();
    assert_eq!(next.targets(&[]).map(|target| target.timeout.as_secs()).collect::<Vec<_>>(), [3]);
    let clash = config_with(&text("targets: [{name: a-80, system: kumomta, url: 'http://a.example.com'}]\n"), &Environment::default());
    let refused = discovery.reread(&clash).unwrap_err().to_string();
    assert_eq!(refused, "https://sd.example.com/jobs/mail/targets?collector_id=***: a-80 is also the name of a target in main.yaml:2");
}

#[test]
fn the_keys_of_targets_http_are_checked() {
    let etc = etc();
    let problems = |keys: &str| {
        let text = format!("targets_http: {{{keys}}}\n");
        parse(&text, "main.yaml", &Environment::default(), etc.path()).unwrap_err()
    };
    for (keys, expected) in [
        ("interval: 1m", "main.yaml:1: targets_http: url is missing"),
        ("url: sd.example.com", "main.yaml:1: targets_http.url: is not a valid URL: it must begin with http:// or https://"),
        (
            "url: 'http://u:hunter2@sd.example.com'",
            "main.yaml:1: targets_http.url: contains credentials; write them as username and password or token",
        ),
        ("url: 'http://sd', interval: 100ms", "main.yaml:1: targets_http.interval: 100ms is out of range; the limits are 1s to 1h"),
        ("url: 'http://sd', username: u", "main.yaml:1: targets_http: needs both username and password, or neither"),
        (
            "url: 'http://sd', username: u, password: p, token: t",
            "main.yaml:1: targets_http: has a token and a username; remove one of them",
        ),
        ("url: 'http://sd', intervall: 1m", "main.yaml:1: targets_http.intervall: unknown key; did you mean interval?"),
        ("url: 'http://sd', headers: {Host: x}", "main.yaml:1: targets_http.headers.Host: this header is derived from the request"),
        ("url: 'https://sd', tls: {ca_file: /etc/postmeter/broken.pem}", "main.yaml:1: targets_http.tls.ca_file: "),
    ] {
        let problems = problems(keys);
        assert!(problems.contains(expected) && !problems.contains("hunter2"), "{keys}: {problems}");
    }
    let config = config();
    assert!(!format!("{config:?}").contains("pod-1"), "the query may contain a secret");
}

#[test]
fn large_labels_and_aliases_are_rejected_with_short_errors() {
    let list = |name: &str, value: &str| {
        serde_json::json!([{"targets": ["mx1:8000"], "labels": {"__postmeter_system": "kumomta", name: value}}]).to_string()
    };
    let large = "x".repeat(5_000_000);
    let too_large = |name: &str| vec![format!("[0] mx1:8000: {name}: the label is larger than 64KiB; shorten it")];
    assert_eq!(problems(&list("__postmeter_system", &large)), too_large("__postmeter_system"));
    assert_eq!(problems(&list("team", &large)), too_large("team"));
    let name = format!("__postmeter_{}", "x".repeat(20_000));
    let errors = problems(&list(&name, "1"));
    assert!(errors.len() == 1 && errors[0].contains("unknown label") && errors[0].len() < 2000, "{}", errors[0].len());
    let system = problems(&list("__postmeter_system", &"x".repeat(20_000)));
    assert!(system.len() == 1 && system[0].contains("unknown mail system") && system[0].len() < 2000, "{}", system[0].len());
    let bomb = "{a: &a [x,x,x,x,x,x,x,x], b: &b [*a,*a,*a,*a,*a,*a,*a,*a], c: [*b,*b,*b,*b,*b,*b,*b,*b]}";
    let expected = "a value must not begin with * as an alias; write out what it repeats, or put the value in quotes";
    assert_eq!(problems(&list("__postmeter_parts", bomb)), [format!("[0] mx1:8000: __postmeter_parts: {expected}")]);
}
