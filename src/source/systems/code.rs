//! Readers and delivery logs that need code. Definitions refer to them by name.

use super::{cpanel, kumomta, stalwart};
use crate::format::prometheus::LastLine;
use crate::source::definition::JSON;
use crate::source::{DeliveryLogApi, Reader};

/// The readers, by the name that requests have.
pub(in crate::source) static READERS: &[(&str, Reader)] = &[
    ("text", Reader::Text(LastLine::MustEnd)),
    ("text_unterminated", Reader::Text(LastLine::MayLackLineFeed)),
    ("cpanel_user_stats", Reader::Code(cpanel::user_stats::read_user_stats)),
    ("cpanel_totals", Reader::Code(cpanel::families::read_totals)),
    ("cpanel_queue", Reader::Code(cpanel::families::read_queue)),
    ("cpanel_services", Reader::Code(cpanel::families::read_services)),
    ("cpanel_load", Reader::Code(cpanel::families::read_load)),
    ("cpanel_disks", Reader::Code(cpanel::families::read_disks)),
    ("cpanel_email_logs", Reader::Code(cpanel::delivery_log::read_email_logs)),
    ("cpanel_version", Reader::Code(cpanel::families::read_version)),
    ("kumomta_json", Reader::Code(kumomta::json::read)),
    ("kumomta_text", Reader::Code(kumomta::text::read)),
    ("kumomta_machine_info", Reader::Code(kumomta::machine_info::read)),
    ("kumomta_liveness", Reader::Code(kumomta::liveness::read)),
    ("stalwart_management", Reader::Code(stalwart::queue::read_management)),
    ("stalwart_jmap", Reader::Code(stalwart::queue::read_jmap)),
    ("stalwart_overdue", Reader::Code(stalwart::queue::read_overdue)),
    ("stalwart_certificates", Reader::Code(stalwart::certificates::read)),
];

/// The delivery logs, by name.
pub(in crate::source) static DELIVERY_LOGS: &[(&str, &DeliveryLogApi)] = &[("cpanel", &cpanel::DELIVERY_LOG)];

/// The names of all readers.
pub(in crate::source) fn reader_names() -> Vec<&'static str> {
    READERS.iter().map(|(name, _)| *name).chain([JSON]).collect()
}
