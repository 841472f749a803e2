//! One request while it is written: the messages that are open, and whether there is room.

use super::native_metrics::RequestFull;
use super::wire::{LENGTH_BYTES, OPEN_BYTES_MAX, bytes, close, delimited, field_len, open};

/// `repeated ResourceMetrics resource_metrics = 1`
const RESOURCE_METRICS: u8 = delimited(1);
/// `repeated ScopeMetrics scope_metrics = 2`
const SCOPE_METRICS: u8 = delimited(2);
/// `repeated Metric metrics = 2`
const METRICS: u8 = delimited(2);
/// What it takes to begin a message.
const OPEN_LEN: usize = 1 + LENGTH_BYTES;

/// A request that is being written.
#[derive(Debug)]
pub(crate) struct MetricsRequestWriter {
    pub bytes: Vec<u8>,
    pub points: u64,
    bytes_max: usize,
    resource: Option<usize>,
    scope: Option<usize>,
    metric: Option<(usize, usize)>,
}

/// Whose metrics they are.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// The Resource as a field, encoded.
    pub resource: &'a [u8],
    /// The fields of a `ScopeMetrics` beside its metrics, encoded.
    pub scope: &'a [u8],
}

impl MetricsRequestWriter {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max.min(OPEN_BYTES_MAX);
        Self { bytes: Vec::new(), points: 0, bytes_max, resource: None, scope: None, metric: None }
    }

    /// Whether so many bytes more fit, or there is nothing yet, so that they have to.
    #[inline]
    pub(crate) fn fits(&self, more: usize) -> bool {
        self.bytes.len() + more <= self.bytes_max || self.points == 0
    }

    #[inline]
    pub(crate) fn has_metric(&self) -> bool {
        self.metric.is_some()
    }

    /// Adds a whole `ScopeMetrics`.
    pub(crate) fn add_scope(&mut self, resource: &[u8], scope_metrics: &[u8], points: u64) -> Result<(), RequestFull> {
        self.end_scope();
        if !self.fits(self.resource_len(resource) + field_len(scope_metrics.len())) {
            return Err(RequestFull);
        }
        self.begin_resource(resource);
        bytes(&mut self.bytes, SCOPE_METRICS, scope_metrics);
        self.points += points;
        Ok(())
    }

    /// Begins a metric, if it fits with so many bytes of points.
    pub(crate) fn begin_metric(
        &mut self,
        scope: &Scope<'_>,
        data: u8,
        points: usize,
        head: impl Fn(&mut Vec<u8>),
        data_head: impl Fn(&mut Vec<u8>),
    ) -> Result<(), RequestFull> {
        let (before, resource_before, scope_before) = (self.bytes.len(), self.resource, self.scope);
        self.begin_resource(scope.resource);
        if self.scope.is_none() {
            self.scope = Some(open(&mut self.bytes, SCOPE_METRICS));
            self.bytes.extend_from_slice(scope.scope);
        }
        let metric = open(&mut self.bytes, METRICS);
        head(&mut self.bytes);
        let data = open(&mut self.bytes, data);
        data_head(&mut self.bytes);
        if !self.fits(points) {
            // As if nothing had been begun.
            self.bytes.truncate(before);
            (self.resource, self.scope) = (resource_before, scope_before);
            return Err(RequestFull);
        }
        self.metric = Some((metric, data));
        Ok(())
    }

    pub(crate) fn end_metric(&mut self) {
        if let Some((metric, data)) = self.metric.take() {
            close(&mut self.bytes, data);
            close(&mut self.bytes, metric);
        }
    }

    /// Ends what belongs to a scope.
    pub(crate) fn end_scope(&mut self) {
        self.end_metric();
        if let Some(scope) = self.scope.take() {
            close(&mut self.bytes, scope);
        }
    }

    /// Ends what belongs to a target.
    pub(crate) fn end_resource(&mut self) {
        self.end_scope();
        if let Some(resource) = self.resource.take() {
            close(&mut self.bytes, resource);
        }
    }

    fn begin_resource(&mut self, resource: &[u8]) {
        if self.resource.is_none() {
            self.resource = Some(open(&mut self.bytes, RESOURCE_METRICS));
            self.bytes.extend_from_slice(resource);
        }
    }

    fn resource_len(&self, resource: &[u8]) -> usize {
        if self.resource.is_some() { 0 } else { OPEN_LEN + resource.len() }
    }
}
