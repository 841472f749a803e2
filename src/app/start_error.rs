//! The reasons why the service cannot start.

use crate::delivery_log::StateError;
use crate::export::otlp::SendError;
use crate::net::UnresponsiveFile;
use crate::poll;
use crate::receive::ReceiverError;
use crate::serve::AccessError;
use crate::telemetry::SelfTelemetryError;
use std::path::PathBuf;

/// The reason why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address of an endpoint cannot be bound.
    #[error("cannot listen on {listen}: {error}; choose another address with {setting}")]
    Listen {
        /// The address.
        listen: String,
        /// The I/O error.
        error: std::io::Error,
        /// The setting of the address.
        setting: &'static str,
    },
    /// A target cannot be built.
    #[error("target {name}: {error}")]
    Target {
        /// The name of the target.
        name: String,
        /// The reason.
        error: poll::ClientError,
    },
    /// The access rules of the pull endpoint cannot be applied.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The push cannot be built.
    #[error(transparent)]
    Send(#[from] SendError),
    /// Delivery records cannot be received.
    #[error(transparent)]
    Receiver(#[from] ReceiverError),
    /// Postmeter's own telemetry cannot be built.
    #[error(transparent)]
    SelfTelemetry(#[from] SelfTelemetryError),
    /// The state of a delivery log cannot be used.
    #[error("target {name}: {error}")]
    State {
        /// The name of the target.
        name: String,
        /// The reason.
        error: StateError,
    },
    /// The state of a delivery log does not respond.
    #[error("target {name}: state_dir: {directory}: {error}")]
    UnresponsiveState {
        /// The name of the target.
        name: String,
        /// The directory.
        directory: PathBuf,
        /// The reason.
        error: UnresponsiveFile,
    },
}
