//! The pull endpoint: HTTP for Prometheus and for people.

mod access;
mod activity;
mod basic;
mod bearer;
mod body;
mod client;
mod connection;
mod limit;
mod limits;
mod metrics;
mod negotiate;
mod page;
mod refusal;
mod rendered;
mod slots;
mod tls;
mod turn;
mod watch;

pub use access::{Access, AccessError, TokenUse};
pub use limits::Limits;

use crate::export::otlp::Outbox;
use crate::telemetry::{Monitored, Own};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use rendered::{Logged, RenderedPages};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::net::TcpListener;
use tokio::sync::watch as channel;
use turn::Turns;

/// What the routes share.
#[derive(Clone, Debug)]
pub struct Served {
    targets: Arc<[Arc<Monitored>]>,
    own: Arc<Own>,
    access: Access,
    turns: Turns,
    rendered: RenderedPages,
    logged: Logged,
    /// What waits to be pushed, for people.
    outbox: Option<Arc<Outbox>>,
    /// When Postmeter began, for people.
    began: SystemTime,
}

impl Served {
    /// An endpoint for these targets.
    #[must_use]
    pub fn new(targets: Arc<[Arc<Monitored>]>, own: Arc<Own>, access: Access) -> Self {
        let logged = Logged::default();
        let rendered = RenderedPages::new(own.clone(), logged.clone());
        Self { targets, own, access, turns: Turns::default(), rendered, logged, outbox: None, began: SystemTime::now() }
    }

    /// The same, with a page that tells of this push.
    #[must_use]
    pub fn with_push(self, outbox: Option<Arc<Outbox>>) -> Self {
        Self { outbox, ..self }
    }

    /// Answers until `stop` says so, and then finishes what is in flight.
    pub async fn run(self, listener: TcpListener, stop: channel::Receiver<bool>) {
        let access = self.access.clone();
        connection::serve(listener, self.router(), access, stop).await;
    }

    fn router(self) -> Router {
        Router::new()
            .route("/", get(page::index))
            .route("/page.css", get(page::style))
            .route("/page.js", get(page::script))
            .route("/icon.svg", get(page::icon))
            .route("/metrics", get(metrics::metrics))
            .route("/metrics.json", get(metrics::json))
            .route("/probe", get(metrics::probe))
            .route("/-/healthy", get(|| async { "healthy\n" }))
            .route("/-/ready", get(ready))
            .with_state(self)
    }
}

/// Ready after the first attempt at each target, good or not.
async fn ready(State(served): State<Served>) -> (StatusCode, String) {
    let waiting: Vec<&str> = served.targets.iter().filter(|m| m.target.latest().is_none()).map(|m| m.target.name()).collect();
    match waiting.as_slice() {
        [] => (StatusCode::OK, "ready\n".to_owned()),
        names => (StatusCode::SERVICE_UNAVAILABLE, format!("not yet polled: {}\n", names.join(", "))),
    }
}
