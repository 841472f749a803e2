//! The listener: `POST /v1/deliveries/TARGET`.

use super::authenticate::{check_headers, check_signature};
use super::body::{self, BodyError, BodyMemory};
use super::commit::Submission;
use super::intake::Intake;
use super::store::{RecordInlet, RecordStore};
use super::{COMMIT_WAIT_MAX, RETRY_AFTER};
use crate::config::{self, Deliveries, Prometheus};
use crate::delivery_log::{RecordUid, StateError};
use crate::export::otlp::SendError;
use crate::model::{Record, RecordState};
use crate::serve::{Access, AccessError, serve};
use crate::telemetry::{CollectedTarget, SelfTelemetry, TargetSet};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{RETRY_AFTER as RETRY_AFTER_HEADER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// The reason why records cannot be received.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    /// The certificate cannot be used.
    #[error("receive.tls: {0}")]
    Access(#[from] AccessError),
    /// The directory for state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The OTLP exporter cannot be built.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// The listener for delivery records.
#[derive(Debug)]
pub struct Receiver {
    access: Access,
    targets: TargetSet,
    telemetry: Arc<SelfTelemetry>,
    inlet: RecordInlet,
}

/// The state of the route.
#[derive(Debug)]
struct App {
    targets: TargetSet,
    telemetry: Arc<SelfTelemetry>,
    inlet: RecordInlet,
    memory: BodyMemory,
}

impl Receiver {
    /// A listener that stores records.
    ///
    /// # Errors
    /// The certificate or the store cannot be used.
    pub fn open(
        config: &config::Receive,
        store: &RecordStore,
        targets: TargetSet,
        telemetry: Arc<SelfTelemetry>,
    ) -> Result<Self, ReceiverError> {
        let listener = Prometheus { tls: config.tls.clone(), ..Prometheus::open(config.listen.clone()) };
        let access = Access::new(listener, telemetry.clone())?;
        Ok(Self { access, targets, telemetry, inlet: store.inlet()? })
    }

    /// Serves requests until `stop` is cancelled, and then finishes the requests in flight.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let app = App { targets: self.targets, telemetry: self.telemetry, inlet: self.inlet, memory: BodyMemory::of_all_targets() };
        let not_found = || async { (StatusCode::NOT_FOUND, "not found; delivery records are sent by POST to /v1/deliveries/TARGET\n") };
        let router = Router::new().route("/v1/deliveries/{target}", post(receive)).fallback(not_found).with_state(Arc::new(app));
        serve(listener, router, self.access, stop).await;
    }
}

/// A response without records.
enum Refusal {
    /// 401.
    Unauthenticated,
    /// 404.
    UnknownTarget,
    /// 503, with the reason.
    Later(&'static str),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthenticated => {
                let challenge = [(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"postmeter\", Basic realm=\"postmeter\""))];
                (StatusCode::UNAUTHORIZED, challenge, "the credential is missing or wrong\n").into_response()
            }
            Self::UnknownTarget => (StatusCode::NOT_FOUND, "there is no target of this name that receives deliveries\n").into_response(),
            Self::Later(reason) => {
                let seconds = [(RETRY_AFTER_HEADER, HeaderValue::from(RETRY_AFTER.as_secs()))];
                (StatusCode::SERVICE_UNAVAILABLE, seconds, format!("{reason}; try again later\n")).into_response()
            }
        }
    }
}

