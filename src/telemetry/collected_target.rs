//! A target with its pipeline: what both ways out collect from.

use super::meter_provider::MeterProviderError;
use super::{DeliveryMetrics, Identity, Pipeline};
use crate::config::Origin;
use crate::model::Point;
use crate::poll::{Reading, Target};
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use parking_lot::Mutex;
use prometheus::proto::MetricFamily;
use std::sync::Arc;
use std::time::Instant;

/// A target that is collected.
#[derive(Debug)]
pub struct CollectedTarget {
    /// Where readings come from.
    pub target: Arc<Target>,
    /// Where they go through.
    pub pipeline: Pipeline,
    /// What is counted of its delivery log, if that is followed.
    pub deliveries: Option<Arc<DeliveryMetrics>>,
    identity: Identity,
    origin: Mutex<Origin>,
}

impl CollectedTarget {
    /// Puts a pipeline behind a target.
    ///
    /// # Errors
    /// The SDK's reason.
    pub fn new(target: Arc<Target>) -> Result<Self, MeterProviderError> {
        Self::build(target, None)
    }

    /// The one that takes the place of `before`. What was counted of the delivery log goes on if it is the same server.
    ///
    /// # Errors
    /// The SDK's reason.
    pub fn succeeding(target: Arc<Target>, before: &Self) -> Result<Self, MeterProviderError> {
        Self::build(target, Some(before))
    }

    fn build(target: Arc<Target>, before: Option<&Self>) -> Result<Self, MeterProviderError> {
        let pipeline = Pipeline::new(&target)?;
        let identity = Identity::of(&target.config);
        let counted = before.filter(|before| before.identity == identity).and_then(|before| before.deliveries.as_ref());
        let deliveries = target.config.delivery_log.is_some().then(|| match counted {
            Some(counted) => pipeline.deliveries().going_on_from(counted),
            None => pipeline.deliveries(),
        });
        let origin = Mutex::new(target.config.origin.clone());
        Ok(Self { target, pipeline, deliveries: deliveries.map(Arc::new), identity, origin })
    }

    /// Who the target is, as far as this reading knows.
    #[must_use]
    pub fn identity(&self, reading: &Reading) -> Identity {
        // The version outlives a poll that failed: it is said of the server, not of the poll.
        let latest = reading.snapshot().and_then(|s| s.version.clone()).or_else(|| self.target.version());
        let identity = self.identity.with_version(latest.as_deref());
        // So does what the server says of itself.
        match reading.snapshot() {
            Some(_) => identity.with_target_info(reading.native.resource_attributes()),
            None => identity.with_target_info(&self.target.target_info()),
        }
    }

    /// Who the target is, as far as anybody knows.
    #[must_use]
    pub fn last_identity(&self) -> Identity {
        self.identity.with_version(self.target.version().as_deref()).with_target_info(&self.target.target_info())
    }

    /// Whether series of the two are one another's continuation: the same system at the same place under the same name.
    #[must_use]
    pub fn continues(&self, other: &Self) -> bool {
        self.identity == other.identity
    }

    /// Where it is configured now: lines move while what they say stays.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin.lock().clone()
    }

    /// It is configured here from now on.
    pub fn stands_at(&self, origin: Origin) {
        *self.origin.lock() = origin;
    }

    /// A reading as `opentelemetry-prometheus` gathers it, for the pull.
    pub fn gather(&self, reading: &Reading) -> Vec<MetricFamily> {
        self.pipeline.gather(self.points(reading))
    }

    /// A reading as the SDK collects it, for the push.
    pub fn collect(&self, reading: &Reading) -> ResourceMetrics {
        self.pipeline.collect(self.points(reading))
    }

    /// The points of a reading, and those of the delivery log: what was counted of it does not depend on the poll.
    fn points(&self, reading: &Reading) -> Vec<Point> {
        let now = Instant::now();
        let mut points = reading.points(now);
        points.extend(self.deliveries.iter().flat_map(|deliveries| deliveries.points(now)));
        points
    }
}
