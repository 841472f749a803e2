//! Errors whose advice depends on details of the response or the connection.

use crate::poll::common::{Server, fails, response, target};
use std::sync::Arc;

#[tokio::test]
async fn a_response_that_nothing_has_changed_is_not_a_redirect() {
    let server = Server::always(response("304 Not Modified", "")).await;
    let target = target(&format!("system: emailengine, url: '{}', token: '${{env:SECRET}}'", server.url()));
    let reading = target.reading().await;
    fails(&target, &reading, "status", "304: nothing has changed, but the request has no condition; check the cache or proxy");
}

#[tokio::test]
async fn a_server_that_requires_digest_authentication_is_explained() {
    for (headers, is_explained) in [
        ("WWW-Authenticate: Digest realm=\"mail\", nonce=\"1\"\r\n", true),
        ("WWW-Authenticate: Digest realm=\"mail\"\r\nWWW-Authenticate: Basic realm=\"mail\"\r\n", false),
        ("WWW-Authenticate: Bearer\r\n", false),
        ("", false),
    ] {
        let server = Server::always(format!("HTTP/1.1 401 Unauthorized\r\n{headers}Content-Length: 0\r\n\r\n")).await;
        let target = target(&format!("system: emailengine, url: '{}', token: '${{env:SECRET}}'", server.url()));
        let reading = target.reading().await;
        let expected = if is_explained { "(401, it requires Digest; Basic and Bearer are supported)" } else { "(401)" };
        fails(&target, &reading, "auth", expected);
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_connect_is_named() {
    for (status, cause) in [("502 Bad Gateway", "unsuccessful"), ("407 Proxy Authentication Required", "proxy authorization required")] {
        let proxy = Server::always(response(status, "")).await;
        let target =
            target(&format!("system: emailengine, url: 'https://mail.invalid', token: '${{env:SECRET}}', proxy: '{}'", proxy.url()));
        let reading = target.reading().await;
        fails(&target, &reading, "connect", &format!("the proxy {} did not connect to the server: tunnel error: {cause}; ", proxy.url()));
    }
}

#[tokio::test]
async fn a_certificate_of_an_authority_is_not_valid_for_a_server() {
    crate::support::install_crypto_provider();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, certificate.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let tls = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let server = Server::tls(Arc::new(tls), |_, _| Vec::new()).await;
    let url = format!("https://{}", server.addr);
    let target = target(&format!("system: emailengine, url: '{url}', token: '${{env:SECRET}}', tls: {{ca_file: '{}'}}", ca.display()));
    let reading = target.reading().await;
    fails(
        &target,
        &reading,
        "tls",
        "the server's certificate is that of an authority (CA:TRUE), which is not valid for a server: create one",
    );
}
