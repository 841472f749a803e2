//! The remote mail servers of a simulated KumoMTA.

use super::{Family, POOL, SOURCES, Value, by_series};
use crate::simulate::Traffic;

/// Remote mail servers with series of their own; all further domains share the last one.
const PEERS_MAX: usize = 40;

/// Sums of a remote mail server over its domains.
#[derive(Default, Clone)]
pub(super) struct Totals {
    pub(super) ready: u64,
    pub(super) scheduled: u64,
    pub(super) delivered: u64,
    pub(super) deferred: u64,
    pub(super) failed: u64,
    pub(super) opened: u64,
}

/// A remote mail server.
pub(super) struct Peer {
    pub(super) host: String,
    pub(super) provider: String,
    pub(super) totals: Totals,
}

pub(super) fn peers(t: &Traffic) -> Vec<Peer> {
    let mut peers: Vec<Peer> = Vec::new();
    for (index, domain) in t.domains.iter().enumerate() {
        let index = index.min(PEERS_MAX - 1);
        if index == peers.len() {
            let host = if index == PEERS_MAX - 1 { "mx.shared.example.net".to_string() } else { format!("mx.{}", domain.name) };
            let provider = ["Provider One", "Provider Two"].get(index).map_or_else(|| host.clone(), ToString::to_string);
            peers.push(Peer { host, provider, totals: Totals::default() });
        }
        let totals = &mut peers[index].totals;
        totals.ready += domain.ready;
        totals.scheduled += domain.scheduled;
        totals.delivered += domain.delivered;
        totals.deferred += domain.deferred;
        totals.failed += domain.failed;
        totals.opened += domain.opened;
    }
    peers
}

/// The share of a source in a number. The shares add up to the number, and do not decrease unless it does.
pub(super) fn share(n: u64, source: usize) -> u64 {
    let of = SOURCES.len() as u64;
    (n + of - 1 - source as u64) / of
}

/// Families by provider, source and pool.
pub(super) fn providers(peers: &[Peer], out: &mut Vec<Family>) {
    let by =
        |of: fn(&Totals) -> u64| Value::ByLabel("provider", peers.iter().map(|peer| (peer.provider.clone(), of(&peer.totals))).collect());
    let by_pool = |of: fn(&Totals) -> u64| {
        let row = |peer: &Peer| (vec![peer.provider.clone(), POOL.to_string()], of(&peer.totals));
        Value::ByLabels(&["provider", "pool"], peers.iter().map(row).collect())
    };
    let by_source = |of: fn(&Totals) -> u64| {
        let row = |peer: &Peer, source: usize| {
            (vec![peer.provider.clone(), SOURCES[source].to_string(), POOL.to_string()], share(of(&peer.totals), source))
        };
        let rows = peers.iter().flat_map(|peer| (0..SOURCES.len()).map(move |source| row(peer, source)));
        Value::ByLabels(&["provider", "source", "pool"], rows.collect())
    };
    let (delivered, deferred, failed) =
        ("messages delivered", "delivery attempts with a transient failure", "delivery attempts with a permanent failure");
    let queued = "messages in scheduled and ready queues";
    out.extend([
        by_series("total_messages_fail_by_provider_and_source", "counter", failed, by_source(|totals| totals.failed)),
        by_series("total_messages_delivered_by_provider_and_source", "counter", delivered, by_source(|totals| totals.delivered)),
        by_series("total_messages_transfail_by_provider_and_source", "counter", deferred, by_source(|totals| totals.deferred)),
        by_series("total_messages_fail_by_provider", "counter", failed, by(|totals| totals.failed)),
        by_series("total_messages_delivered_by_provider", "counter", delivered, by(|totals| totals.delivered)),
        by_series("total_messages_transfail_by_provider", "counter", deferred, by(|totals| totals.deferred)),
        by_series("queued_count_by_provider", "gauge", queued, by(|totals| totals.scheduled + totals.ready)),
        by_series("queued_count_by_provider_and_pool", "gauge", queued, by_pool(|totals| totals.scheduled + totals.ready)),
    ]);
}
