//! Writes one request with metrics: tracks the open messages and the remaining space.

use super::native_metrics::RequestFull;
use super::wire::{LENGTH_BYTES, OPEN_BYTES_MAX, bytes, close, delimited, field_len, open};

/// `repeated ResourceMetrics resource_metrics = 1`
const RESOURCE_METRICS: u8 = delimited(1);
/// `repeated ScopeMetrics scope_metrics = 2`
const SCOPE_METRICS: u8 = delimited(2);
/// `repeated Metric metrics = 2`
const METRICS: u8 = delimited(2);
/// The length of the tag and the length of an open message.
const OPEN_LEN: usize = 1 + LENGTH_BYTES;

/// A request that is being written.
#[derive(Debug)]
pub(crate) struct MetricsRequestWriter {
    pub bytes: Vec<u8>,
    pub points: u64,
    bytes_max: usize,
    /// The positions of the open messages: `ResourceMetrics`, `ScopeMetrics`, and `Metric` with its data.
    resource: Option<usize>,
    scope: Option<usize>,
    metric: Option<(usize, usize)>,
}

/// The resource and the scope of a metric.
#[derive(Clone, Copy)]
pub(crate) struct EncodedScope<'a> {
    /// The encoded field with the resource.
    pub resource: &'a [u8],
    /// The encoded fields of the `ScopeMetrics` before its metrics.
    pub fields: &'a [u8],
}

impl MetricsRequestWriter {
    /// Begins a request in an empty buffer.
    pub(crate) fn new(buffer: Vec<u8>, bytes_max: usize) -> Self {
        let bytes_max = bytes_max.min(OPEN_BYTES_MAX);
        Self { bytes: buffer, points: 0, bytes_max, resource: None, scope: None, metric: None }
    }

    /// Returns true if `more` bytes fit. The first point always fits: a single point cannot be split.
    #[inline]
    pub(crate) fn has_space(&self, more: usize) -> bool {
        self.bytes.len() + more <= self.bytes_max || self.points == 0
    }

    #[inline]
    pub(crate) fn has_metric(&self) -> bool {
        self.metric.is_some()
    }

    /// Adds a complete `ScopeMetrics`.
    pub(crate) fn add_scope(&mut self, resource: &[u8], scope_metrics: &[u8], points: u64) -> Result<(), RequestFull> {
        self.end_scope();
        if !self.has_space(self.resource_len(resource) + field_len(scope_metrics.len())) {
            return Err(RequestFull);
        }
        self.start_resource(resource);
        bytes(&mut self.bytes, SCOPE_METRICS, scope_metrics);
        self.points += points;
        Ok(())
    }

    /// Starts a metric if it fits together with a first point of `point_len` bytes. `write_header` writes the fields of the metric,
    /// `write_data_fields` those of its data beside the points.
    pub(crate) fn start_metric(
        &mut self,
        scope: &EncodedScope<'_>,
        data_field: u8,
        point_len: usize,
        write_header: impl Fn(&mut Vec<u8>),
        write_data_fields: impl Fn(&mut Vec<u8>),
    ) -> Result<(), RequestFull> {
        let (len_before, resource_before, scope_before) = (self.bytes.len(), self.resource, self.scope);
        self.start_resource(scope.resource);
        if self.scope.is_none() {
            self.scope = Some(open(&mut self.bytes, SCOPE_METRICS));
            self.bytes.extend_from_slice(scope.fields);
        }
        let metric = open(&mut self.bytes, METRICS);
        write_header(&mut self.bytes);
        let data = open(&mut self.bytes, data_field);
        write_data_fields(&mut self.bytes);
        if !self.has_space(point_len) {
            self.bytes.truncate(len_before);
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

    /// Ends the open metric and scope.
    pub(crate) fn end_scope(&mut self) {
        self.end_metric();
        if let Some(scope) = self.scope.take() {
            close(&mut self.bytes, scope);
        }
    }

    /// Ends the open metric, scope and resource.
    pub(crate) fn end_resource(&mut self) {
        self.end_scope();
        if let Some(resource) = self.resource.take() {
            close(&mut self.bytes, resource);
        }
    }

    fn start_resource(&mut self, resource: &[u8]) {
        if self.resource.is_none() {
            self.resource = Some(open(&mut self.bytes, RESOURCE_METRICS));
            self.bytes.extend_from_slice(resource);
        }
    }

    fn resource_len(&self, resource: &[u8]) -> usize {
        if self.resource.is_some() { 0 } else { OPEN_LEN + resource.len() }
    }
}
