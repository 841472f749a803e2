//! The listener: `POST /v1/deliveries/TARGET`.

use super::authenticate::{AuthenticationError, check_headers, check_signature};
use super::body::{self, BodyError, Pace};
use super::body_memory::{BodyMemory, BodyPool, NoMemory, PoolKind};
use super::commit::{RequestResources, Submission};
use super::intake::Intake;
use super::parse::ParseTask;
use super::refusal::Refusal;
use super::refusal_log::RefusalCause;
use super::store::{RecordInlet, RecordStore};
use super::unverified_requests::UnverifiedRequests;
use crate::config::{self, Deliveries, Prometheus};
use crate::delivery_log::StateError;
use crate::export::otlp::SendError;
use crate::model::RecordState;
use crate::serve::{Access, AccessError, ConnectionClient, ListenerKind, ServerLimits, serve};
use crate::telemetry::{CollectedTarget, SelfTelemetry, TargetSet};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Connections of one client. All senders may be behind one proxy, so it is not far below the number of all connections.
const CLIENT_CONNECTIONS_MAX: usize = 384;
/// Connections of one client before one of its requests has authenticated. A proxy may have as many requests at a time after a restart.
const UNAUTHENTICATED_CLIENT_CONNECTIONS_MAX: usize = 64;

/// The reason why records cannot be received.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    /// The certificate cannot be used.
    #[error(transparent)]
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
    memory: BodyPool,
    unverified: UnverifiedRequests,
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
        let access = Access::of_listener(ListenerKind::Receive, access_of(config), telemetry.clone(), connection_limits())?;
        Ok(Self { access, targets, telemetry, inlet: store.inlet()? })
    }

    /// Checks the certificate of a listener without opening it.
    ///
    /// # Errors
    /// The certificate cannot be used.
    pub fn check(config: &config::Receive) -> Result<(), ReceiverError> {
        Ok(Access::check(ListenerKind::Receive, access_of(config))?)
    }

    /// Serves requests until `stop` is cancelled, and then finishes the requests in flight.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let limits = self.inlet.limits;
        let memory = BodyPool::new(PoolKind::All, limits.bodies_bytes_max);
        let unverified = UnverifiedRequests::new(&limits);
        let app = App { targets: self.targets, telemetry: self.telemetry, inlet: self.inlet, memory, unverified };
        let not_found = || async { (StatusCode::NOT_FOUND, "not found; delivery records are sent by POST to /v1/deliveries/TARGET\n") };
        let router = Router::new().route("/v1/deliveries/{target}", post(receive)).fallback(not_found).with_state(Arc::new(app));
        serve(listener, router, self.access, stop).await;
    }
}

/// The address and TLS of the listener.
fn access_of(config: &config::Receive) -> Prometheus {
    Prometheus { tls: config.tls.clone(), ..Prometheus::open(config.listen.clone()) }
}

/// The limits of connections. Those of one client are wide, because the limits of each target keep a flood from the others.
fn connection_limits() -> ServerLimits {
    let limits = ServerLimits::default();
    ServerLimits {
        connections_client_max: CLIENT_CONNECTIONS_MAX,
        unauthenticated_client_max: UNAUTHENTICATED_CLIENT_CONNECTIONS_MAX,
        requests_client_max: limits.requests_max,
        ..limits
    }
}

