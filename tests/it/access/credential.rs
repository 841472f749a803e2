//! Tokens, passwords and trusted addresses.

use crate::access::common::{ONE, TWO, TestEndpoint, basic, bcrypt_hash, prometheus, sha256};

const TOKEN: &str = "pmt_Zm9yIHRlc3RzIG9ubHksIGFuZCBub3QgYSBzZWNyZXQ";

fn tokens(more: &str) -> String {
    format!(
        "    auth:\n      tokens:\n        - {{name: good, sha256: {}}}\n        - {{name: old, sha256: {}, expires: 2020-01-01}}\n        - {{name: new, sha256: {}, expires: 2999-01-01}}\n{more}",
        sha256(TOKEN),
        sha256("old"),
        sha256("new")
    )
}

#[tokio::test]
async fn without_authentication_all_requests_are_served() {
    let endpoint = TestEndpoint::new("").await;
    for path in ["/metrics", "/metrics.json", "/-/healthy", "/-/ready", "/"] {
        assert_eq!(endpoint.status(ONE, path, &[]).await, 200, "{path}");
    }
    assert_eq!(endpoint.status(ONE, "/nowhere", &[]).await, 404);
    assert!(!endpoint.access.is_closed());
    endpoint.end().await;
}

#[tokio::test]
async fn only_a_valid_token_is_accepted() {
    let endpoint = TestEndpoint::new(&tokens("")).await;
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    let mut flipped = TOKEN.to_owned();
    flipped.replace_range(TOKEN.len() - 1.., "R");
    for (line, expected) in [
        (bearer(TOKEN), 200),
        (bearer("new"), 200),
        (format!("authorization: bearer {TOKEN}"), 200),
        (format!("Authorization: Bearer   {TOKEN}  "), 200),
        (bearer("old"), 401),
        (bearer("wrong"), 401),
        (bearer(&flipped), 401),
        (bearer(&TOKEN[..TOKEN.len() - 1]), 401),
        (bearer(&format!("{TOKEN}A")), 401),
        (bearer(&format!("{TOKEN} {TOKEN}")), 401),
        (bearer(&TOKEN.to_lowercase()), 401),
        (bearer(&sha256(TOKEN)), 401),
        (bearer(""), 401),
        ("Authorization: Bearer".to_owned(), 401),
        (format!("Authorization: {TOKEN}"), 401),
        (format!("Authorization: Token {TOKEN}"), 401),
        (format!("Proxy-Authorization: Bearer {TOKEN}"), 401),
        (format!("Cookie: token={TOKEN}"), 401),
        (basic("good", TOKEN), 401),
        ("Accept: */*".to_owned(), 401),
        (format!("Authorization: Bearer wrong\r\n{}", bearer(TOKEN)), 401),
        (format!("{}\r\nAuthorization: Bearer wrong", bearer(TOKEN)), 401),
    ] {
        assert_eq!(endpoint.status(ONE, "/metrics", &[&line]).await, expected, "{line}");
    }
    assert_eq!(endpoint.status(ONE, &format!("/metrics?token={TOKEN}"), &[]).await, 401);
    for (lines, text) in [(&[][..], "authentication required: a token\n"), (&["Authorization: Bearer wrong"], "invalid token\n")] {
        let refused = endpoint.get(ONE, "/metrics", lines).await;
        assert!(refused.text.ends_with(text), "{}", refused.text);
    }
    // Without a token a client cannot find out which paths exist.
    for path in ["/", "/metrics.json", "/probe?target=a", "/-/healthy", "/-/ready", "/nowhere"] {
        assert_eq!(endpoint.status(ONE, path, &[]).await, 401, "{path}");
    }
    endpoint.end().await;
}

