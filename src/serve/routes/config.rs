//! `/config`: the effective configuration as YAML, without secrets.

use crate::config::effective_yaml;
use crate::serve::AppState;
use crate::serve::http::security_headers::plain_text;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// Serves `/config`.
pub(crate) async fn config(State(app): State<AppState>) -> Response {
    let Some(running) = &app.config else { return (StatusCode::NOT_FOUND, "there is no configuration\n").into_response() };
    let config = running.borrow().clone();
    let targets = app.targets.now();
    // Ten thousand targets are several megabytes of text.
    let text = tokio::task::spawn_blocking(move || effective_yaml(&config, targets.iter().map(|collected| &collected.target.config)));
    match text.await {
        Ok(text) => plain_text(text),
        Err(error) => {
            tracing::error!("the configuration could not be written; this is a bug, please report it: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
