//! The listener: `POST /v1/deliveries/TARGET`.

use super::authenticate::{check_headers, check_signature};
use super::body::{self, BodyError, BodyMemory};
use super::commit::{Committer, Submission, WAITING_MAX};
use super::intake::{Intake, Intakes};
use super::outbox::Outbox;
use super::{COMMIT_WAIT_MAX, RETRY_AFTER};
use crate::config::{self, Deliveries, Prometheus};
use crate::delivery_log::{HashKey, RecordUid, StateError, hash_key};
use crate::export::otlp::{LogsSender, OtlpExporter, REQUEST_BYTES_MAX, SendError};
use crate::model::{Record, RecordState};
use crate::serve::{Access, AccessError, serve};
use crate::source::HookRecord;
use crate::telemetry::{CollectedTarget, SelfTelemetry, TargetSet};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{RETRY_AFTER as RETRY_AFTER_HEADER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::error;

/// Bodies that are parsed at the same time. One core is left to polls and scrapes.
const PARSERS_MAX: usize = 2;

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

/// The receiver of delivery records.
#[derive(Debug)]
pub struct Receiver {
    access: Access,
    targets: TargetSet,
    telemetry: Arc<SelfTelemetry>,
    intakes: Intakes,
    key: HashKey,
    outbox: Option<(Arc<Outbox>, LogsSender)>,
    request_bytes_max: usize,
}

/// The state of the route.
#[derive(Debug)]
struct App {
    targets: TargetSet,
    telemetry: Arc<SelfTelemetry>,
    intakes: Intakes,
    key: HashKey,
    memory: BodyMemory,
    parsers: Arc<Semaphore>,
    submissions: mpsc::Sender<Submission>,
}

impl Receiver {
    /// Opens the directory of records that are not exported yet.
    ///
    /// # Errors
    /// The certificate, the directory or the OTLP exporter cannot be used.
    pub fn open(
        config: &config::Receive,
        state_dir: &FilePath,
        otlp: Option<&config::Otlp>,
        targets: TargetSet,
        telemetry: Arc<SelfTelemetry>,
    ) -> Result<Self, ReceiverError> {
        let listener = Prometheus { tls: config.tls.clone(), ..Prometheus::open(config.listen.clone()) };
        let access = Access::new(listener, telemetry.clone())?;
        let key = hash_key(state_dir)?;
        let outbox = match otlp {
            Some(otlp) => {
                let sender = LogsSender::new(Arc::new(OtlpExporter::new(otlp.clone())?));
                Some((Arc::new(Outbox::open(state_dir, config.max_bytes, telemetry.clone())), sender))
            }
            None => None,
        };
        let request_bytes_max = otlp.map_or(REQUEST_BYTES_MAX, |otlp| otlp.max_request_bytes);
        Ok(Self { access, targets, telemetry, intakes: Intakes::new(state_dir.to_owned()), key, outbox, request_bytes_max })
    }

    /// Serves requests until `stop` is cancelled, and then finishes the requests in flight.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let (submissions, received) = mpsc::channel(WAITING_MAX);
        let outbox = self.outbox.as_ref().map(|(outbox, _)| outbox.clone());
        let committer = Committer { key: self.key.clone(), outbox, request_bytes_max: self.request_bytes_max };
        let mut tasks = vec![tokio::spawn(committer.run(received))];
        if let Some((outbox, sender)) = self.outbox {
            tasks.push(tokio::spawn(outbox.run(sender, self.targets.clone(), stop.clone())));
        }
        let app = App {
            targets: self.targets,
            telemetry: self.telemetry,
            intakes: self.intakes,
            key: self.key,
            memory: BodyMemory::of_all_targets(),
            parsers: Arc::new(Semaphore::new(PARSERS_MAX)),
            submissions,
        };
        let not_found = || async { (StatusCode::NOT_FOUND, "not found; delivery records are sent by POST to /v1/deliveries/TARGET\n") };
        let router = Router::new().route("/v1/deliveries/{target}", post(receive)).fallback(not_found).with_state(Arc::new(app));
        serve(listener, router, self.access, stop).await;
        for task in tasks {
            if let Err(error) = task.await {
                error!("a task panicked, please report it: {error}");
            }
        }
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
        let collected = self.targets.find(name).filter(|collected| collected.target.config.deliveries.is_some());
        let Some(collected) = collected else {
            self.telemetry.access.refused("unknown_target");
            return Err(Refusal::UnknownTarget);
        };
        let Some(deliveries) = collected.target.config.deliveries.clone() else { return Err(Refusal::UnknownTarget) };
        let intake = self.intakes.of(name, |name| self.targets.find(name).is_some());
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
            self.submissions.try_send(submission).map_err(|_| {
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
        let _shared = self.parsers.acquire().await.map_err(closed)?;
        let (hook, key, name) = (deliveries.hook, self.key.clone(), intake.name.clone());
        let parsed = tokio::task::spawn_blocking(move || {
            let page = hook.read(&body, received_at);
            // Two servers may report records with the same identity.
            let uid = |record: &HookRecord| key.uid_of(&[name.as_bytes(), b"\0", &record.identity].concat());
            let records: Vec<_> = page.records.into_iter().map(|record| (uid(&record), record.record)).collect();
            (records, page.ignored, page.unreadable, page.problem)
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
