//! The keys of `receive:` and of `parts: {deliveries: {...}}`.

use super::DefaultValue::{Bytes, Description, Required};
use super::target::{INCLUDE, PASSWORD, PASSWORD_FILE, RECORD_BY, RECORD_GROUPS_MAX, TOKEN, TOKEN_FILE, USERNAME};
use super::{Key, NONE, SERVER_TLS, Shape, key};
use crate::config::receive::MAX_BYTES_DEFAULT;

/// `receive:`
pub static RECEIVE: &[Key] = &[
    key("listen", Shape::Text, Required, "The host and port to listen on. Mail systems send to /v1/deliveries/TARGET."),
    key("tls", Shape::Map(SERVER_TLS), Description("plain HTTP"), "TLS, with the same keys as export.prometheus.tls."),
    key(
        "max_bytes",
        Shape::Bytes(1024 * 1024..=1024 * 1024 * 1024 * 1024),
        Bytes(MAX_BYTES_DEFAULT),
        "The disk space in state_dir for records that the OTLP receiver has not accepted yet. When it is used, senders get 503.",
    ),
];

/// `parts: {deliveries: {log_files: {...}}}`
pub static LOG_FILES: &[Key] = &[
    key("dir", Shape::Text, NONE, "kumomta: the directory of the segment files. All files in it are read, the oldest first."),
    key("path", Shape::Text, NONE, "postfix: the log file, which may be rotated."),
];

/// `parts: {deliveries: {...}}`
pub static DELIVERIES: &[Key] = &[
    USERNAME,
    PASSWORD,
    PASSWORD_FILE,
    TOKEN,
    TOKEN_FILE,
    key("signing_key", Shape::Secret, NONE, "The key that verifies the sender's signatures, preferably as ${env:NAME} or ${file:PATH}."),
    key("signing_key_file", Shape::Text, NONE, "The file that contains the signing key."),
    key(
        "log_files",
        Shape::Map(LOG_FILES),
        NONE,
        "Log files on this machine from which the records are read, instead of requests or beside them. Requires state_dir.",
    ),
    INCLUDE,
    RECORD_BY,
    RECORD_GROUPS_MAX,
];
