//! Accepts the connections of a listener within limits.

use super::accept_problem::AcceptProblem;
use super::activity::Activity;
use super::closed_connections::ClosedConnections;
use super::connection::Connection;
use super::connection_client::ConnectionClient;
use crate::serve::access::control::Access;
use crate::serve::limits::client_quota::ClientQuota;
use axum::Router;
use std::io;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The time for requests in progress to complete at shutdown.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);
/// The pause after a failed accept, for example when there are too many open files.
const ACCEPT_RETRY: Duration = Duration::from_secs(1);

/// Serves requests until `stop` is cancelled, and then finishes the requests in progress.
pub(crate) async fn serve(listener: TcpListener, router: Router, access: Access, stop: CancellationToken) {
    let limits = access.limits();
    let quota = ClientQuota::new(limits.connections_max, limits.connections_client_max);
    let watching = tokio::spawn(access.clone().watch(stop.clone()));
    let mut connections = JoinSet::new();
    let mut accept_problem = AcceptProblem::new(access.listener().name());
    let mut closed = ClosedConnections::new(access.clone());
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let now = Instant::now();
                accept_problem.end(now);
                closed.end(now);
                let activity = Activity::new(access.limits());
                let client = ConnectionClient::admit(&access, &access.rules(), peer, &activity);
                if let Some(cause) = client.as_ref().map_or_else(|| Some(peer.into()), ConnectionClient::cause_of_displacement) {
                    closed.note_unauthenticated(cause, now);
                }
                let Some(client) = client else {
                    access.telemetry().access.refused("connections");
                    continue;
                };
                let permit = match quota.try_acquire(peer.into()) {
                    Ok(permit) => permit,
                    Err(cause) => {
                        access.telemetry().access.refused("connections");
                        closed.note_new(cause, now);
                        continue;
                    }
                };
                let connection = Connection { client, router: router.clone(), access: access.clone(), stop: stop.clone() };
                connections.spawn(connection.run(stream, activity, permit));
            }
            // The client disconnected before its connection was accepted.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {}
            Err(error) => {
                accept_problem.start(&error, Instant::now());
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_DEADLINE, drained).await.is_err() {
        connections.shutdown().await;
    }
    // It stops by itself, too, but shutdown need not wait for it.
    watching.abort();
}
