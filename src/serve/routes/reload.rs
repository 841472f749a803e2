//! `/-/reload`: requests a reload of the configuration and waits for the result.

use crate::serve::AppState;
use crate::serve::access::same_site::check_same_site;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::HeaderMap;
use axum::http::uri::Uri;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{mpsc, oneshot};

/// Reload requests that are queued while a reload runs.
const QUEUED_MAX: usize = 8;

/// A request to reload the configuration. The result is sent back as text: the changes, or the reason why nothing has changed.
pub type ReloadRequest = oneshot::Sender<Result<String, String>>;

/// The connection from the endpoint to the reloader. Requests are rejected until [`Self::set_enabled`].
#[derive(Clone, Debug)]
pub struct Reload {
    enabled: Arc<AtomicBool>,
    requests: Option<mpsc::Sender<ReloadRequest>>,
}

impl Reload {
    /// Creates a disabled connection and the receiver of its requests.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<ReloadRequest>) {
        let (requests, receiver) = mpsc::channel(QUEUED_MAX);
        (Self { enabled: Arc::default(), requests: Some(requests) }, receiver)
    }

    /// Creates a connection without a reloader: every request is rejected.
    #[must_use]
    pub fn disabled() -> Self {
        Self { enabled: Arc::default(), requests: None }
    }

    /// Enables or disables reloads by HTTP.
    pub fn set_enabled(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Relaxed);
    }

    /// Requests a reload and waits for its result. Returns `None` if reloads are disabled.
    async fn request(&self) -> Option<Result<String, String>> {
        let requests = self.requests.as_ref().filter(|_| self.enabled.load(Ordering::Relaxed))?;
        let (sender, result) = oneshot::channel();
        let stopped = || {
            let reason =
                "the reloader has stopped: Postmeter is shutting down, or the reloader failed (see the log; then restart Postmeter)";
            Some(Err(reason.to_owned()))
        };
        if requests.send(sender).await.is_err() {
            return stopped();
        }
        result.await.ok().or_else(stopped)
    }
}

/// Serves `/-/reload`: 200 with the changes, 500 with all errors, 403 if reloads are disabled or the request is cross-site.
pub(crate) async fn reload(State(app): State<AppState>, uri: Uri, headers: HeaderMap) -> (StatusCode, String) {
    if let Err((status, message)) = check_same_site(&app.telemetry, &uri, &headers) {
        return (status, message.to_owned());
    }
    match app.reload.request().await {
        Some(Ok(changes)) => (StatusCode::OK, format!("reloaded: {changes}\n")),
        Some(Err(problems)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("not reloaded, the previous configuration stays in use:\n{problems}\n"))
        }
        None => {
            let message = "reload over HTTP is disabled; enable it with reload: {endpoint: true} or --enable-reload, or send SIGHUP\n";
            (StatusCode::FORBIDDEN, message.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_request_without_a_reloader_has_an_error() {
        let (reload, requests) = Reload::new();
        assert!(reload.request().await.is_none());
        reload.set_enabled(true);
        drop(requests);
        assert!(reload.request().await.unwrap().unwrap_err().contains("the reloader has stopped"));
    }
}
