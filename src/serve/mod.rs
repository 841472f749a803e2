//! The pull endpoint: HTTP for Prometheus and for people.

pub(crate) mod access;
pub(crate) mod http;
pub(crate) mod limits;
mod page;
pub(crate) mod routes;

pub use access::rules::{Access, AccessError, TokenUse};
pub use limits::server_limits::Limits;
pub use routes::reload::{Reload, ReloadRequest};

use crate::export::otlp::ExportQueue;
use crate::telemetry::{SelfTelemetry, SelfWatch, TargetSet};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use limits::scrape_queue::ScrapeQueue;
use routes::rendered::{LoggedConflicts, RenderedPages};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the routes share.
#[derive(Clone, Debug)]
pub struct AppState {
    targets: TargetSet,
    own: Arc<SelfTelemetry>,
    access: Access,
    turns: ScrapeQueue,
    rendered: RenderedPages,
    logged: LoggedConflicts,
    /// What waits to be pushed, for people.
    outbox: Option<Arc<ExportQueue>>,
    /// When Postmeter began, for people.
    began: SystemTime,
    reload: Reload,
    /// What Postmeter notices about itself.
    watch: Option<SelfWatch>,
    /// Where it listens, once it does.
    address: Option<SocketAddr>,
    /// Each target has been attempted. What a reload adds later does not take readiness back.
    ready: Arc<AtomicBool>,
}

impl AppState {
    /// An endpoint for these targets.
    #[must_use]
    pub fn new(targets: TargetSet, own: Arc<SelfTelemetry>, access: Access) -> Self {
        let logged = LoggedConflicts::default();
        let rendered = RenderedPages::new(own.clone(), logged.clone());
        Self {
            targets,
            own,
            access,
            turns: ScrapeQueue::default(),
            rendered,
            logged,
            outbox: None,
            began: SystemTime::now(),
            reload: Reload::never(),
            watch: None,
            address: None,
            ready: Arc::default(),
        }
    }

    /// The same with a way to reload.
    #[must_use]
    pub fn with_reload(self, reload: Reload) -> Self {
        Self { reload, ..self }
    }

    /// The same, with a page that tells of this push.
    #[must_use]
    pub fn with_push(self, outbox: Option<Arc<ExportQueue>>) -> Self {
        Self { outbox, ..self }
    }

    /// The same, with these conditions in the response to `/-/ready`.
    #[must_use]
    pub fn with_self_watch(self, watch: SelfWatch) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// Answers until `stop` says so, and then finishes what is in flight.
    pub async fn run(mut self, listener: TcpListener, stop: CancellationToken) {
        self.address = listener.local_addr().ok();
        let access = self.access.clone();
        crate::serve::http::connection::serve(listener, self.router(), access, stop).await;
    }

    fn router(self) -> Router {
        Router::new()
            .route("/", get(page::index))
            .route("/page.css", get(page::style))
            .route("/page.js", get(page::script))
            .route("/icon.svg", get(page::icon))
            .route("/metrics", get(crate::serve::routes::metrics::metrics))
            .route("/metrics.json", get(crate::serve::routes::metrics::json))
            .route("/probe", get(crate::serve::routes::metrics::probe))
            .route("/-/healthy", get(|| async { "healthy\n" }))
            .route("/-/ready", get(ready))
            .route("/-/reload", post(crate::serve::routes::reload::reload))
            .route("/sd", get(crate::serve::routes::service_discovery::discover))
            .route("/targets.json", get(crate::serve::routes::targets::targets))
            .fallback(|| async { (StatusCode::NOT_FOUND, "there is nothing here; / shows what there is\n") })
            .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "not by this method; see the header Allow\n") })
            .with_state(self)
    }
}

impl AppState {
    /// `ready`, and a line for each condition that an operator should know of.
    fn ready_text(&self) -> String {
        let conditions = self.watch.iter().flat_map(|watch| watch.conditions(Instant::now()));
        conditions.fold("ready\n".to_owned(), |text, condition| format!("{text}{condition}\n"))
    }
}

/// Ready after the first attempt at each target, good or not.
async fn ready(State(served): State<AppState>) -> (StatusCode, String) {
    if served.ready.load(Ordering::Relaxed) {
        return (StatusCode::OK, served.ready_text());
    }
    let targets = served.targets.now();
    let waiting: Vec<&str> = targets.iter().filter(|m| m.target.latest().is_none()).map(|m| m.target.name()).collect();
    match waiting.as_slice() {
        [] => {
            served.ready.store(true, Ordering::Relaxed);
            (StatusCode::OK, served.ready_text())
        }
        names => (StatusCode::SERVICE_UNAVAILABLE, format!("not yet polled: {}\n", names.join(", "))),
    }
}
