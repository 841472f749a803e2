//! The fields of a metric of native series, except its points.

use super::exemplar::write_exemplar;
use super::point_writer::Point;
use super::wire::{attribute_name, bytes, delimited, key_value, varint};
use crate::model::{Exemplar, FamilyType, SampleRef, SelectedFamily};
use crate::report::UnixNanos;
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;

/// The fields of a metric before its points.
pub(crate) struct MetricHeader<'a> {
    pub(super) family: &'a SelectedFamily<'a>,
    is_delta: bool,
    /// Some labels of the series describe their scope and are not attributes of the points.
    pub(super) is_scoped: bool,
    /// At least one series of the reading has an exemplar.
    has_exemplars: bool,
}

impl<'a> MetricHeader<'a> {
    pub(crate) fn new(family: &'a SelectedFamily<'a>, is_delta: bool, has_exemplars: bool) -> Self {
        Self { family, is_delta, is_scoped: family.scope().is_some(), has_exemplars }
    }

    /// Encodes the exemplars of a series as this field of its point. A delta includes only the exemplars since its start.
    #[inline]
    pub(super) fn exemplars(&self, field: u8, sample: &SampleRef<'_>, point: &Point<'_>) -> Vec<u8> {
        let mut to = Vec::new();
        if self.has_exemplars {
            let start = point.start.map_or(0, UnixNanos::get);
            let is_new = |exemplar: &Exemplar<'_>| !self.is_delta || exemplar.time() == 0 || exemplar.time() > start;
            sample.exemplars().filter(is_new).for_each(|exemplar| write_exemplar(&mut to, field, &exemplar, point.time.get()));
        }
        to
    }

    pub(super) fn write(&self, to: &mut Vec<u8>) {
        const NAME: u8 = delimited(1);
        const DESCRIPTION: u8 = delimited(2);
        const UNIT: u8 = delimited(3);
        const METADATA: u8 = delimited(12);
        bytes(to, NAME, &attribute_name(self.family.name().as_bytes()));
        if !self.family.help().is_empty() {
            bytes(to, DESCRIPTION, self.family.help().as_bytes());
        }
        let unit = self.family.unit();
        if !unit.is_empty() {
            bytes(to, UNIT, unit.as_bytes());
        }
        key_value(to, METADATA, b"prometheus.type", self.family.kind().name("unknown").as_bytes());
    }

    /// The field of `Metric` that holds the points.
    pub(super) fn data_field(&self) -> u8 {
        match self.family.kind() {
            FamilyType::Gauge | FamilyType::Unknown => delimited(5),
            FamilyType::Counter | FamilyType::Info | FamilyType::StateSet => delimited(7),
            FamilyType::Histogram => delimited(9),
            FamilyType::Summary => delimited(11),
        }
    }

    /// Writes the fields beside the points. They are written before the points, so that a request can end after any point.
    pub(super) fn write_data_fields(&self, to: &mut Vec<u8>) {
        const TEMPORALITY: u8 = varint(2);
        const IS_MONOTONIC: u8 = varint(3);
        let temporality = if self.is_delta { AggregationTemporality::Delta } else { AggregationTemporality::Cumulative };
        match self.family.kind() {
            FamilyType::Counter => to.extend_from_slice(&[TEMPORALITY, temporality as u8, IS_MONOTONIC, 1]),
            FamilyType::Histogram => to.extend_from_slice(&[TEMPORALITY, temporality as u8]),
            // These sums are not monotonic.
            FamilyType::Info | FamilyType::StateSet => to.extend_from_slice(&[TEMPORALITY, AggregationTemporality::Cumulative as u8]),
            FamilyType::Gauge | FamilyType::Unknown | FamilyType::Summary => {}
        }
    }
}
