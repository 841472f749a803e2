//! Typical mistakes in a configuration file. Each message names the place, the cause and the remedy.

use postmeter::config::{Environment, parse};

/// A mistake, and what its message must contain: the place, the cause and the remedy.
struct Mistake {
    file: String,
    place: &'static str,
    cause: &'static str,
    remedy: &'static str,
}

/// A mistake in the keys of a target whose other keys are right.
fn target(keys: &str, place: &'static str, cause: &'static str, remedy: &'static str) -> Mistake {
    let has = |key: &str| keys.contains(&format!("{key}: "));
    let mut all = vec!["name: a".to_owned()];
    all.retain(|_| !has("name"));
    if !has("system") && !has("type") {
        all.push("system: kumomta".to_owned());
    }
    if !has("url") && !has("host") {
        all.push("url: 'https://a.example.com'".to_owned());
    }
    all.push(keys.to_owned());
    file(&format!("targets:\n  - {{{}}}\n", all.join(", ")), place, cause, remedy)
}

/// A mistake at the top of a file that has a right target.
fn top(text: &str, place: &'static str, cause: &'static str, remedy: &'static str) -> Mistake {
    file(&format!("targets: [{{name: a, system: kumomta, url: 'https://a.example.com'}}]\n{text}\n"), place, cause, remedy)
}

/// A mistake in the delivery records of a target, in a file that has all that records need.
fn records(system: &str, keys: &str, place: &'static str, cause: &'static str, remedy: &'static str) -> Mistake {
    let top = "state_dir: /var/lib/postmeter\nreceive: {listen: '127.0.0.1:9465'}\n";
    file(&format!("{top}targets: [{{name: a, system: {system}, parts: {{deliveries: {keys}}}}}]\n"), place, cause, remedy)
}

fn file(text: &str, place: &'static str, cause: &'static str, remedy: &'static str) -> Mistake {
    Mistake { file: text.to_owned(), place, cause, remedy }
}

