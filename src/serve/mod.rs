//! The pull endpoint: metrics for Prometheus and the status page, over HTTP.

pub(crate) mod access;
pub(crate) mod http;
pub(crate) mod limits;
pub(crate) mod refusal;
mod rendering;
pub(crate) mod routes;
mod status_page;

pub use access::control::{Access, TokenUse};
pub use access::listener_kind::ListenerKind;
pub use access::rules::AccessError;
pub(crate) use http::accept::serve;
pub(crate) use http::connection_client::ConnectionClient;
pub use limits::server_limits::ServerLimits;
pub use routes::reload::{Reload, ReloadRequest};

use crate::config::Config;
use crate::export::otlp::ExportQueue;
use crate::telemetry::{Condition, SelfTelemetry, SelfWatch, StalenessRule, TargetSet};
use access::own_host::check_own_host;
use axum::Router;
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{get, post};
use limits::scrape_queue::ScrapeQueue;
use rendering::{LoggedConflicts, RenderedPages};
use routes::{config, health, metrics, poll, reload, service_discovery, targets};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Instant, SystemTime};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The state that all routes share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AppState {
    targets: TargetSet,
    telemetry: Arc<SelfTelemetry>,
    access: Access,
    scrape_queue: ScrapeQueue,
    rendered_pages: RenderedPages,
    logged_conflicts: LoggedConflicts,
    /// The queue of the push, for the status page.
    export_queue: Option<Arc<ExportQueue>>,
    /// The start of the process, for the status page.
    started: SystemTime,
    reload: Reload,
    self_watch: Option<SelfWatch>,
    /// The configuration in use, for `/config`.
    config: Option<watch::Receiver<Arc<Config>>>,
    /// The address of the listener. Set by [`Self::run`].
    address: Option<SocketAddr>,
    /// Cancelled when the endpoint stops. Set by [`Self::run`].
    stop: CancellationToken,
    /// Set once each target has been polled. Targets that a reload adds later do not reset it.
    ready: Arc<AtomicBool>,
}

impl AppState {
    /// Creates an endpoint for these targets.
    #[must_use]
    pub fn new(targets: TargetSet, telemetry: Arc<SelfTelemetry>, access: Access) -> Self {
        let logged_conflicts = LoggedConflicts::default();
        let rendered_pages = RenderedPages::new(telemetry.clone(), logged_conflicts.clone());
        Self {
            targets,
            telemetry,
            access,
            scrape_queue: ScrapeQueue::default(),
            rendered_pages,
            logged_conflicts,
            export_queue: None,
            started: SystemTime::now(),
            reload: Reload::disabled(),
            self_watch: None,
            config: None,
            address: None,
            stop: CancellationToken::new(),
            ready: Arc::default(),
        }
    }

    /// Returns the same endpoint with `/-/reload`.
    #[must_use]
    pub fn with_reload(self, reload: Reload) -> Self {
        Self { reload, ..self }
    }

    /// Returns the same endpoint with the state of this export queue on the status page.
    #[must_use]
    pub fn with_export_queue(self, export_queue: Option<Arc<ExportQueue>>) -> Self {
        Self { export_queue, ..self }
    }

    /// Returns the same endpoint with the conditions of this watch at `/-/ready` and on the status page.
    #[must_use]
    pub fn with_self_watch(self, self_watch: SelfWatch) -> Self {
        Self { self_watch: Some(self_watch), ..self }
    }

    /// Returns the same endpoint with `/config`.
    #[must_use]
    pub fn with_config(self, config: watch::Receiver<Arc<Config>>) -> Self {
        Self { config: Some(config), ..self }
    }

    /// Serves requests until `stop` is cancelled, and then finishes the requests in flight.
    pub async fn run(mut self, listener: TcpListener, stop: CancellationToken) {
        self.address = listener.local_addr().ok();
        self.stop = stop.clone();
        let access = self.access.clone();
        serve(listener, self.router(), access, stop).await;
    }

    /// Serves probes only, until `stop` is cancelled.
    pub async fn run_health(self, listener: TcpListener, stop: CancellationToken) {
        let access = self.access.clone();
        let router = Router::new().route("/-/healthy", get(health::healthy)).route("/-/ready", get(health::ready));
        let router = router.fallback(|| async { (StatusCode::NOT_FOUND, "not found; /-/healthy and /-/ready are served here\n") });
        serve(listener, router.with_state(self), access, stop).await;
    }

    fn router(self) -> Router {
        Router::new()
            .route("/", get(status_page::index))
            .route("/page.css", get(status_page::style))
            .route("/page.js", get(status_page::script))
            .route("/icon.svg", get(status_page::icon))
            .route("/-/reload", post(reload::reload))
            .route("/-/poll", post(poll::poll))
            .route("/-/response", get(poll::response))
            .route("/config", get(config::config))
            .route("/targets.json", get(targets::targets))
            // Scrapers and probes, whose routes follow, may use any name.
            .route_layer(middleware::from_fn_with_state(self.clone(), check_own_host))
            .route("/metrics", get(metrics::metrics))
            .route("/metrics.json", get(metrics::json))
            .route("/probe", get(metrics::probe))
            .route("/sd", get(service_discovery::discover))
            .route("/-/healthy", get(health::healthy))
            .route("/-/ready", get(health::ready))
            .fallback(|| async { (StatusCode::NOT_FOUND, "not found; the page at / lists all endpoints\n") })
            .method_not_allowed_fallback(|| async {
                (StatusCode::METHOD_NOT_ALLOWED, "method not allowed; the header Allow lists the allowed methods\n")
            })
            .with_state(self)
    }

    /// Returns the current self-monitoring conditions.
    fn conditions(&self) -> Vec<Condition> {
        self.self_watch.iter().flat_map(|watch| watch.conditions(Instant::now())).collect()
    }

    /// The rule by which readings are stale.
    fn staleness(&self) -> StalenessRule {
        self.self_watch.as_ref().map(SelfWatch::staleness).unwrap_or_default()
    }
}
