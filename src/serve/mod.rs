//! The pull endpoint: HTTP for Prometheus and for people.

mod body;
mod metrics;
mod negotiate;
mod page;
mod rendered;

use crate::export::otlp::Outbox;
use crate::telemetry::{Monitored, Own};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use rendered::{Logged, RenderedPages};
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// Pulls that are answered at one time; more wait for their turn.
const SCRAPES_CONCURRENT_MAX: usize = 16;
/// How long answers in flight may take once it is time to stop.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// What the routes share.
#[derive(Clone, Debug)]
pub struct Served {
    targets: Arc<[Arc<Monitored>]>,
    own: Arc<Own>,
    turns: Arc<Semaphore>,
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
    pub fn new(targets: Arc<[Arc<Monitored>]>, own: Arc<Own>) -> Self {
        let logged = Logged::default();
        let rendered = RenderedPages::new(own.clone(), logged.clone());
        Self {
            targets,
            own,
            turns: Arc::new(Semaphore::new(SCRAPES_CONCURRENT_MAX)),
            rendered,
            logged,
            outbox: None,
            began: SystemTime::now(),
        }
    }

    /// The same, with a page that tells of this push.
    #[must_use]
    pub fn with_push(self, outbox: Option<Arc<Outbox>>) -> Self {
        Self { outbox, ..self }
    }

    /// Answers until `stop` says so, and then finishes what is in flight.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn run(self, listener: TcpListener, stop: watch::Receiver<bool>) -> io::Result<()> {
        let mut stopping = stop.clone();
        let graceful = async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        };
        let server = axum::serve(listener, self.router()).with_graceful_shutdown(graceful);
        let mut stopped = stop;
        tokio::select! {
            result = async { server.await } => result,
            () = async {
                let _ = stopped.wait_for(|stop| *stop).await;
                tokio::time::sleep(DRAIN_DEADLINE).await;
            } => Ok(()),
        }
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