#[tokio::test]
async fn a_refusal_has_the_accepted_schemes_and_the_reason() {
    let keys = tokens(&format!("      basic: {{alice: {}}}\n", bcrypt_hash("a")));
    let endpoint = TestEndpoint::new(&keys).await;
    let without = endpoint.get(ONE, "/metrics", &[]).await;
    assert_eq!(without.header("WWW-Authenticate"), ["Bearer realm=\"postmeter\"", "Basic realm=\"postmeter\", charset=\"UTF-8\""]);
    let wrong = endpoint.get(ONE, "/metrics", &["Authorization: Bearer wrong"]).await;
    assert_eq!(wrong.header("WWW-Authenticate")[0], "Bearer realm=\"postmeter\", error=\"invalid_token\"");
    let old = endpoint.get(ONE, "/metrics", &["Authorization: Bearer old"]).await;
    assert!(old.text.ends_with("the token has expired\n"), "{}", old.text);
    let page = endpoint.get(ONE, "/metrics", &[&format!("Authorization: Bearer {TOKEN}")]).await;
    for (reason, expected) in [("unauthenticated", 2.0), ("token_expired", 1.0)] {
        assert_eq!(page.refusals(reason), Some(expected), "{}", page.text);
    }
    endpoint.end().await;
}

#[tokio::test]
async fn the_last_use_of_a_token_is_shown_but_not_the_token() {
    let endpoint = TestEndpoint::new(&tokens("")).await;
    let before = jiff::Timestamp::now().as_second();
    let line = format!("Authorization: Bearer {TOKEN}");
    endpoint.get(ONE, "/metrics", &["Authorization: Bearer old"]).await;
    let page = endpoint.get(ONE, "/metrics", &[&line]).await;
    let used = page.value("postmeter_token_last_used_timestamp_seconds", "postmeter_token_name=\"good\"").unwrap();
    assert!(used >= before as f64 && used <= jiff::Timestamp::now().as_second() as f64, "{used}");
    assert!(!page.text.contains("postmeter_token_name=\"old\""));
    let tokens = endpoint.access.tokens();
    assert_eq!(tokens.iter().map(|token| token.name.as_str()).collect::<Vec<_>>(), ["good", "old", "new"]);
    assert_eq!(tokens.iter().map(|token| token.last_used.is_some()).collect::<Vec<_>>(), [true, false, false]);
    let page = endpoint.get(ONE, "/", &[&line]).await.text;
    assert!(
        page.contains("<th scope=\"row\">good</th><td><time")
            && page.contains("not since startup</span></td><td><span class=\"state down\">"),
        "{page}"
    );
    for path in ["/metrics", "/metrics.json", "/"] {
        let page = endpoint.get(ONE, path, &[&line]).await.text;
        assert!(!page.contains(TOKEN) && !page.contains(&sha256(TOKEN)), "{path}");
    }
    assert!(!format!("{:?} {tokens:?}", endpoint.access).contains(&sha256(TOKEN)));
    endpoint.end().await;
}

#[tokio::test]
async fn a_password_is_checked_once() {
    let keys = format!("    auth: {{basic: {{alice: {}, 'bob smith': '{}'}}}}\n", bcrypt_hash("a:b"), bcrypt_hash("pässword"));
    let endpoint = TestEndpoint::new(&keys).await;
    let checks = |page: &crate::access::common::TestResponse| page.value("postmeter_password_checks_total", "").unwrap_or(0.0);
    let alice = basic("alice", "a:b");
    for _ in 0..20 {
        assert_eq!(endpoint.status(ONE, "/metrics", &[&alice]).await, 200);
    }
    assert_eq!(checks(&endpoint.get(ONE, "/metrics", &[&alice]).await), 1.0);
    assert_eq!(endpoint.status(TWO, "/metrics", &[&basic("bob smith", "pässword")]).await, 200);
    for (user, password) in
        [("alice", "a"), ("alice", "A:b"), ("alice", ""), ("Alice", "a:b"), ("bob smith", "a:b"), ("nobody", "a:b"), ("", "")]
    {
        for _ in 0..3 {
            assert_eq!(endpoint.status(ONE, "/metrics", &[&basic(user, password)]).await, 401, "{user} {password}");
        }
    }
    // Each wrong password is checked once, too, also those of unknown users.
    assert_eq!(checks(&endpoint.get(ONE, "/metrics", &[&alice]).await), 9.0);
    for line in ["Authorization: Basic", "Authorization: Basic !!!", "Authorization: Basic YWxpY2U=", "Authorization: Basic /w=="] {
        assert_eq!(endpoint.status(ONE, "/metrics", &[line]).await, 401, "{line}");
    }
    endpoint.end().await;
}

