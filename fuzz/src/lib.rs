//! Properties that hold for every response of a mail server, every configuration file and every collection.
//!
//! The checks are the fuzz targets (`fuzz_targets/`). The tests of the program also run them, on random bytes of proptest and on
//! every input that once failed (`tests/fixtures/found`).

pub mod config;
pub mod exposition;
pub mod generators;
pub mod grammar;
pub mod history;
pub mod hooks;
pub mod hostile;
pub mod kumomta_names;
pub mod kumomta_page;
pub mod otlp;
pub mod otlp_response;
pub mod reader;
pub mod records;
pub mod recovery;
pub mod validator;

/// A check of any bytes. It panics if a property does not hold.
pub type Check = fn(&[u8]);

/// All checks, by the names of the fuzz targets.
pub const CHECKS: &[(&str, Check)] = &[
    ("cpanel", |bytes| reader::check_system("cpanel", bytes)),
    ("cpanel_records", records::check),
    ("hooks", hooks::check),
    ("segments", hooks::check_segment),
    ("postfix_log", hooks::check_postfix_log),
    ("ceymail", |bytes| reader::check_system("ceymail", bytes)),
    ("kumomta_json", |bytes| reader::check_request("kumomta", "metrics", "json", bytes)),
    ("kumomta_text", |bytes| reader::check_request("kumomta", "metrics", "text", bytes)),
    ("kumomta_parts", |bytes| reader::check_system("kumomta", bytes)),
    ("stalwart", |bytes| reader::check_request("stalwart", "metrics", "text", bytes)),
    ("stalwart_queue", |bytes| reader::check_system("stalwart", bytes)),
    ("emailengine", |bytes| reader::check_system("emailengine", bytes)),
    ("postfix", |bytes| reader::check_system("postfix", bytes)),
    ("exim", |bytes| reader::check_system("exim", bytes)),
    ("dovecot", |bytes| reader::check_system("dovecot", bytes)),
    ("rspamd", |bytes| reader::check_system("rspamd", bytes)),
    ("mox", |bytes| reader::check_system("mox", bytes)),
    ("maddy", |bytes| reader::check_system("maddy", bytes)),
    ("haraka", |bytes| reader::check_system("haraka", bytes)),
    ("postal", |bytes| reader::check_system("postal", bytes)),
    ("mailcow", |bytes| reader::check_system("mailcow", bytes)),
    ("pmg", |bytes| reader::check_system("pmg", bytes)),
    ("sendgrid", |bytes| reader::check_system("sendgrid", bytes)),
    ("mailgun", |bytes| reader::check_system("mailgun", bytes)),
    ("postmark", |bytes| reader::check_system("postmark", bytes)),
    ("powermta", |bytes| reader::check_system("powermta", bytes)),
    ("prometheus", |bytes| reader::check_system("prometheus", bytes)),
    ("openmetrics", reader::check_openmetrics),
    ("hostile_labels", hostile::check),
    ("recovery", recovery::check),
    ("kumomta_names", kumomta_names::check),
    ("exposition", exposition::check),
    ("otlp", otlp::check),
    ("otlp_response", otlp_response::check),
    ("config", config::check),
];

/// Returns the check with this name. Evaluated at compile time, a fuzz target contains the code of its own check alone: libFuzzer looks at
/// the counters of the whole program after each execution, which is most of the time that a small input takes.
pub const fn check(name: &str) -> Check {
    let mut at = 0;
    while at < CHECKS.len() {
        if is_equal(CHECKS[at].0.as_bytes(), name.as_bytes()) {
            return CHECKS[at].1;
        }
        at += 1;
    }
    panic!("no check has this name");
}

const fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// Runs the check with this name.
pub fn run(name: &str, bytes: &[u8]) {
    check(name)(bytes);
}

/// The seeds of the checks: a directory in `tests/fixtures`, and bytes of which each in turn is prepended to the files.
pub const SEEDS: &[(&str, &str, &str)] = &[
    ("cpanel", "cpanel", "0123456"),
    ("cpanel_records", "cpanel", ""),
    ("hooks", "kumomta", "01234567"),
    ("hooks", "stalwart", "01234567"),
    ("hooks", "mailgun", "01234567"),
    ("segments", "kumomta", ""),
    ("postfix_log", "postfix", ""),
    ("ceymail", "ceymail", "0"),
    ("kumomta_json", "kumomta", ""),
    ("kumomta_text", "kumomta", ""),
    ("kumomta_parts", "kumomta", "01234567"),
    ("stalwart", "stalwart", ""),
    ("stalwart_queue", "stalwart", "01234"),
    ("emailengine", "emailengine", "01"),
    ("postfix", "postfix", "0"),
    ("exim", "exim", "0"),
    ("dovecot", "dovecot", "0"),
    ("rspamd", "rspamd", "0"),
    ("mox", "mox", "0"),
    ("maddy", "maddy", "0"),
    ("haraka", "haraka", "0"),
    ("postal", "postal", "0"),
    ("mailcow", "mailcow", "012345"),
    ("pmg", "pmg", "0123456"),
    ("sendgrid", "sendgrid", "0"),
    ("mailgun", "mailgun", "0"),
    ("postmark", "postmark", "0"),
    ("powermta", "powermta", "01"),
    ("prometheus", "prometheus", "0"),
    ("openmetrics", "prometheus", ""),
    ("openmetrics", "emailengine", ""),
    ("recovery", "kumomta", ""),
    ("config", "config", ""),
    ("config", "config/bad", ""),
];
