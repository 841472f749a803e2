//! `/`: the status page.
//!
//! # The page does not trigger polls
//!
//! It shows the latest readings of scrapes and pushes, so an open browser tab causes no load on a mail server. Only the button `Poll now`
//! and the links to raw responses do.
//!
//! # Untrusted text cannot run as code
//!
//! Errors, versions and service names contain text of mail servers, which is not trusted. The templates escape all values, and the
//! content security policy allows only the style and the script of this endpoint, so injected markup would not run either.

mod column;
mod concern;
mod figure;
mod format;
mod plot;
mod problem;
mod push;
mod query;
mod state;
mod target;
mod view;

use super::AppState;
use super::http::body::streamed;
use super::http::negotiate::{self, Encoding};
use super::http::security_headers::with_security_headers;
use super::routes::TARGET_NOT_FOUND;
use crate::poll::Target;
use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use push::PushView;
use query::PageQuery;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use view::{ConfigView, PageTime, PageView, TokenView};

/// The content security policy: resources of this endpoint only, and no inline scripts or styles.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const STYLE: &[u8] = include_bytes!("templates/page.css");
const SCRIPT: &[u8] = include_bytes!("templates/page.js");
const ICON: &[u8] = include_bytes!("templates/icon.svg");
/// A hash of the static files. It is part of their URLs, so that a browser does not use cached files of an older version.
const ASSET: &str = {
    const DIGITS: [u8; 16] = hex(fnv(fnv(fnv(0xcbf2_9ce4_8422_2325, STYLE), SCRIPT), ICON));
    match std::str::from_utf8(&DIGITS) {
        Ok(text) => text,
        Err(_) => "",
    }
};

/// Serves the page of all targets, or of those that its parameters select.
pub(super) async fn index(State(app): State<AppState>, Query(parameters): Query<HashMap<String, String>>, headers: HeaderMap) -> Response {
    let now = PageTime { clock: SystemTime::now(), instant: Instant::now(), started: app.started, staleness: app.staleness() };
    let Some(view) = PageView::of(&targets(&app), PageQuery::of(&parameters), ASSET, now) else {
        return (StatusCode::NOT_FOUND, TARGET_NOT_FOUND).into_response();
    };
    let view = PageView {
        push: app.export_queue.as_ref().map(|queue| PushView::of(queue.status(), now.clock)),
        config: ConfigView::of(app.telemetry.reload.status(), now.clock),
        conditions: app.conditions().iter().map(ToString::to_string).collect(),
        tokens: app.access.tokens().into_iter().map(|token| TokenView::of(token, now.clock)).collect(),
        ..view
    };
    match view.render() {
        Ok(page) => respond(page, negotiate::encoding(&headers)),
        Err(error) => {
            tracing::error!("the status page could not be rendered; this is a bug, please report it: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn targets(app: &AppState) -> Vec<Arc<Target>> {
    app.targets.now().iter().map(|collected| collected.target.clone()).collect()
}

fn respond(page: String, encoding: Encoding) -> Response {
    let mut response = match encoding.name() {
        None => page.into_response(),
        Some(name) => {
            let mut response = Response::new(streamed(encoding, move |chunks| {
                chunks.send_shared(page.into());
                Ok(())
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
    with_security_headers(response)
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
    with_security_headers(([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "max-age=86400")], bytes).into_response())
}

/// The FNV-1a hash of `bytes`, continued from `hash`.
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