fn mistakes() -> Vec<Mistake> {
    let whm = "system: cpanel, url: 'https://a.example.com:2087', username: root, token: t";
    vec![
        // Syntax.
        file("", "postmeter.yaml", "is empty", "needs targets"),
        file("targets:\n\t- name: a\n", ":2:", "tab", "spaces"),
        file("targets:\n  - name:a\n    system: kumomta\n", ":3:", "space is missing after the colon", "line 2"),
        file("targets:\n  - name: a\n    token:abc\n    url: x\n", ":3:", "space is missing", "after the colon"),
        file("targets:\n  - name: a\n    token\n    url: x\n", ":3:", "colon is missing", "after the key"),
        file("targets\n  - name: a\n", ":2:", "colon is missing", "line 1"),
        file("targets:\n  - name: a\n      system: kumomta\n", ":3:", "indented further", "align"),
        file("targets:\n  - name: a\n   system: kumomta\n", ":3:", "indentation does not match", "align"),
        file("targets:\n  - name: a\n    token: \"abc\n    system: x\n", ":4:", "quote", "closed"),
        file("targets:\n  - {name: a, system: kumomta\n", ":2:", "unclosed bracket", "'{'"),
        file("targets: [{name: a}\n", ":1:", "unclosed bracket", "'['"),
        file("targets:\n  - name: a\n    password: abc: def\n", ":3:", "a colon and a space", "in quotes"),
        file("targets:\n  - name: a\n    password: @abc\n", ":3:", "must not begin with @", "in quotes"),
        file("targets:\n  - name: a\n    password: %abc\n", ":3:", "must not begin with %", "in quotes"),
        file("targets:\n  - name: a\n    token: *abc\n", ":3:", "begins with *", "in quotes"),
        file("targets:\n\u{a0} - name: a\n", ":2:", "no-break space", "replace it by a space"),
        target("name: \u{201c}b\u{201d}", "targets[0].name", "typographic quote", "straight quotes"),
        file("targets: []\ntargets: []\n", ":2:", "duplicate key", "targets"),
        file("targets: []\n---\na: b\n", ":3:", "second document", "only one"),
        file("hello\n", ":1:", "expected a map", "write {targets: ...}"),
        // The shape of values.
        file("targets: {name: a}\n", "targets", "expected a list, found a map", "write a dash before each item"),
        file("targets:\n  - a\n", "targets[0]", "expected a map", "- {name: ..., system: ..., url: ...}"),
        file("targets: []\n", "targets", "no targets", "to poll"),
        target("tls: true", "targets[0].tls", "expected a map", "write tls: {ca_file: ...}"),
        target("name: [a]", "targets[0].name", "expected a string", "found a list"),
        target("detail: domain", "targets[0].detail", "expected a map", "write detail: {by: ...}"),
        top("export: otlp", "export", "expected a map", "write export: {otlp: ...}"),
        top("export: {otlp: yes}", "export.otlp", "expected true, false or a map", "write true for the defaults"),
        top("reload: true", "reload", "expected a map", "write reload: {"),
        // Names of keys.
        target("user: b", "targets[0].user", "unknown key", "username"),
        target("pass: b", "targets[0].pass", "unknown key", "password"),
        target("api_key: b", "targets[0].api_key", "unknown key", "token"),
        target("interval: 5s", "targets[0].interval", "unknown key", "min_interval"),
        target("scrape_interval: 5s", "targets[0].scrape_interval", "unknown key", "min_interval"),
        target("type: kumomta", "targets[0].type", "unknown key", "system"),
        target("host: a.example.com", "targets[0].host", "unknown key", "url"),
        target("timeouts: 5s", "targets[0].timeouts", "unknown key", "timeout"),
        target("insecure: true", "targets[0].insecure", "unknown key", "expected one of"),
        target("labels: {a: b}", "targets[0].labels", "unknown key", "resource"),
        target("colour: red", "targets[0].colour", "unknown key", "expected one of"),
        top("exporters: {}", "exporters", "unknown key", "export"),
        top("receivers: {}", "receivers", "unknown key", "targets"),
        top("export: {push: {}}", "export.push", "unknown key", "otlp"),
        top("export: {otlp: {url: 'http://c:4317'}}", "export.otlp.url", "unknown key", "expected one of"),
        top("export: {otlp: {endpiont: 'http://c:4317'}}", "export.otlp.endpiont", "unknown key", "endpoint"),
        top("export: {prometheus: {port: 9464}}", "export.prometheus.port", "unknown key", "listen"),
        top("default: {}", "default", "unknown key", "defaults"),
        file("target:\n  - {name: a}\n", "target", "unknown key", "targets"),
        // Targets.
        file("targets: [{system: kumomta, url: 'https://a'}]\n", "targets[0]", "name is missing", ""),
        file("targets: [{name: a, url: 'https://a'}]\n", "targets[0]", "system is missing", ""),
        file("targets: [{name: a, system: kumomta}]\n", "targets[0]", "url is missing", ""),
        target("name: 'a b'", "targets[0].name", "not a valid name", "use up to 100 letters"),
        target("system: whm", "targets[0].system", "unknown mail system", "cpanel"),
        target("system: kumo", "targets[0].system", "unknown mail system", "kumomta"),
        target("system: exchange", "targets[0].system", "unknown mail system", "expected one of"),
        target("url: a.example.com", "targets[0].url", "not a valid URL", "must begin with http:// or https://"),
        target("url: 'a.example.com:8000'", "targets[0].url", "not a valid URL", "http:// or https://"),
        target("url: 'ftp://a.example.com'", "targets[0].url", "scheme ftp is not supported", "use http or https"),
        target("url: 'https://u:p@a.example.com'", "targets[0].url", "contains credentials", "username and password"),
        target("url: 'https://a.example.com:99999'", "targets[0].url", "not a valid URL", "port"),
        target("url: 'https://a.example.com/?x=1'", "targets[0].url", "may only contain", "adds the query itself"),
        target(
            "url: 'http://a.example.com:8000/metrics.json'",
            "targets[0].url",
            "contains /metrics.json",
            "write http://a.example.com:8000",
        ),
        target("url: 'http://a.example.com:8000/metrics/'", "targets[0].url", "contains /metrics", "write http://a.example.com:8000"),
        target(
            "system: stalwart, username: u, password: p, url: 'https://a.example.com/mail/metrics/prometheus'",
            "targets[0].url",
            "contains /metrics/prometheus",
            "write https://a.example.com/mail",
        ),
        target(
            "system: cpanel, username: u, token: t, url: 'https://a.example.com:2087/json-api/version'",
            "targets[0].url",
            "contains /json-api/version",
            "write https://a.example.com:2087",
        ),
        target(
            "system: ceymail, token: t, url: 'https://a.example.com/api/stats/metrics'",
            "targets[0].url",
            "/api/stats/metrics",
            "write https://a.example.com",
        ),
        target("system: ceymail", "targets[0]", "ceymail needs", "token (or token_file)"),
        target("system: cpanel", "targets[0]", "cpanel needs", "username and token"),
        target("system: ceymail, token: ''", "targets[0].token", "the secret is empty", ""),
        target("token: t, token_file: f", "targets[0].token_file", "token is set as well", "remove one of them"),
        target("token_file: /nonexistent/token", "targets[0].token_file", "cannot read /nonexistent/token", "No such file"),
        target("token: $KUMO_TOKEN", "targets[0].token", "a $ that begins a name is not replaced", "${env:NAME}"),
        target("username: u, password: 'pa$word'", "targets[0].password", "a $ that begins a name", "$$ for a dollar sign"),
        target("token: '${KUMO_TOKEN}'", "targets[0].token", "unknown reference", "${env:NAME}"),
        target("token: '${env:KUMO_TOKEN'", "targets[0].token", "not closed", "$$"),
        target("token: '${env:KUMO_TOKEN}'", "targets[0].token", "environment variable KUMO_TOKEN is not set", "--env-file"),
        target("headers: {Authorization: 'Bearer $TOKEN'}", "targets[0].headers.Authorization", "a $ that begins a name", "${env:NAME}"),
        target("timeout: 5", "targets[0].timeout", "5 has no unit", "5s"),
        target("timeout: fast", "targets[0].timeout", "not a valid duration", "10s"),
        target("timeout: 1h", "targets[0].timeout", "out of range", "the limits are"),
        target("body_bytes_max: 5MB", "targets[0].body_bytes_max", "unknown unit", "write 5MiB"),
        target("window: {today: UTC}", "targets[0].window", "does not report totals of a time window", "remove the key"),
        target(&format!("{whm}, window: {{today: Europe/Berlinn}}"), "targets[0].window.today", "unknown time zone", "Europe/Berlin"),
        target(&format!("{whm}, window: yesterday"), "targets[0].window", "expected a map", "write window: {today: ...}"),
        target(&format!("{whm}, window: {{}}"), "targets[0].window", "needs today with a time zone", "or sliding"),
        target(&format!("{whm}, parts: [mail_queue]"), "targets[0].parts.mail_queue", "no part mail_queue", "fetch_mail_queue"),
        target(&format!("{whm}, parts: {{services: }}"), "targets[0].parts.services", "no part services", "servicestatus"),
        target("parts: [machine-info, machine-info]", "targets[0].parts", "duplicate name", "machine-info"),
        target("tls: {ca_file: /nonexistent/ca.pem}", "targets[0].tls.ca_file", "/nonexistent/ca.pem", "No such file"),
        target("tls: {cert_file: /nonexistent/c.pem}", "targets[0].tls", "cert_file needs key_file", ""),
        target(
            "system: mailgun, username: api, password: k, url: 'https://api.example.com', window: today",
            "targets[0].window",
            "reports sums of whole hours",
            "remove the key",
        ),
        target(
            "system: postmark, token: t, url: 'https://api.example.com', window: {sliding: 1h}",
            "targets[0].window.sliding",
            "reports sums of whole days",
            "set today to a time zone",
        ),
        target("relay: {include: '('}", "targets[0].relay.include", "", "unclosed group"),
        target("format: xml", "targets[0].format", "no format xml", "expected one of: json, text"),
        file(
            "targets: [{name: a, system: kumomta, url: 'https://a'}, {name: a, system: kumomta, url: 'https://b'}]\n",
            "targets[1].name",
            "is also the name of targets[0]",
            "",
        ),
        // Exporters.
        top("export: {otlp: {endpoint: 'collector:4317'}}", "export.otlp.endpoint", "has no scheme", "write http://collector:4317"),
        top("export: {otlp: {endpoint: collector}}", "export.otlp.endpoint", "has no scheme", "https://collector"),
        top("export: {otlp: {endpoint: 'http://c:4318'}}", "export.otlp.endpoint", "port 4318", "set protocol: http/protobuf"),
        top(
            "export: {otlp: {protocol: http/protobuf, endpoint: 'http://c:4317'}}",
            "export.otlp.endpoint",
            "port 4317",
            "set protocol: grpc",
        ),
        top("export: {otlp: {endpoint: 'http://c:4317/v1/metrics'}}", "export.otlp.endpoint", "gRPC has no path", "write http://c:4317"),
        top("export: {otlp: {endpoint: 'https://c/otlp'}}", "export.otlp.endpoint", "gRPC has no path", "protocol: http/protobuf"),
        top("export: {otlp: {protocol: http}}", "export.otlp.protocol", "unknown value http", "http/protobuf"),
        top("export: {otlp: {compression: zip}}", "export.otlp.compression", "unknown value zip", "gzip"),
        top("export: {otlp: {spool: {}}}", "export.otlp.spool", "dir is missing", ""),
        top("export: {prometheus: {listen: '9464'}}", "export.prometheus.listen", "9464", "port"),
        top("export: {prometheus: {auth: {basic: {a: hunter2}}}}", "export.prometheus.auth.basic.a", "bcrypt", ""),
        target("system: ceymail, token: Bearer x", "targets[0]", "token begins with Bearer", "remove the word"),
        target("system: ceymail, token: bearer x", "targets[0]", "which Postmeter adds itself", "remove the word"),
        target("system: cpanel, username: u, token: 'WHM u:x'", "targets[0]", "token begins with whm", "remove the word"),
        target("token_file: ~/token", "targets[0].token_file", "a ~ is not replaced", "write the whole path"),
        target("tls: {ca_file: ~/ca.pem}", "targets[0].tls.ca_file", "a ~ is not replaced", "write the whole path"),
        target("url: {{ .Values.url }}", ":2:", "begins with { is a map", "in quotes"),
        target("relay: {exclude: '*_bucket'}", "targets[0].relay.exclude", "not a valid regular expression", "write .* for any text"),
        target("headers: 'X-Tenant=a'", "targets[0].headers", "expected a map, found a single value", "write headers: {NAME: value}"),
        top("state_dir: ~/state", "state_dir", "a ~ is not replaced", "write the whole path"),
        top("export: {otlp: {spool: {dir: ~/spool}}}", "export.otlp.spool.dir", "a ~ is not replaced", "write the whole path"),
        top("export: {otlp: {headers: 'a=b'}}", "export.otlp.headers", "expected a map", "write headers: {NAME: value}"),
        top("export: {endpoint: 'http://c:4317'}", "export.endpoint", "unknown key", "did you mean otlp?"),
        top("export: {listen: ':9464'}", "export.listen", "unknown key", "did you mean prometheus?"),
        top("export: {prometheus: {listen: 'http://0.0.0.0:9464'}}", "export.prometheus.listen", "is a URL", "port: 0.0.0.0:9464"),
        top("export: {prometheus: {listen: '0.0.0.0:9464/metrics'}}", "export.prometheus.listen", "is a URL", "port: 0.0.0.0:9464"),
        top("export: {prometheus: {listen: '*:9464'}}", "export.prometheus.listen", "* is not a valid host", "write 0.0.0.0:9464"),
        top("health: {listen: 'localhost:13133/-/healthy'}", "health.listen", "is a URL", "port: localhost:13133"),
        top("telemetry: {log_level: verbose}", "telemetry.log_level", "unknown value verbose", "expected one of"),
        // Delivery records.
        records("kumomta", "{}", "deliveries", "every client could send records", "set token or username and password"),
        records("stalwart", "{token: t, username: u}", "deliveries", "needs password", "as well"),
        records("mox", "{token: t, signing_key: k}", "signing_key", "does not sign", "token"),
        records("kumomta", "{log_files: {path: /var/log/kumomta}}", "log_files.path", "kumomta has dir", "rename this key to dir"),
        records(
            "kumomta",
            "{log_files: {dir: /var/log/kumomta, path: /var/log/mail.log}}",
            "log_files.path",
            "kumomta has dir",
            "remove this key",
        ),
        records("postfix", "{log_files: {dir: /var/log}}", "log_files.dir", "postfix has path", "rename this key to path"),
        records("postfix", "{log_files: {}}", "log_files", "path is missing", "the log file"),
        records("kumomta", "{log_files: {}}", "log_files", "dir is missing", "the directory of the segments"),
        records("kumomta", "{log_files: /var/log/kumomta}", "log_files", "expected a map", "dir"),
        records("stalwart", "{log_files: {dir: /var/log/stalwart}}", "log_files", "no log files that can be read", "kumomta"),
        records("postfix", "{token: t}", "deliveries", "sends no requests", "set log_files"),
        file("targets: [{name: a, system: kumomta, parts: {deliveries: {token: t}}}]\n", "deliveries", "needs receive", "the address"),
        file(
            "targets: [{name: a, system: kumomta, parts: {deliveries: {log_files: {dir: /l}}}}]\n",
            "log_files",
            "needs state_dir",
            "a directory",
        ),
    ]
}

