//! Requests the list of `targets_http`.

use super::PollError;
use super::client_builder::{ClientError, build_client, header_map};
use super::http_error::{before_response, general_status_hint, rejection};
use super::response::Response;
use crate::config::TargetsHttp;
use crate::model::without_byte_order_mark;
use crate::net::{FileThread, Redactor, secret_header};
use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, StatusCode, Url};

/// The time between two requests, as Prometheus sends it.
const INTERVAL_HEADER: &str = "x-prometheus-refresh-interval-seconds";

/// Requests the list once, and returns the body of the response.
///
/// A new client is built for each request, so that renewed certificates and moved servers need no restart.
///
/// # Errors
/// Returns the reason, readable and without secrets: no response in time, another status than 200, or a response that is too large.
pub(crate) async fn request_target_list(list: &TargetsHttp, files: &FileThread) -> Result<String, String> {
    let settings = list.clone();
    // Reading certificates takes a while, too.
    let prepared = files.run(move || prepare(&settings)).await.map_err(|error| format!("credentials, headers or TLS files: {error}"))?;
    let (client, url, headers) = prepared?;
    let redactor = Redactor::new(headers.values(), [list.url.as_str()]);
    let response = tokio::time::timeout(list.timeout, send(list, client, url, headers)).await;
    response.unwrap_or(Err(PollError::Timeout(list.timeout))).map_err(|error| error.redacted(&redactor).to_string())
}

fn prepare(list: &TargetsHttp) -> Result<(Client, Url, HeaderMap), String> {
    let start_error = |error: ClientError| error.to_string();
    let (client, url) = build_client(&list.url, &list.tls, None, 0).map_err(start_error)?;
    let mut headers = header_map(&list.headers).map_err(start_error)?;
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
    if let Ok(seconds) = HeaderValue::from_str(&list.interval.as_secs_f64().to_string()) {
        headers.insert(INTERVAL_HEADER, seconds);
    }
    if let Some(value) = list.authorization()? {
        headers.insert(AUTHORIZATION, secret_header(&value).ok_or("the credential has characters that a header cannot have")?);
    }
    Ok((client, url, headers))
}

async fn send(list: &TargetsHttp, client: Client, url: Url, headers: HeaderMap) -> Result<String, PollError> {
    let scheme = list.url.scheme();
    let sent = client.get(url).headers(headers).send().await;
    let mut response = sent.map(Response::from).map_err(|error| before_response(&error, scheme, None))?;
    match response.status() {
        StatusCode::OK => {}
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            let rejection = rejection(status, response.headers());
            return Err(PollError::rejected_credential(rejection, "check username and password, or token, of targets_http"));
        }
        status => return Err(PollError::Status { status: status.as_u16(), hint: general_status_hint(status, scheme) }),
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > list.body_bytes_max {
            return Err(PollError::TooLarge(list.body_bytes_max));
        }
        body.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(body).map_err(|_| PollError::Malformed("the response is not UTF-8 text".to_owned()))?;
    Ok(without_byte_order_mark(&text).to_owned())
}
