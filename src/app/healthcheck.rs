//! `postmeter healthcheck`: whether a running Postmeter answers, as an exit status.

use super::AppError;
use super::cli::HealthcheckArgs;
use crate::poll::use_ring;
use reqwest::{Client, StatusCode, redirect};
use std::time::Duration;

/// Shorter than supervisors wait, so that it is us who say what is wrong.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) async fn healthcheck(args: HealthcheckArgs) -> Result<(), AppError> {
    let said = |why: String| AppError::Other(format!("{}: {why}", args.url));
    match status(&args.url).await.map_err(|error| said(words(&error)))? {
        // Behind authentication or a rate limit, a refusal is as good an answer: it is alive, and does what it is told to.
        StatusCode::OK | StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS => Ok(()),
        status => Err(said(format!("answers with status {status}"))),
    }
}

async fn status(url: &str) -> Result<StatusCode, reqwest::Error> {
    use_ring();
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

fn words(error: &reqwest::Error) -> String {
    match error {
        error if error.is_timeout() => format!("no answer within {ANSWER_TIMEOUT:?}"),
        error if error.is_connect() => "nothing answers there".to_owned(),
        error if error.is_builder() => "is no URL; write it as http://localhost:9464/-/healthy".to_owned(),
        _ => "what answers there speaks no HTTP".to_owned(),
    }
}
