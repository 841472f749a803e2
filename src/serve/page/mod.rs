//! `/`: which targets there are and how they are, for a person.
//!
//! # The page never polls
//!
//! It shows what collections have read. A person who looks, or leaves a tab open, costs a mail server nothing.
//!
//! # Everything is escaped, and nothing can run
//!
//! Errors, versions and names of services quote mail servers, and those say what they like. The templates escape by type; and
//! the policy lets nothing run or load but two files of this endpoint, so a mistake there would still be words on a page.

mod figure;
mod format;
mod plot;
mod push;
mod target;
mod view;

use super::AppState;
use super::http::body::streamed;
use super::http::negotiate::{self, Encoding};
use crate::poll::Target;
use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use push::PushView;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use view::{ConfigView, PageTime, PageView, TokenView};

/// Only from here, and nothing inside the page itself.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const STYLE: &[u8] = include_bytes!("templates/page.css");
const SCRIPT: &[u8] = include_bytes!("templates/page.js");
const ICON: &[u8] = include_bytes!("templates/icon.svg");
/// Names the files' content in their addresses, so that a new version is not met by an old style.
const ASSET: &str = {
    const DIGITS: [u8; 16] = hex(fnv(fnv(fnv(0xcbf2_9ce4_8422_2325, STYLE), SCRIPT), ICON));
    match std::str::from_utf8(&DIGITS) {
        Ok(text) => text,
        Err(_) => "",
    }
};

/// The page, or that of one target.
pub(super) async fn index(
    State(served): State<AppState>,
    Query(parameters): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let only = parameters.get("target").map(String::as_str);
    let now = PageTime { clock: SystemTime::now(), instant: Instant::now(), began: served.began };
    let Some(view) = PageView::of(&targets(&served), only, ASSET, now) else {
        return (StatusCode::NOT_FOUND, "there is no target of this name; names are those of the configuration\n").into_response();
    };
    let view = PageView {
        push: served.outbox.as_ref().map(|outbox| PushView::of(outbox.status(), now.clock)),
        configured: ConfigView::of(served.own.reload.status(), now.clock),
        tokens: served.access.tokens().into_iter().map(|token| TokenView::of(token, now.clock)).collect(),
        ..view
    };
    match view.render() {
        Ok(page) => respond(page, negotiate::encoding(&headers)),
        Err(error) => {
            tracing::error!("the page could not be written, please report it: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The one place where the page learns which targets there are.
fn targets(served: &AppState) -> Vec<Arc<Target>> {
    served.targets.now().iter().map(|monitored| monitored.target.clone()).collect()
}

fn respond(page: String, encoding: Encoding) -> Response {
    let mut response = match encoding.name() {
        None => page.into_response(),
        Some(name) => {
            let mut response = Response::new(streamed(encoding, move |out| {
                out(&mut page.into_bytes());
            }));
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
            response
        }
    };
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "Accept-Encoding"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    guarded(response)
}

/// What every answer to a browser says.
fn guarded(mut response: Response) -> Response {
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

pub(super) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

pub(super) async fn icon() -> Response {
    asset("image/svg+xml", ICON)
}

fn asset(content_type: &'static str, bytes: &'static [u8]) -> Response {
    guarded(([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "max-age=86400")], bytes).into_response())
}

/// FNV-1a.
const fn fnv(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

const fn hex(n: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    let mut i = 0;
    while i < 16 {
        digits[i] = b"0123456789abcdef"[(n >> (60 - 4 * i) & 15) as usize];
        i += 1;
    }
    digits
}
