//! Probes: `/-/healthy` and `/-/ready`.

use crate::serve::AppState;
use axum::extract::State;
use axum::http::StatusCode;
use std::sync::atomic::Ordering;

/// Serves `/-/healthy`: the process responds.
pub(crate) async fn healthy() -> &'static str {
    "healthy\n"
}

/// Serves `/-/ready`: 200 once each target has been polled, successfully or not.
pub(crate) async fn ready(State(app): State<AppState>) -> (StatusCode, String) {
    if app.ready.load(Ordering::Relaxed) {
        return (StatusCode::OK, ready_text(&app));
    }
    let targets = app.targets.now();
    let not_polled = targets.iter().map(|collected| &collected.target).filter(|target| target.latest().is_none());
    let not_polled: Vec<&str> = not_polled.map(|target| target.name()).collect();
    match not_polled.as_slice() {
        [] => {
            app.ready.store(true, Ordering::Relaxed);
            (StatusCode::OK, ready_text(&app))
        }
        names => (StatusCode::SERVICE_UNAVAILABLE, format!("not yet polled: {}\n", names.join(", "))),
    }
}

/// Returns `ready`, followed by a line for each self-monitoring condition.
fn ready_text(app: &AppState) -> String {
    app.conditions().iter().fold("ready\n".to_owned(), |text, condition| format!("{text}{condition}\n"))
}