/// Serves `POST /v1/deliveries/TARGET`.
async fn receive(State(app): State<Arc<App>>, Path(name): Path<String>, headers: HeaderMap, body: Body) -> Response {
    match app.receive(&name, &headers, body).await {
        Ok(()) => (StatusCode::OK, "").into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

impl App {
    /// Receives the records of a request. Returns when they are durable.
    async fn receive(&self, name: &str, headers: &HeaderMap, body: Body) -> Result<(), Refusal> {
        let received_at = SystemTime::now();
        let accepts = |deliveries: &Option<Deliveries>| deliveries.as_ref().is_some_and(Deliveries::accepts_requests);
        let collected = self.targets.find(name).filter(|collected| accepts(&collected.target.config.deliveries));
        let Some(collected) = collected else {
            self.telemetry.access.refused("unknown_target");
            return Err(Refusal::UnknownTarget);
        };
        let Some(deliveries) = collected.target.config.deliveries.clone() else { return Err(Refusal::UnknownTarget) };
        let intake = self.inlet.intake(name);
        self.authenticate(&intake, check_headers(&deliveries, headers))?;
        let busy = |_| {
            self.telemetry.access.refused("busy");
            Refusal::Later("too many requests of this target")
        };
        let _slot = intake.slots.clone().try_acquire_owned().map_err(busy)?;
        let read = body::read(body, deliveries.hook.body_bytes_max, [&self.memory, &intake.memory]).await;
        let body = read.map_err(|error| self.body_refusal(error, &intake, &deliveries))?;
        let deadline = tokio::time::Instant::now() + COMMIT_WAIT_MAX;
        self.authenticate(&intake, check_signature(&intake, &deliveries, headers, &body.bytes, received_at))?;
        let durable = async {
            let records = self.parse(&collected, &intake, &deliveries, body.bytes.clone(), received_at).await?;
            if records.is_empty() {
                return Ok(true);
            }
            let (durable, result) = oneshot::channel();
            let submission = Submission { collected, intake: intake.clone(), records, received_at, durable };
            self.inlet.submissions.try_send(submission).map_err(|_| {
                self.telemetry.access.refused("busy");
                Refusal::Later("too many requests wait to be stored")
            })?;
            Ok(result.await.unwrap_or(false))
        };
        match tokio::time::timeout_at(deadline, durable).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => {
                self.telemetry.access.refused("not_stored");
                intake.log("delivery records are refused with 503, because they cannot be stored: the space of receive.max_bytes is used, or the disk fails");
                Err(Refusal::Later("the records cannot be stored"))
            }
            Ok(Err(refusal)) => Err(refusal),
            Err(_) => {
                self.telemetry.access.refused("not_stored");
                Err(Refusal::Later("the records are not stored yet"))
            }
        }
    }

    /// Turns a failed authentication into a response. A sender is not blamed for a key that Postmeter cannot read.
    fn authenticate(&self, intake: &Intake, result: Result<(), super::authenticate::AuthenticationError>) -> Result<(), Refusal> {
        let Err(error) = result else { return Ok(()) };
        if error.is_own() {
            intake.log(&format!("delivery records are refused with 503: {error}"));
            return Err(Refusal::Later("the receiver cannot check the credential"));
        }
        self.telemetry.access.refused("unauthenticated");
        intake.log(&format!("delivery records are refused with 401: {error}; compare the credentials here and at the sender"));
        Err(Refusal::Unauthenticated)
    }

    fn body_refusal(&self, error: BodyError, intake: &Intake, deliveries: &Deliveries) -> Refusal {
        match error {
            BodyError::NoMemory => {
                self.telemetry.access.refused("busy");
                Refusal::Later("too many requests")
            }
            BodyError::TooLarge => {
                let bytes_max = deliveries.hook.body_bytes_max;
                intake.log(&format!(
                    "delivery records are refused with 503: a request exceeds {bytes_max} bytes; let the sender send smaller batches"
                ));
                self.telemetry.access.refused("body_too_large");
                Refusal::Later("the request is too large")
            }
            BodyError::Incomplete => {
                self.telemetry.access.refused("slow_request");
                Refusal::Later("the request is incomplete")
            }
        }
    }

    /// Reads the records of a body on a blocking thread.
    async fn parse(
        &self,
        collected: &CollectedTarget,
        intake: &Intake,
        deliveries: &Deliveries,
        body: bytes::Bytes,
        received_at: SystemTime,
    ) -> Result<Vec<(RecordUid, Record)>, Refusal> {
        let closed = |_| Refusal::Later("the receiver is stopping");
        let _own = intake.parser.acquire().await.map_err(closed)?;
        let _shared = self.inlet.parsers.acquire().await.map_err(closed)?;
        let (hook, key, name) = (deliveries.hook, self.inlet.key.clone(), intake.name.clone());
        let parsed = tokio::task::spawn_blocking(move || {
            let page = hook.read(&body, received_at);
            (RecordInlet::identify(&key, &name, page.records), page.ignored, page.unreadable, page.problem)
        });
        let (records, _ignored, unreadable, problem) = parsed.await.map_err(|_| Refusal::Later("reading the request failed"))?;
        if let Some(deliveries) = &collected.deliveries {
            deliveries.count(RecordState::Unreadable, unreadable);
        }
        if let Some(problem) = problem {
            intake.log(&format!("an item of a request is no delivery record and is skipped: {problem}"));
        }
        Ok(records)
    }
}