#[tokio::test]
async fn trust_depends_on_the_peer_address_and_not_on_headers() {
    let endpoint = TestEndpoint::new("    auth: {trusted: [127.0.0.2, 192.0.2.0/24, '::1']}\n").await;
    assert_eq!(endpoint.status(TWO, "/metrics", &[]).await, 200);
    for line in [
        "Accept: */*",
        "X-Forwarded-For: 127.0.0.2",
        "X-Forwarded-For: 192.0.2.1, 127.0.0.2",
        "Forwarded: for=127.0.0.2;proto=https",
        "X-Real-IP: 127.0.0.2",
        "X-Client-IP: ::1",
        "True-Client-IP: 127.0.0.2",
        "CF-Connecting-IP: 127.0.0.2",
        "Via: 1.1 127.0.0.2",
        "Authorization: Bearer anything",
    ] {
        assert_eq!(endpoint.status(ONE, "/metrics", &[line]).await, 403, "{line}");
    }
    endpoint.end().await;

    for network in ["127.0.0.2/31", "'::ffff:127.0.0.2/127'", "'::ffff:7f00:2'"] {
        let endpoint = TestEndpoint::new(&format!("    auth: {{trusted: [{network}]}}\n")).await;
        let statuses = (endpoint.status(TWO, "/metrics", &[]).await, endpoint.status(ONE, "/metrics", &[]).await);
        assert_eq!(statuses, (200, 403), "{network}");
        endpoint.end().await;
    }
}

#[tokio::test]
async fn only_configured_paths_are_open() {
    let endpoint = TestEndpoint::new(&tokens("      open: [/-/healthy]\n")).await;
    for (path, expected) in [
        ("/-/healthy", 200),
        ("/-/ready", 401),
        ("/-/healthy/", 401),
        ("//-/healthy", 401),
        ("/-/healthy/../../metrics", 401),
        ("/metrics", 401),
    ] {
        assert_eq!(endpoint.status(ONE, path, &[]).await, expected, "{path}");
    }
    endpoint.end().await;
}

#[tokio::test]
async fn rules_are_replaced_as_a_whole_or_not_at_all() {
    let endpoint = TestEndpoint::new(&tokens("")).await;
    let other = format!("    auth: {{tokens: [{{name: other, sha256: {}}}]}}\n", sha256("other"));
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    endpoint.access.replace(prometheus(&other, endpoint.files.path()).unwrap()).unwrap();
    assert_eq!(endpoint.status(ONE, "/metrics", &[&bearer(TOKEN)]).await, 401);
    assert_eq!(endpoint.status(ONE, "/metrics", &[&bearer("other")]).await, 200);
    assert!(endpoint.access.tokens()[0].last_used.is_some());

    // A key that does not belong to the certificate, which is detected only when both are used.
    let authority = crate::access::authority::Authority::new();
    authority.server_files(endpoint.files.path(), "127.0.0.1");
    let broken = prometheus("    tls: {cert_file: FILES/server.pem, key_file: FILES/server.key}\n", endpoint.files.path()).unwrap();
    crate::access::authority::Authority::new().server_files(endpoint.files.path(), "127.0.0.1");
    authority.certificate_file(endpoint.files.path(), "127.0.0.1");
    let error = endpoint.access.replace(broken).unwrap_err().to_string();
    let [key, certificate] = ["server.key", "server.pem"].map(|name| endpoint.files.path().join(name).display().to_string());
    assert_eq!(error, format!("export.prometheus.tls: key_file {key} is not the key of cert_file {certificate}"));
    assert_eq!(endpoint.status(ONE, "/metrics", &[&bearer("other")]).await, 200);
    assert_eq!(endpoint.status(ONE, "/metrics", &[]).await, 401);
    endpoint.end().await;
}
