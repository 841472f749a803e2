//! Completes the records of log lines before they are exported.

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::LogRecord;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord};
use std::time::{Duration, SystemTime};

/// Sets the time of each record, and removes its event name: that is the place in the source code, and log lines are not events.
#[derive(Debug)]
pub(super) struct LogLineRecords;

impl LogProcessor for LogLineRecords {
    fn emit(&self, record: &mut SdkLogRecord, _: &InstrumentationScope) {
        record.set_timestamp(SystemTime::now());
        record.set_event_name("");
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
