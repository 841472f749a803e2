//! The task that requests the list of `targets_http`.

use crate::config::TargetsHttp;
use crate::net::FileThread;
use crate::poll::request_target_list;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// A response of `targets_http`, or the error of the request.
#[derive(Debug)]
pub(in crate::app) struct TargetList {
    /// The request.
    pub request: TargetsHttp,
    /// The body, or the reason, readable.
    pub response: Result<String, String>,
}

/// Requests the list at its interval, and at once when the request has changed, until `stop` is cancelled. A request that is replaced
/// while it waits for its response is given up.
pub(in crate::app) async fn request_lists(
    mut settings: watch::Receiver<Option<TargetsHttp>>,
    lists: mpsc::Sender<TargetList>,
    stop: CancellationToken,
) {
    let files = FileThread::default();
    loop {
        let current = settings.borrow_and_update().clone();
        let request_once = async {
            // Without a list there is nothing to do until a reload adds one.
            let Some(request) = current else { return std::future::pending().await };
            let response = request_target_list(&request, &files).await;
            let interval = request.interval;
            if lists.send(TargetList { request, response }).await.is_err() {
                return std::future::pending().await;
            }
            tokio::time::sleep(interval).await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            changed = settings.changed() => if changed.is_err() { return },
            () = request_once => {}
        }
    }
}
