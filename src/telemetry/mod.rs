//! The OpenTelemetry SDK, as Postmeter uses it: a pipeline for each target, and Postmeter's own signals.

mod deliveries;
mod exporting;
mod identity;
mod log;
mod log_queue;
mod monitored;
mod otlp;
mod own;
mod pipeline;
mod polling;
mod pulling;
mod reloading;
mod self_watch;
mod targets;

pub use deliveries::{Deliveries, FAILURES_MAX, RecordState};
pub use exporting::Exporting;
pub use identity::{Identity, SERVER_PORT};
pub use log::finish_log;
pub use monitored::Monitored;
pub use own::{Own, OwnError, SELF_METRICS};
pub use pipeline::{Pipeline, PipelineError, SCOPE, metrics_of};
pub use polling::Polling;
pub use pulling::Pulling;
pub use reloading::{Reloading, Standing};
pub use self_watch::{Condition, SelfMetrics, SelfWatch};
pub use targets::Targets;
