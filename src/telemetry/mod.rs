//! The OpenTelemetry SDK as Postmeter uses it: a `MeterProvider` for each target, and Postmeter's own telemetry.

mod access_metrics;
mod collected_target;
mod delivery_metrics;
mod export_metrics;
mod identity;
mod log_queue;
mod logged_exporter;
mod logging;
mod meter_provider;
mod otlp_exporters;
mod poll_metrics;
mod record_failures;
mod record_groups;
mod record_histograms;
mod reload_metrics;
mod self_metrics;
mod self_telemetry;
mod self_watch;
mod staleness;
mod target_set;

pub use access_metrics::AccessMetrics;
pub use collected_target::CollectedTarget;
pub use delivery_metrics::{DeliveryMetrics, RecordsSince};
pub use export_metrics::ExportMetrics;
pub use identity::{Identity, SERVER_PORT};
pub use logging::finish_log;
pub use meter_provider::{CounterStarts, SCOPE, TargetMeterProvider, empty_canonical_scope, metrics_of};
pub use poll_metrics::PollMetrics;
pub use record_failures::{DETAILED_FAILURES_MAX, FAILURE_CLASSES_MAX, FAILURES_MAX};
pub use record_histograms::{RECORD_UID, RecordHistogram, otlp_attributes};
pub use reload_metrics::{ReloadMetrics, ReloadStatus};
pub use self_metrics::SELF_METRICS;
pub use self_telemetry::{SelfTelemetry, SelfTelemetryError};
pub use self_watch::{Condition, ConditionMetrics, SelfWatch};
pub use staleness::{StaleReading, StaleReason, StalenessRule};
pub use target_set::TargetSet;