/// Serves `POST /v1/deliveries/TARGET`.
async fn receive(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Extension(client): Extension<ConnectionClient>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match app.receive(&name, &client, &headers, body).await {
        Ok(()) => (StatusCode::OK, "").into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

impl App {
    /// Receives the records of a request. Returns when they are durable.
    async fn receive(&self, name: &str, client: &ConnectionClient, headers: &HeaderMap, body: Body) -> Result<(), Refusal> {
        let received_at = SystemTime::now();
        let accepts = |deliveries: &Option<Deliveries>| deliveries.as_ref().is_some_and(Deliveries::accepts_requests);
        let collected = self.targets.find(name).filter(|collected| accepts(&collected.target.config.deliveries));
        let Some(collected) = collected else {
            self.telemetry.access.refused("unknown_target");
            return Err(Refusal::UnknownTarget);
        };
        let Some(deliveries) = collected.target.config.deliveries.clone() else { return Err(Refusal::UnknownTarget) };
        let intake = self.inlet.intake(name);
        self.authenticate(&intake, check_headers(&intake, &deliveries, headers).await)?;
        let (slot, unverified, pools, pace) = if deliveries.has_header_credential() {
            client.remember_authenticated();
            let Ok(slot) = intake.slots.clone().try_acquire_owned() else {
                body::discard(body).await;
                return Err(self.target_is_busy(&intake));
            };
            (Some(slot), None, vec![self.memory.clone(), intake.memory.clone()], Pace::AUTHENTICATED)
        } else {
            // Its body is not read before the response: others could send such requests to occupy the listener.
            let admitted = self.unverified.admit(client, &self.memory, &intake.memory);
            let admitted = admitted.ok_or_else(|| self.too_many_unverified(&intake))?;
            (None, Some(admitted.permit), admitted.pools, Pace::UNVERIFIED)
        };
        let memory = BodyMemory::new(intake.name.clone(), pools);
        let read = body::read(headers, body, deliveries.hook.body_bytes_max, memory, pace).await;
        let mut body = read.map_err(|error| self.body_refusal(error, &intake, &deliveries))?;
        let deadline = tokio::time::Instant::now() + self.inlet.limits.commit_wait_max;
        let checked = check_signature(&intake, &deliveries, headers, &body.bytes, received_at).await;
        self.authenticate(&intake, checked)?;
        client.remember_authenticated();
        intake.log_acceptance(RefusalCause::BEFORE_AUTHENTICATION);
        let slot = slot.map_or_else(|| intake.slots.clone().try_acquire_owned(), Ok);
        let slot = slot.map_err(|_| self.target_is_busy(&intake))?;
        body.memory.verify(&intake.memory).map_err(|error| self.no_memory(&error, &intake))?;
        drop(unverified);
        let task = ParseTask {
            hook: deliveries.hook,
            key: self.inlet.key.clone(),
            target: intake.name.clone(),
            body: body.bytes,
            received_at,
            page_bytes_max: self.inlet.limits.page_bytes_max,
            resources: Arc::new(RequestResources::new(slot, body.memory)),
        };
        let stored = tokio::time::timeout_at(deadline, self.store(task, &collected, &intake)).await;
        stored.unwrap_or_else(|_| Err(self.refuse_later(&intake, RefusalCause::TooSlow, "the records are not stored in time")))?;
        intake.log_acceptance(RefusalCause::AFTER_AUTHENTICATION);
        Ok(())
    }

    /// Makes the records of a body durable, page by page.
    async fn store(&self, task: ParseTask, collected: &Arc<CollectedTarget>, intake: &Arc<Intake>) -> Result<(), Refusal> {
        let (received_at, resources) = (task.received_at, task.resources.clone());
        let started = task.start(intake, &self.inlet.parsers).await;
        let (mut pages, thread) = started.map_err(|_| Refusal::Later("the receiver is stopping"))?;
        let (mut unreadable, mut ignored) = (0, 0);
        while let Some(page) = pages.recv().await {
            (unreadable, ignored) = (unreadable + page.unreadable, ignored + page.ignored);
            if let Some(problem) = page.problem {
                intake.log(&format!("an item of a request is not a valid delivery record and is skipped: {problem}"));
            }
            if page.records.is_empty() {
                continue;
            }
            let (durable, result) = oneshot::channel();
            let (collected, intake_of, resources) = (collected.clone(), intake.clone(), Some(resources.clone()));
            let submission = Submission { collected, intake: intake_of, records: page.records, received_at, resources, durable };
            let sent = self.inlet.submissions.try_send(submission);
            sent.map_err(|_| self.refuse_later(intake, RefusalCause::Busy, "too many requests wait to be stored"))?;
            if !result.await.unwrap_or(false) {
                return Err(self.refuse_later(
                    intake,
                    RefusalCause::NotStored,
                    "the space of receive.max_bytes or the number of stored requests is used, or the disk fails",
                ));
            }
        }
        // A thread that failed has not read the body to its end.
        thread.await.map_err(|_| Refusal::Later("reading the request failed"))?;
        // Counted once, not at each attempt of the sender.
        if let Some(deliveries) = &collected.deliveries {
            deliveries.count(RecordState::Unreadable, unreadable);
            deliveries.count(RecordState::Ignored, ignored);
        }
        Ok(())
    }

    /// Counts and logs a refusal for which the sender is to try again.
    fn refuse_later(&self, intake: &Intake, cause: RefusalCause, problem: &'static str) -> Refusal {
        self.telemetry.access.refused(match cause {
            RefusalCause::NotStored | RefusalCause::TooSlow => "not_stored",
            RefusalCause::TooLarge => "body_too_large",
            RefusalCause::Busy | RefusalCause::Unverified | RefusalCause::Unauthenticated | RefusalCause::UnusableCredential => "busy",
        });
        intake.log_refusal(cause, || problem.to_owned());
        Refusal::Later(problem)
    }

    fn target_is_busy(&self, intake: &Intake) -> Refusal {
        self.refuse_later(intake, RefusalCause::Busy, "the target has too many requests at a time")
    }

    fn too_many_unverified(&self, intake: &Intake) -> Refusal {
        intake.log_refusal(RefusalCause::Unverified, || {
            "too many requests whose signature is not verified yet; set a token or a password at the sender and here, or block addresses that are not yours".to_owned()
        });
        self.refuse_later(intake, RefusalCause::Unverified, "too many requests are not verified yet")
    }

    /// Logs which pool is used and by which target, which the response does not contain.
    fn no_memory(&self, error: &NoMemory, intake: &Intake) -> Refusal {
        let cause = match error.kind {
            PoolKind::All | PoolKind::Target => RefusalCause::Busy,
            PoolKind::Unverified | PoolKind::Unknown => RefusalCause::Unverified,
        };
        intake.log_refusal(cause, || error.to_string());
        self.refuse_later(intake, cause, "the requests need too much memory")
    }

    /// Turns a failed authentication into a response. A sender is not blamed for a key that Postmeter cannot read.
    fn authenticate(&self, intake: &Intake, result: Result<(), AuthenticationError>) -> Result<(), Refusal> {
        let Err(error) = result else { return Ok(()) };
        if error.is_configuration_error() {
            intake.log_refusal(RefusalCause::UnusableCredential, || error.to_string());
            return Err(Refusal::Later("the receiver cannot check the credential"));
        }
        self.telemetry.access.refused("unauthenticated");
        intake.log_refusal(RefusalCause::Unauthenticated, || format!("{error}; {}", error.advice()));
        Err(Refusal::Unauthenticated)
    }

    fn body_refusal(&self, error: BodyError, intake: &Intake, deliveries: &Deliveries) -> Refusal {
        match error {
            BodyError::NoMemory(error) => self.no_memory(&error, intake),
            BodyError::TooLarge => {
                let bytes_max = deliveries.hook.body_bytes_max;
                intake.log_refusal(RefusalCause::TooLarge, || {
                    format!("a request exceeds {bytes_max} bytes; let the sender send smaller batches")
                });
                self.refuse_later(intake, RefusalCause::TooLarge, "the request is too large")
            }
            BodyError::Incomplete => {
                self.telemetry.access.refused("slow_request");
                Refusal::Later("the request is incomplete")
            }
            BodyError::UnknownEncoding => {
                self.telemetry.access.refused("encoding");
                intake.log(
                    "requests are rejected with 415, because their Content-Encoding is not gzip; let the sender use gzip or no compression",
                );
                Refusal::UnknownEncoding
            }
            BodyError::Damaged => {
                self.telemetry.access.refused("encoding");
                intake.log("a request was rejected with 400, because it cannot be decompressed although its Content-Encoding is gzip");
                Refusal::Damaged
            }
            // It is not acknowledged, because the sender would then believe that its records have arrived.
            BodyError::Missing => {
                self.telemetry.access.refused("empty_body");
                intake.log("a request without a body was rejected with 503, so that its sender sends it again");
                Refusal::Later("the request has no body")
            }
        }
    }
}
