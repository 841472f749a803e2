//! Readers and delivery logs that need code. Definitions refer to them by name.

use super::{cpanel, kumomta, stalwart};
use crate::format::{ReadError, prometheus};
use crate::model::Families;
use crate::source::DeliveryLogApi;
use crate::source::definition::JSON;

type Read = fn(String) -> Result<Families, ReadError>;

/// The readers, by the name that requests have.
pub(in crate::source) static READERS: &[(&str, Read)] = &[
    ("text", prometheus::read),
    ("text_unterminated", prometheus::read_unterminated),
    ("cpanel_user_stats", cpanel::user_stats::read_user_stats),
    ("cpanel_totals", cpanel::families::read_totals),
    ("cpanel_queue", cpanel::families::read_queue),
    ("cpanel_services", cpanel::families::read_services),
    ("cpanel_load", cpanel::families::read_load),
    ("cpanel_disks", cpanel::families::read_disks),
    ("cpanel_email_logs", cpanel::delivery_log::read_email_logs),
    ("cpanel_version", cpanel::families::read_version),
    ("kumomta_json", kumomta::json::read),
    ("kumomta_text", kumomta::text::read),
    ("kumomta_machine_info", kumomta::machine_info::read),
    ("kumomta_liveness", kumomta::liveness::read),
    ("stalwart_management", stalwart::queue::read_management),
    ("stalwart_jmap", stalwart::queue::read_jmap),
    ("stalwart_overdue", stalwart::queue::read_overdue),
    ("stalwart_certificates", stalwart::certificates::read),
];

/// The delivery logs, by name.
pub(in crate::source) static DELIVERY_LOGS: &[(&str, &DeliveryLogApi)] = &[("cpanel", &cpanel::DELIVERY_LOG)];

/// The names of all readers.
pub(in crate::source) fn reader_names() -> Vec<&'static str> {
    READERS.iter().map(|(name, _)| *name).chain([JSON]).collect()
}

/// The names of all delivery logs.
pub(in crate::source) fn delivery_log_names() -> Vec<&'static str> {
    DELIVERY_LOGS.iter().map(|(name, _)| *name).collect()
}
