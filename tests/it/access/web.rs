//! `web_config_file`: the format of the Prometheus exporter-toolkit, applied at startup and when the file changes.

use crate::access::authority::Authority;
use crate::access::common::{FilesLog, ONE, TWO, TestEndpoint, basic, bcrypt_hash, limits, prometheus, until};
use postmeter::config::WebConfig;
use std::fs;
use std::path::Path;

const KEYS: &str = "    web_config_file: FILES/web.yml\n";
/// Allows a file without users.
const OPEN_KEYS: &str = "    web_config_file: FILES/web.yml\n    allow_unprotected: true\n";

async fn start(text: &str) -> TestEndpoint {
    start_with(KEYS, text).await
}

async fn start_with(keys: &str, text: &str) -> TestEndpoint {
    let files = tempfile::tempdir().unwrap();
    fs::write(files.path().join("web.yml"), text).unwrap();
    TestEndpoint::with_limits(keys, limits(), files).await
}

fn users(name: &str, password: &str) -> String {
    format!("basic_auth_users:\n  {name}: {}\n", bcrypt_hash(password))
}

#[tokio::test]
async fn users_and_headers_are_applied() {
    let text = users("alice", "a")
        + "http_server_config:\n  http2: false\n  headers:\n    Strict-Transport-Security: max-age=31536000\n    X-Frame-Options: deny\n    Content-Security-Policy: default-src 'none'\n    X-XSS-Protection: ''\n";
    let endpoint = start(&text).await;
    assert!(endpoint.access.is_closed());
    let refused = endpoint.get(ONE, "/metrics", &[]).await;
    assert_eq!((refused.status, refused.header("WWW-Authenticate")), (401, vec!["Basic realm=\"postmeter\", charset=\"UTF-8\""]));
    let page = endpoint.get(ONE, "/", &[&basic("alice", "a")]).await;
    for response in [&refused, &page] {
        assert_eq!(response.header("Strict-Transport-Security"), ["max-age=31536000"]);
        assert_eq!(response.header("X-Frame-Options"), ["deny"]);
        // Replaces the header of the status page.
        assert_eq!(response.header("Content-Security-Policy"), ["default-src 'none'"]);
        assert!(response.header("X-XSS-Protection").is_empty());
    }
    assert_eq!((page.status, endpoint.status(ONE, "/", &[&basic("alice", "b")]).await), (200, 401));
    endpoint.end().await;
}

#[tokio::test]
async fn a_changed_file_is_applied_but_not_an_invalid_one() {
    let (log, endpoint) = (FilesLog::begin(), start(&users("alice", "a")).await);
    let path = endpoint.files.path().join("web.yml");
    assert_eq!(endpoint.status(ONE, "/metrics", &[&basic("alice", "a")]).await, 200);
    fs::write(&path, users("bob", "b")).unwrap();
    until("bob is accepted", || async { endpoint.status(ONE, "/metrics", &[&basic("bob", "b")]).await == 200 }).await;
    assert_eq!(endpoint.status(ONE, "/metrics", &[&basic("alice", "a")]).await, 401);

    for (invalid, reason) in [
        ("basic_auth_users: {bob: hunter2}\n", "bob"),
        ("basic_auth_user: {}\n", "basic_auth_user"),
        ("[", "web.yml"),
        ("tls_server_config: {cert_file: none.pem, key_file: none.key}\n", "none.pem"),
    ] {
        let error = log.until_rejected(|| fs::write(&path, invalid).unwrap()).await;
        assert!(error.contains(reason), "{invalid}: {error}");
        assert_eq!(endpoint.status(ONE, "/metrics", &[&basic("bob", "b")]).await, 200, "{invalid}");
        assert_eq!(endpoint.status(ONE, "/metrics", &[]).await, 401, "{invalid}");
    }
    log.until_rejected(|| fs::remove_file(&path).unwrap()).await;
    assert_eq!(endpoint.status(ONE, "/metrics", &[]).await, 401);

    // TLS is enabled without a restart, but not disabled. Paths are relative to the web configuration.
    let authority = Authority::new();
    authority.server_files(endpoint.files.path(), "127.0.0.1");
    fs::write(&path, format!("tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n{}", users("bob", "b"))).unwrap();
    until("TLS", || async { endpoint.status(ONE, "/metrics", &[]).await == 0 }).await;
    log.until_rejected(|| fs::write(&path, users("bob", "b")).unwrap()).await;
    assert_eq!(endpoint.status(ONE, "/metrics", &[&basic("bob", "b")]).await, 0);
    endpoint.end().await;
}

