//! `/-/reload`: asks for the configuration to be read again, and waits for what comes of it.

use super::Served;
use axum::extract::State;
use axum::http::StatusCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{mpsc, oneshot};

/// Reloads that wait for the one that runs.
const WAITING_MAX: usize = 8;

/// Somebody wants a reload, and waits to be told in words how it went: what changed, or why nothing did.
pub type Ask = oneshot::Sender<Result<String, String>>;

/// Whether the endpoint reloads, and how. By itself it is closed for good.
#[derive(Clone, Debug)]
pub struct Reload {
    open: Arc<AtomicBool>,
    asks: Option<mpsc::Sender<Ask>>,
}

impl Reload {
    /// A closed door, and where those who come through it arrive once it is open.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Ask>) {
        let (asks, asked) = mpsc::channel(WAITING_MAX);
        (Self { open: Arc::default(), asks: Some(asks) }, asked)
    }

    /// Closed for good.
    #[must_use]
    pub fn never() -> Self {
        Self { open: Arc::default(), asks: None }
    }

    /// Whether the endpoint does it from now on.
    pub fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
    }

    async fn ask(&self) -> Option<Result<String, String>> {
        let asks = self.asks.as_ref().filter(|_| self.open.load(Ordering::Relaxed))?;
        let (tell, told) = oneshot::channel();
        let ended =
            || Some(Err("Postmeter is stopping, or its reloading has failed: its log says which; a restart reads the file".to_owned()));
        if asks.send(tell).await.is_err() {
            return ended();
        }
        told.await.ok().or_else(ended)
    }
}

/// 200 with what changed, 500 with every problem, 403 where nobody allowed it.
pub(super) async fn reload(State(served): State<Served>) -> (StatusCode, String) {
    match served.reload.ask().await {
        Some(Ok(changes)) => (StatusCode::OK, format!("reloaded: {changes}\n")),
        Some(Err(problems)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("not reloaded, nothing has changed:\n{problems}\n")),
        None => {
            let how = "reload by HTTP is off; allow it with reload: {endpoint: true} or --enable-reload, or send SIGHUP\n";
            (StatusCode::FORBIDDEN, how.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn whoever_asks_when_nobody_reloads_is_told_so() {
        let (door, asked) = Reload::new();
        assert!(door.ask().await.is_none());
        door.set_open(true);
        drop(asked);
        assert!(door.ask().await.unwrap().unwrap_err().contains("or its reloading has failed"));
    }
}
