//! The formats of a page.

use super::names::Escaping;
use crate::model::FamilyType;

/// The format of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text 0.0.4, in which names have underscores in place of unsupported characters.
    Text,
    /// Prometheus text 1.0.0, in which names can be quoted.
    TextV1(Escaping),
    /// OpenMetrics 1.0.0, in which names can be quoted.
    OpenMetrics(Escaping),
    /// Protobuf: `io.prometheus.client.MetricFamily` messages, each preceded by its length.
    Protobuf(Escaping),
    /// JSON in the shape of KumoMTA's `/metrics.json`.
    Json,
}

impl Format {
    /// Returns the media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::TextV1(Escaping::Underscores) => "text/plain; version=1.0.0; charset=utf-8; escaping=underscores",
            Self::TextV1(Escaping::Dots) => "text/plain; version=1.0.0; charset=utf-8; escaping=dots",
            Self::TextV1(Escaping::Values) => "text/plain; version=1.0.0; charset=utf-8; escaping=values",
            Self::TextV1(Escaping::AllowUtf8) => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            Self::OpenMetrics(Escaping::Underscores) => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::OpenMetrics(Escaping::Dots) => "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=dots",
            Self::OpenMetrics(Escaping::Values) => "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=values",
            Self::OpenMetrics(Escaping::AllowUtf8) => "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            Self::Protobuf(Escaping::Underscores) => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=underscores"
            }
            Self::Protobuf(Escaping::Dots) => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=dots"
            }
            Self::Protobuf(Escaping::Values) => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=values"
            }
            Self::Protobuf(Escaping::AllowUtf8) => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=allow-utf-8"
            }
            Self::Json => "application/json",
        }
    }

    /// Returns the escaping of names. JSON has unescaped names.
    pub(super) const fn escaping(self) -> Escaping {
        match self {
            Self::Text => Escaping::Underscores,
            Self::TextV1(escaping) | Self::OpenMetrics(escaping) | Self::Protobuf(escaping) => escaping,
            Self::Json => Escaping::AllowUtf8,
        }
    }

    pub(super) const fn is_open_metrics(self) -> bool {
        matches!(self, Self::OpenMetrics(_))
    }
}

/// The suffix of the samples of a counter.
pub(super) const TOTAL: &str = "_total";
/// The suffix of a line with the start time of a series, in OpenMetrics.
pub(super) const CREATED: &str = "_created";
/// The suffix of the samples of an info.
const INFO: &str = "_info";

/// Returns the suffix that OpenMetrics has in the names of samples, but not in the name of their family.
pub(super) const fn open_metrics_suffix(kind: FamilyType) -> Option<&'static str> {
    match kind {
        FamilyType::Counter => Some(TOTAL),
        FamilyType::Info => Some(INFO),
        _ => None,
    }
}

/// Returns the name of a type in a format.
pub(super) fn type_name(format: Format, kind: FamilyType) -> &'static str {
    let is_untyped = matches!(format, Format::Text | Format::TextV1(_) | Format::Protobuf(_));
    match kind {
        // The other formats do not have these types.
        FamilyType::Info | FamilyType::StateSet if !format.is_open_metrics() => "gauge",
        _ => kind.name(if is_untyped { "untyped" } else { "unknown" }),
    }
}
