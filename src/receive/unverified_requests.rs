//! Requests whose signature is the only credential: anybody can send them, and they are authenticated only after the whole body is read.
//! Until then they have limits of their own, so that they cost neither the targets' slots nor the memory of authenticated requests.

use super::ReceiveLimits;
use super::body_memory::{BodyPool, PoolKind};
use crate::serve::ConnectionClient;
use crate::serve::limits::client_quota::{ClientQuota, QuotaPermit};
use std::sync::Arc;

/// The limits of requests that are not verified yet.
#[derive(Debug)]
pub(super) struct UnverifiedRequests {
    /// The requests of clients that have authenticated before.
    known: Arc<ClientQuota>,
    /// The requests of all other clients, so that these leave room for senders.
    unknown: Arc<ClientQuota>,
    memory: BodyPool,
    unknown_memory: BodyPool,
}

/// A request that is not verified yet.
#[derive(Debug)]
pub(super) struct UnverifiedRequest {
    /// Its place among such requests.
    pub permit: QuotaPermit,
    /// The pools of its body.
    pub pools: Vec<BodyPool>,
}

impl UnverifiedRequests {
    pub(super) fn new(limits: &ReceiveLimits) -> Self {
        Self {
            known: ClientQuota::new(limits.unverified_requests_max, limits.unverified_requests_client_max),
            unknown: ClientQuota::new(limits.unknown_requests_max, limits.unknown_requests_client_max),
            memory: BodyPool::new(PoolKind::Unverified, limits.unverified_bodies_bytes_max),
            unknown_memory: BodyPool::new(PoolKind::Unknown, limits.unknown_bodies_bytes_max),
        }
    }

    /// Admits a request, whose body is also in the pool of all bodies. That of a client that has authenticated before is in its target's
    /// pool as well; others enter it when they are verified. Returns `None` if there are too many requests.
    pub(super) fn admit(&self, client: &ConnectionClient, all: &BodyPool, of_target: &BodyPool) -> Option<UnverifiedRequest> {
        let is_known = client.has_authenticated();
        let permit = if is_known { &self.known } else { &self.unknown }.try_acquire(client.client()).ok()?;
        let last = if is_known { of_target } else { &self.unknown_memory };
        Some(UnverifiedRequest { permit, pools: vec![all.clone(), self.memory.clone(), last.clone()] })
    }
}
