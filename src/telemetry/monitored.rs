//! A target with its pipeline: what both ways out collect from.

use super::pipeline::PipelineError;
use super::{Identity, Pipeline};
use crate::poll::{Reading, Target};
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use prometheus::proto::MetricFamily;
use std::sync::Arc;
use std::time::Instant;

/// A target that is collected.
#[derive(Debug)]
pub struct Monitored {
    /// Where readings come from.
    pub target: Arc<Target>,
    /// Where they go through.
    pub pipeline: Pipeline,
    identity: Identity,
}

impl Monitored {
    /// Puts a pipeline behind a target.
    ///
    /// # Errors
    /// The SDK's reason.
    pub fn new(target: Arc<Target>) -> Result<Self, PipelineError> {
        let pipeline = Pipeline::new(&target)?;
        let identity = Identity::of(&target.config);
        Ok(Self { target, pipeline, identity })
    }

    /// Who the target is, as far as this reading knows.
    #[must_use]
    pub fn identity(&self, reading: &Reading) -> Identity {
        // The version outlives a poll that failed: it is said of the server, not of the poll.
        let latest = reading.snapshot().and_then(|s| s.version.clone()).or_else(|| self.target.version());
        self.identity.with_version(latest.as_deref())
    }

    /// Who the target is, as far as anybody knows.
    #[must_use]
    pub fn last_identity(&self) -> Identity {
        self.identity.with_version(self.target.version().as_deref())
    }

    /// Whether series of the two are one another's continuation: the same system at the same place under the same name.
    #[must_use]
    pub fn continues(&self, other: &Self) -> bool {
        self.identity == other.identity
    }

    /// A reading as `opentelemetry-prometheus` gathers it, for the pull.
    pub fn gather(&self, reading: &Reading) -> Vec<MetricFamily> {
        self.pipeline.gather(reading.points(Instant::now()))
    }

    /// A reading as the SDK collects it, for the push.
    pub fn collect(&self, reading: &Reading) -> ResourceMetrics {
        self.pipeline.collect(reading.points(Instant::now()))
    }
}
