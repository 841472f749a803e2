//! A sender of deliveries: sends each item until it is acknowledged, or as often as the system does.

use super::format::HookFormat;
use super::outgoing::{Outgoing, OutgoingQueue};
use super::request::{HookRequest, Item};
use super::{Delivery, Hook, HookFault, HookSystem};
use parking_lot::Mutex;
use reqwest::Client;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

/// The requests of a flood at the same time.
const FLOOD_REQUESTS: usize = 100;
/// The items of such a request.
const FLOOD_ITEMS_MAX: usize = 20;
/// The messages that are kept in [`HookTotals::acknowledged`].
const ACKNOWLEDGED_MAX: usize = 1_000_000;
/// The longest wait without a new item.
const IDLE: Duration = Duration::from_secs(3600);

/// The results of a sender's requests.
#[derive(Clone, Debug, Default)]
pub struct HookTotals {
    /// Requests by the status of their response. 0: there was none.
    pub statuses: BTreeMap<u16, u64>,
    /// Responses with status 503 without a valid `Retry-After`.
    pub without_retry_after: u64,
    /// The numbers of the messages that were acknowledged, up to a million.
    pub acknowledged: BTreeSet<u64>,
    /// Items that were dropped, because the system drops them after some attempts.
    pub dropped: u64,
    /// Items that a newer one of the same message replaced.
    pub replaced: u64,
}

/// A sender of deliveries. It stops when it is dropped.
#[derive(Debug)]
pub struct HookSender {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
    /// The task that reports the deliveries of a simulated server.
    pub(super) source: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    format: &'static HookFormat,
    hook: Hook,
    client: Client,
    queue: Mutex<OutgoingQueue>,
    totals: Mutex<HookTotals>,
    added: Notify,
}

impl Drop for HookSender {
    fn drop(&mut self) {
        self.task.abort();
        self.source.iter().for_each(JoinHandle::abort);
    }
}

impl HookSender {
    /// Starts a sender, which has nothing to send yet.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn start(system: HookSystem, hook: Hook) -> Result<Self, reqwest::Error> {
        let format = system.format();
        let client = Client::builder().tls_certs_only([]).no_proxy().timeout(format.retries.response_max).build()?;
        let (queue, totals, added) = (Mutex::default(), Mutex::default(), Notify::new());
        let shared = Arc::new(Shared { format, hook, client, queue, totals, added });
        let task = tokio::spawn(shared.clone().run());
        Ok(Self { shared, task, source: None })
    }

    /// Reports deliveries.
    pub fn report(&self, deliveries: impl IntoIterator<Item = Delivery>) {
        self.shared.report(deliveries);
    }

    /// Reports deliveries, from a task that outlives the borrow of the sender.
    pub(super) fn reporter(&self) -> impl Fn(Vec<Delivery>) + Send + 'static {
        let shared = self.shared.clone();
        move |deliveries| shared.report(deliveries)
    }

    /// The results of the requests so far.
    #[must_use]
    pub fn totals(&self) -> HookTotals {
        self.shared.totals.lock().clone()
    }

    /// Returns `true` if everything that was reported is acknowledged or dropped.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.shared.queue.lock().is_idle()
    }
}

impl Shared {
    fn report(&self, deliveries: impl IntoIterator<Item = Delivery>) {
        let age = self.hook.fault.map_or(Duration::ZERO, HookFault::age).as_secs();
        for delivery in deliveries {
            let (at, received) = (delivery.at - age, delivery.received - age);
            let delivery = Delivery { at, received, ..delivery };
            let item = Item::new(self.format, &self.hook, &delivery);
            let mut queue = self.queue.lock();
            if self.format.retries.is_replaced && queue.replace(delivery.id) {
                self.totals.lock().replaced += 1;
            }
            if !queue.push(Outgoing { id: delivery.id, item, failed_attempts: 0, due: Instant::now() }) {
                self.totals.lock().dropped += 1;
            }
        }
        self.added.notify_one();
    }

    async fn run(self: Arc<Self>) {
        let mut requests = JoinSet::new();
        let is_flood = self.hook.fault == Some(HookFault::Flood);
        let items_max = self.format.body.items_max();
        let (parallel_max, items_max) =
            if is_flood { (FLOOD_REQUESTS, items_max.min(FLOOD_ITEMS_MAX)) } else { (self.format.parallel_max, items_max) };
        loop {
            let is_newest_first = self.hook.fault == Some(HookFault::OutOfOrder);
            let next = match requests.len() < parallel_max {
                true => self.queue.lock().next(items_max, is_newest_first, Instant::now()),
                false => Err(None),
            };
            match next {
                Ok(items) => drop(requests.spawn(self.clone().send(items))),
                Err(wait) => {
                    let wait = tokio::time::sleep(wait.unwrap_or(IDLE));
                    tokio::select! {
                        () = wait => {}
                        () = self.added.notified() => {}
                        Some(_) = requests.join_next() => {}
                    }
                }
            }
        }
    }

    /// Sends a request, and decides what becomes of its items.
    async fn send(self: Arc<Self>, items: Vec<Outgoing>) {
        let request = HookRequest::new(self.format, &self.hook, &items.iter().map(|outgoing| &outgoing.item).collect::<Vec<_>>());
        let is_first = items.iter().all(|outgoing| outgoing.failed_attempts == 0);
        let request = if is_first && self.hook.fault == Some(HookFault::MissingBody) { request.without_body() } else { request };
        let is_acknowledged = self.post(&request).await == Some(200);
        match self.hook.fault {
            Some(HookFault::Duplicates) if is_acknowledged => drop(self.post(&request).await),
            Some(HookFault::ChangedBody) if is_acknowledged => drop(self.post(&request.with_changed_body()).await),
            _ => {}
        }
        let (count, now) = (items.len(), Instant::now());
        let (retries, fault) = (&self.format.retries, self.hook.fault);
        let is_flood = fault == Some(HookFault::Flood);
        let mut queue = self.queue.lock();
        queue.end(count);
        for mut outgoing in items {
            if is_acknowledged {
                let acknowledged = &mut self.totals.lock().acknowledged;
                if acknowledged.len() < ACKNOWLEDGED_MAX {
                    acknowledged.insert(outgoing.id);
                }
            }
            outgoing.failed_attempts += 1;
            let is_dropped = retries.attempts_max.is_some_and(|max| outgoing.failed_attempts >= max)
                // Its requests are refused for ever.
                || fault.is_some_and(HookFault::is_forgery);
            if is_flood {
                outgoing.due = now;
                queue.push(outgoing);
            } else if !is_acknowledged && is_dropped {
                self.totals.lock().dropped += 1;
            } else if !is_acknowledged {
                outgoing.due = now + retries.pause(outgoing.failed_attempts, self.hook.retry_pause);
                queue.push(outgoing);
            }
        }
    }

    /// Sends a request once. Returns the status of the response.
    async fn post(&self, request: &HookRequest) -> Option<u16> {
        let headers = request.headers.iter();
        let post = self.client.post(&self.hook.url).body(request.body.clone());
        let post = headers.fold(post, |post, (name, value)| post.header(*name, value));
        let response = post.send().await.ok();
        let status = response.as_ref().map(|response| response.status().as_u16());
        let retry_after = response.as_ref().and_then(|response| response.headers().get("retry-after")?.to_str().ok()?.parse::<u64>().ok());
        let mut totals = self.totals.lock();
        *totals.statuses.entry(status.unwrap_or(0)).or_default() += 1;
        totals.without_retry_after += u64::from(status == Some(503) && retry_after.is_none_or(|seconds| seconds == 0));
        status
    }
}