#[test]
fn each_typical_mistake_is_explained() {
    let mut unclear = Vec::new();
    let mistakes = mistakes();
    assert!(mistakes.len() >= 90, "{}", mistakes.len());
    for mistake in &mistakes {
        let message = match parse(&mistake.file, "postmeter.yaml", &Environment::default()) {
            Ok(_) => "accepted".to_owned(),
            Err(problems) => problems.to_string(),
        };
        // All three stand in one line.
        let is_clear = |line: &str| [mistake.place, mistake.cause, mistake.remedy].iter().all(|text| line.contains(text));
        if !message.lines().any(is_clear) || message.contains("hunter2") {
            unclear.push(format!(
                "{}place {:?}, cause {:?}, remedy {:?}\n{message}\n",
                mistake.file, mistake.place, mistake.cause, mistake.remedy
            ));
        }
    }
    assert!(unclear.is_empty(), "{} of {}:\n{}", unclear.len(), mistakes.len(), unclear.join("\n"));
}

#[test]
fn base_paths_of_gateways_are_accepted() {
    for (system, path) in [
        ("kumomta", "/api/kumo1"),
        ("kumomta", "/metrics/kumo1"),
        ("kumomta", "/status"),
        ("ceymail", "/cey/stats"),
        ("cpanel", "/json-api-1"),
    ] {
        let text =
            format!("targets: [{{name: a, system: {system}, url: 'https://gw.example.com{path}', username: u, password: p, token: t}}]\n");
        let config = parse(&text, "postmeter.yaml", &Environment::default());
        assert!(config.is_ok(), "{text}{config:?}");
    }
}