#[tokio::test]
async fn a_file_that_loses_its_users_is_not_applied() {
    let (log, endpoint) = (FilesLog::begin(), start(&users("alice", "a")).await);
    let path = endpoint.files.path().join("web.yml");
    for unprotected in
        ["", "# later\n", "basic_auth_users: {}\n", "basic_auth_users:\n", "{}\n", "---\n", "http_server_config: {http2: true}\n"]
    {
        log.until_rejected(|| fs::write(&path, unprotected).unwrap()).await;
        assert_eq!(endpoint.status(ONE, "/metrics", &[]).await, 401, "{unprotected:?}");
        assert_eq!(endpoint.status(ONE, "/metrics", &[&basic("alice", "a")]).await, 200, "{unprotected:?}");
    }
    // A file with users is applied again.
    fs::write(&path, users("bob", "b")).unwrap();
    until("bob is accepted", || async { endpoint.status(ONE, "/metrics", &[&basic("bob", "b")]).await == 200 }).await;
    endpoint.end().await;

    let endpoint = start_with(OPEN_KEYS, &users("alice", "a")).await;
    fs::write(endpoint.files.path().join("web.yml"), "").unwrap();
    until("authentication is disabled", || async { endpoint.status(ONE, "/metrics", &[]).await == 200 }).await;
    endpoint.end().await;
}

#[test]
fn a_file_without_users_is_rejected_at_startup() {
    let files = tempfile::tempdir().unwrap();
    Authority::new().server_files(files.path(), "127.0.0.1");
    for text in ["", "# nothing\n", "tls_server_config: {cert_file: server.pem, key_file: server.key}\n"] {
        fs::write(files.path().join("web.yml"), text).unwrap();
        let error = prometheus(KEYS, files.path()).unwrap_err();
        assert!(error.starts_with("postmeter.yaml:5: export.prometheus.web_config_file: the file has no basic_auth_users"), "{error}");
        assert!(prometheus(OPEN_KEYS, files.path()).is_ok(), "{text}");
        assert!(prometheus(&format!("{KEYS}    auth: {{trusted: [192.0.2.1]}}\n"), files.path()).is_ok(), "{text}");
        assert!(prometheus(&format!("{KEYS}    auth: {{trusted: [0.0.0.0/0]}}\n"), files.path()).is_err(), "{text}");
    }
}

#[tokio::test]
async fn an_edit_between_reading_and_applying_a_reload_is_not_lost() {
    let endpoint = start(&users("alice", "a")).await;
    let reloaded = prometheus(KEYS, endpoint.files.path()).unwrap();
    fs::write(endpoint.files.path().join("web.yml"), users("bob", "b")).unwrap();
    endpoint.access.replace(reloaded).unwrap();
    until("bob is accepted", || async { endpoint.status(ONE, "/metrics", &[&basic("bob", "b")]).await == 200 }).await;
    assert_eq!(endpoint.status(ONE, "/metrics", &[&basic("alice", "a")]).await, 401);
    endpoint.end().await;
}

#[tokio::test]
async fn auth_open_applies_to_users_of_the_file() {
    let files = tempfile::tempdir().unwrap();
    fs::write(files.path().join("web.yml"), users("alice", "a")).unwrap();
    let endpoint = TestEndpoint::with_limits(&format!("{KEYS}    auth: {{open: [/-/healthy]}}\n"), limits(), files).await;
    assert_eq!((endpoint.status(ONE, "/-/healthy", &[]).await, endpoint.status(ONE, "/-/ready", &[]).await), (200, 401));
    assert_eq!(endpoint.status(ONE, "/metrics", &[&basic("alice", "a")]).await, 200);
    endpoint.end().await;
}

#[tokio::test]
async fn a_certificate_error_names_the_file() {
    let endpoint = start_with(OPEN_KEYS, "").await;
    let at = |name: &str| endpoint.files.path().join(name).display().to_string();
    let authority = Authority::new();
    authority.server_files(endpoint.files.path(), "127.0.0.1");
    fs::write(at("web.yml"), "tls_server_config: {cert_file: server.pem, key_file: server.key}\n").unwrap();
    let config = prometheus(OPEN_KEYS, endpoint.files.path()).unwrap();
    authority.certificate_file(endpoint.files.path(), "127.0.0.1");
    let error = endpoint.access.replace(config).unwrap_err().to_string();
    let [web, key, certificate] = [at("web.yml"), at("server.key"), at("server.pem")];
    assert_eq!(error, format!("{web}: tls_server_config: key_file {key} is not the key of cert_file {certificate}"));
    endpoint.end().await;
}

#[tokio::test]
async fn its_rate_limit_applies_to_all_clients_together() {
    let endpoint = start_with(OPEN_KEYS, "rate_limit: {interval: 1m, burst: 2}\n").await;
    assert_eq!((endpoint.status(ONE, "/metrics", &[]).await, endpoint.status(TWO, "/metrics", &[]).await), (200, 200));
    for client in [ONE, TWO] {
        let refused = endpoint.get(client, "/metrics", &[]).await;
        assert_eq!(refused.status, 429);
        let wait: u64 = refused.header("Retry-After")[0].parse().unwrap();
        assert!((50..=60).contains(&wait), "{wait}");
    }
    endpoint.end().await;
}

