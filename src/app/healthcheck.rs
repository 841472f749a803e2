//! `postmeter healthcheck`: whether a running Postmeter answers, as an exit status.

use super::AppError;
use super::cli::HealthcheckArgs;
use crate::net::install_crypto_provider;
use reqwest::{Client, StatusCode, redirect};
use rustls::AlertDescription;
use std::error::Error;
use std::io;
use std::time::Duration;

/// Shorter than supervisors wait, so that it is us who say what is wrong.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) async fn healthcheck(args: HealthcheckArgs) -> Result<(), AppError> {
    let said = |why: String| AppError::Other(format!("{}: {why}", args.url));
    let status = match status(&args.url).await {
        Err(error) if wants_certificate(&error) => return Ok(()),
        asked => asked.map_err(|error| said(words(&error)))?,
    };
    match status {
        // Behind authentication or a rate limit, a refusal is as good an answer: it is alive, and does what it is told to.
        StatusCode::OK | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => Ok(()),
        status => Err(said(format!("answers with status {status}"))),
    }
}

async fn status(url: &str) -> Result<StatusCode, reqwest::Error> {
    install_crypto_provider();
    let client = Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(ANSWER_TIMEOUT)
        // An image may have no authorities, and the certificate is for the name that others know us by. Nothing secret is sent.
        .tls_certs_only([])
        .tls_danger_accept_invalid_certs(true)
        .build()?;
    Ok(client.get(url).send().await?.status())
}

/// Where clients show certificates it is alive, too, and says so before it hears what is asked.
fn wants_certificate(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(this) = cause {
        if let Some(rustls::Error::AlertReceived(alert)) = this.downcast_ref().and_then(of_tls) {
            return matches!(alert, AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure);
        }
        cause = this.source();
    }
    false
}

/// An I/O error hides what it holds from `source`.
fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    let held = error.get_ref()?;
    held.downcast_ref().or_else(|| held.downcast_ref().and_then(of_tls))
}

fn words(error: &reqwest::Error) -> String {
    match error {
        error if error.is_timeout() => format!("no answer within {ANSWER_TIMEOUT:?}"),
        error if error.is_connect() => "nothing answers there".to_owned(),
        error if error.is_builder() => "is no URL; write it as http://localhost:9464/-/healthy".to_owned(),
        _ => "what answers there speaks no HTTP".to_owned(),
    }
}