#[test]
fn the_short_form_of_a_window_has_the_zone_of_the_system() {
    let defaults = "defaults: {window: {sliding: 1h}}\n";
    let target = |system: &str, window: &str| {
        format!("{{name: {system}, system: {system}, url: 'https://a.example.com', username: u, token: t{window}}}")
    };
    let zone = |text: &str| {
        parse(text, "postmeter.yaml", &Environment::default()).unwrap().targets[0].window.zone().iana_name().map(str::to_owned)
    };
    assert_eq!(
        zone(&format!("targets: [{}]\n", target("postmark", ", window: today"))),
        zone(&format!("targets: [{}]\n", target("postmark", "")))
    );
    // A default that a system does not have is ignored.
    let both = format!("{defaults}targets: [{}, {}]\n", target("cpanel", ""), target("postmark", ""));
    assert!(parse(&both, "postmeter.yaml", &Environment::default()).is_ok());
}

#[test]
fn short_forms_are_accepted() {
    let target = "targets: [{name: a, system: cpanel, url: 'https://a.example.com:2087', username: u, token: t";
    for (text, parts) in [
        (format!("{target}, window: today, parts: [fetch_mail_queue, servicestatus]}}]\nexport: {{otlp: true, prometheus: true}}\n"), 3),
        (format!("{target}, parts: []}}]\nexport: {{otlp: true}}\ntelemetry: {{otlp: true}}\n"), 1),
        (format!("defaults: {{parts: [servicestatus], relay: true}}\n{target}}}]\n"), 2),
    ] {
        let config = parse(&text, "postmeter.yaml", &Environment::default());
        let config = config.unwrap_or_else(|problems| panic!("{text}{problems}"));
        assert_eq!(config.targets[0].parts.len(), parts, "{text}");
        if text.contains("export: {otlp: true") {
            let otlp = config.export.otlp.as_ref().map(|otlp| otlp.endpoint.as_str());
            assert_eq!((otlp, config.export.prometheus.is_some()), (Some("http://localhost:4317"), true), "{text}");
        }
    }
}