#[test]
fn conflicts_with_other_keys_are_errors() {
    let files = tempfile::tempdir().unwrap();
    fs::write(files.path().join("web.yml"), users("alice", "a")).unwrap();
    let with = |keys: &str| prometheus(&format!("{KEYS}{keys}"), files.path());
    assert!(with("    auth: {trusted: [::1]}\n    rate_limit: {per_minute: 12}\n").is_ok());
    assert!(with("    auth: {open: [/-/healthy]}\n").is_ok());
    for empty in ["{}", "{open: []}"] {
        let error = with(&format!("    auth: {empty}\n")).unwrap_err();
        assert!(error.starts_with("postmeter.yaml:6: export.prometheus.auth: allows no client; add tokens, basic or trusted"), "{error}");
    }
    let error = with("    auth: {basic: {bob: $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG}}\n").unwrap_err();
    assert_eq!(
        error,
        "postmeter.yaml:6: export.prometheus.auth: basic excludes web_config_file, which has basic_auth_users; remove one of them"
    );
}

/// Parses documents that the toolkit accepts, and documents that it rejects.
#[test]
fn the_format_is_that_of_the_exporter_toolkit() {
    let files = tempfile::tempdir().unwrap();
    Authority::new().server_files(files.path(), "127.0.0.1");
    Authority::new().ca_file(files.path());
    let path = files.path().join("web.yml");
    let load = |text: &str| {
        fs::write(&path, text).unwrap();
        WebConfig::load(Path::new(&path)).map_err(|problems| problems.to_string().replace(&path.display().to_string(), "web.yml"))
    };
    let pair = "cert_file: server.pem, key_file: server.key";
    let inline = |name: &str| fs::read_to_string(files.path().join(name)).unwrap().replace('\n', "\n    ");
    let pasted = format!("tls_server_config:\n  cert: |\n    {}\n  key: |\n    {}\n", inline("server.pem"), inline("server.key"));
    for valid in [
        "",
        "tls_server_config: {}\n",
        "tls_server_config: {min_version: TLS12}\n",
        "http_server_config: {http2: true}\n",
        "rate_limit: {interval: 0}\n",
        "rate_limit: {interval: 0s, burst: 0}\n",
        "rate_limit: {interval: \"1s\", burst: 20}\n",
        "basic_auth_users: {a: $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG, '${env}': $2b$04$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG}\n",
        &pasted,
        &format!(
            "tls_server_config: {{{pair}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, client_allowed_sans: [a]}}\n"
        ),
        &format!(
            "tls_server_config: {{{pair}, min_version: TLS10, max_version: TLS13, prefer_server_cipher_suites: true, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_RSA_WITH_AES_128_CBC_SHA], curve_preferences: [CurveP256, CurveP521]}}\n"
        ),
    ] {
        assert!(load(valid).is_ok(), "{valid} {:?}", load(valid).err());
    }
    let (config, warnings) = load(&pasted).unwrap();
    assert!(config.tls.is_some() && warnings.is_empty());
    assert!(!format!("{config:?}").contains("PRIVATE KEY"));
    for (invalid, expected) in [
        (
            "basic_auth_users: {a: hunter2}\n",
            "web.yml:1: basic_auth_users.a: is not a bcrypt hash; htpasswd -nBC 10 USER prints one, beginning with $2y$",
        ),
        (
            "http_server_config: {headers: {X-Other: a}}\n",
            "web.yml:1: http_server_config.headers.X-Other: unknown key; expected one of: Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, X-XSS-Protection, Content-Security-Policy",
        ),
        (
            "http_server_config: {headers: {X-Frame-Options: DENY}}\n",
            "web.yml:1: http_server_config.headers.X-Frame-Options: unknown value DENY; expected one of: deny, sameorigin",
        ),
        ("rate_limit: {interval: 1s}\n", "web.yml:1: rate_limit: burst is missing, which means 0: every request would be rejected"),
        ("tls_server_config: {cert_file: server.pem}\n", "web.yml:1: tls_server_config: key_file is missing"),
        (
            "tls_server_config: {client_auth_type: Yes}\n",
            "web.yml:1: tls_server_config.client_auth_type: unknown value Yes; expected one of: NoClientCert, RequestClientCert, RequireAnyClientCert, RequireClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert",
        ),
        ("junk\n", "web.yml:1: expected a map, found a single value"),
        ("a: b\n", "web.yml:1: a: unknown key; expected one of: tls_server_config, http_server_config, basic_auth_users, rate_limit"),
    ] {
        let error = load(invalid).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}
