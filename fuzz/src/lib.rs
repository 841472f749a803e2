//! What must hold whatever a mail server answers, a file says, or a collection holds.
//!
//! The checks are the fuzz targets (`fuzz_targets/`), and the
//! program's own tests run them over bytes of proptest's and over every input that was once found (`tests/fixtures/found`).

pub mod config;
pub mod exposition;
pub mod history;
pub mod hostile;
pub mod kumomta_names;
pub mod made;
pub mod otlp;
pub mod reader;
pub mod records;
pub mod recovery;
pub mod said;
pub mod strict;

/// Takes any bytes, and panics where something does not hold.
pub type Check = fn(&[u8]);

/// Every check, by the name of its target.
pub const CHECKS: &[(&str, Check)] = &[
    ("cpanel", |bytes| reader::check_system("cpanel", bytes)),
    ("cpanel_records", records::check),
    ("ceymail", |bytes| reader::check_system("ceymail", bytes)),
    ("kumomta_json", |bytes| reader::check_request("kumomta", "metrics", "json", bytes)),
    ("kumomta_text", |bytes| reader::check_request("kumomta", "metrics", "text", bytes)),
    ("stalwart", |bytes| reader::check_request("stalwart", "metrics", "text", bytes)),
    ("stalwart_queue", |bytes| reader::check_part("stalwart", "queue", bytes)),
    ("emailengine", |bytes| reader::check_system("emailengine", bytes)),
    ("prometheus", |bytes| reader::check_system("prometheus", bytes)),
    ("openmetrics", reader::check_openmetrics),
    ("hostile_labels", hostile::check),
    ("recovery", recovery::check),
    ("kumomta_names", kumomta_names::check),
    ("exposition", exposition::check),
    ("otlp", otlp::check),
    ("config", config::check),
];

/// Runs the check of this name.
pub fn run(name: &str, bytes: &[u8]) {
    let (_, check) = CHECKS.iter().find(|(known, _)| *known == name).expect("a check of this name");
    check(bytes);
}

/// Where each check's seeds stand below the program's `tests/fixtures`, and the bytes that go before them, each in turn.
pub const SEEDS: &[(&str, &str, &str)] = &[
    ("cpanel", "cpanel", "0123456"),
    ("cpanel_records", "cpanel", ""),
    ("ceymail", "ceymail", "0"),
    ("kumomta_json", "kumomta", ""),
    ("kumomta_text", "kumomta", ""),
    ("stalwart", "stalwart", ""),
    ("stalwart_queue", "stalwart", "01"),
    ("emailengine", "emailengine", "0"),
    ("prometheus", "prometheus", "0"),
    ("openmetrics", "prometheus", ""),
    ("openmetrics", "emailengine", ""),
    ("recovery", "kumomta", ""),
    ("config", "config", ""),
    ("config", "config/bad", ""),
];
