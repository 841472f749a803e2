//! `postmeter healthcheck`: exits with 0 if a running Postmeter responds.

use super::AppError;
use super::cli::{HealthcheckArgs, config_variable};
use crate::config;
use crate::net::{install_crypto_provider, masked_url, root_cause};
use reqwest::{Client, StatusCode, redirect};
use rustls::AlertDescription;
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The longest wait for a response. It is shorter than the timeouts of supervisors, so that the cause is printed.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);

/// The maximum number of requests. A connection that ends between its handshake and the request gives no reason, not even the alert of a
/// server that requires a client certificate.
const ATTEMPTS_MAX: usize = 5;

/// Returns `true` for a status of `/-/healthy`. A response that denies access also shows that Postmeter is running.
pub(super) fn shows_postmeter(status: StatusCode) -> bool {
    [StatusCode::OK, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS].contains(&status)
}

/// The URL that is requested if nothing else is configured.
const URL_DEFAULT: &str = "http://localhost:9464/-/healthy";
/// The configuration file of `postmeter run` without `--config`.
const CONFIG_DEFAULT: &str = "postmeter.yaml";

pub(super) async fn healthcheck(args: HealthcheckArgs) -> Result<(), AppError> {
    let url = args.url.clone().map_or_else(|| configured_url(&args), Ok)?;
    let failure = |reason: String| AppError::Other(format!("{}: {reason}", masked_url(&url)));
    let mut result = request_status(&url).await;
    for _ in 1..ATTEMPTS_MAX {
        if !result.as_ref().is_err_and(was_canceled) {
            break;
        }
        result = request_status(&url).await;
    }
    let status = match result {
        Err(error) if requires_certificate(&error) => return Ok(()),
        result => result.map_err(|error| failure(reason(&error)))?,
    };
    match status {
        status if shows_postmeter(status) => Ok(()),
        status => Err(failure(format!("the response has status {status}"))),
    }
}

/// Returns the URL of the health endpoint of the configuration, or else of its pull endpoint.
fn configured_url(args: &HealthcheckArgs) -> Result<String, AppError> {
    let named = args.config.clone().or_else(|| config_variable().map(PathBuf::from));
    let is_named = named.is_some();
    let path = named.unwrap_or_else(|| CONFIG_DEFAULT.into());
    if !is_named && !path.exists() {
        return Ok(URL_DEFAULT.to_owned());
    }
    let text = config::read(&path)?;
    let (health, prometheus) = config::parse_endpoints(&text, &path.display().to_string(), &args.env_file.environment()?)?;
    if let Some(health) = health {
        return Ok(format!("http://{}/-/healthy", reachable(&health.listen)));
    }
    let prometheus = prometheus.ok_or_else(|| {
        AppError::Other(format!("{}: there is no endpoint to request; set health.listen or export.prometheus.listen", path.display()))
    })?;
    let scheme = if prometheus.server_tls().is_some() { "https" } else { "http" };
    Ok(format!("{scheme}://{}/-/healthy", reachable(&prometheus.listen)))
}

/// Returns the address with which this machine reaches a listener on every address.
pub(super) fn reachable(listen: &str) -> String {
    match listen.rsplit_once(':') {
        Some(("0.0.0.0", port)) => format!("127.0.0.1:{port}"),
        Some(("[::]", port)) => format!("[::1]:{port}"),
        _ => listen.to_owned(),
    }
}

pub(super) async fn request_status(url: &str) -> Result<StatusCode, reqwest::Error> {
    install_crypto_provider();
    let client = Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(RESPONSE_TIMEOUT)
        // An image may contain no certificate authorities, and the certificate is issued for the public name. No secret is sent.
        .tls_certs_only([])
        .tls_danger_accept_invalid_certs(true)
        .build()?;
    Ok(client.get(url).send().await?.status())
}

/// Returns `true` if the server requires a client certificate, which also shows that Postmeter is running.
fn requires_certificate(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(rustls::Error::AlertReceived(alert)) = error.downcast_ref().and_then(tls_error) {
            return matches!(alert, AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure);
        }
        cause = error.source();
    }
    false
}

/// Returns `true` if the connection ended before the request was sent.
fn was_canceled(error: &reqwest::Error) -> bool {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.filter_map(|cause| cause.downcast_ref::<hyper::Error>()).any(hyper::Error::is_canceled)
}

/// Returns the TLS error inside an I/O error, which `source` does not return.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    inner.downcast_ref().or_else(|| inner.downcast_ref().and_then(tls_error))
}

fn reason(error: &reqwest::Error) -> String {
    match error {
        error if error.is_timeout() => format!("no response within {RESPONSE_TIMEOUT:?}"),
        error if error.is_connect() => format!("cannot connect: {}", root_cause(error)),
        error if error.is_builder() => "not a valid URL; write it as http://localhost:9464/-/healthy".to_owned(),
        _ => format!("the server does not respond with HTTP: {}", root_cause(error)),
    }
}
