//! The keys of `targets_http:`.

use super::DefaultValue::{Bytes, Duration as DurationIs, Required};
use super::target::{HEADERS, PASSWORD, PASSWORD_FILE, TLS_OF_CLIENT, TOKEN, TOKEN_FILE, USERNAME};
use super::{Key, Shape, key};
use crate::config::targets_http::{BODY_BYTES_DEFAULT, INTERVAL_DEFAULT, TIMEOUT_DEFAULT};
use std::time::Duration;

/// `targets_http:`
pub static TARGETS_HTTP: &[Key] = &[
    key("url", Shape::Url, Required, "The URL of the list, query included."),
    key(
        "interval",
        Shape::Duration(Duration::from_secs(1)..=Duration::from_secs(3600)),
        DurationIs(INTERVAL_DEFAULT),
        "The time between a response and the next request.",
    ),
    key(
        "timeout",
        Shape::Duration(Duration::from_millis(100)..=Duration::from_secs(300)),
        DurationIs(TIMEOUT_DEFAULT),
        "The longest time that a request may take.",
    ),
    Key { help: "The user name, if the server requires one.", ..USERNAME },
    PASSWORD,
    PASSWORD_FILE,
    Key { help: "The bearer token, preferably as ${env:NAME} or ${file:PATH}.", ..TOKEN },
    TOKEN_FILE,
    HEADERS,
    TLS_OF_CLIENT,
    key(
        "body_bytes_max",
        Shape::Bytes(1024..=64 * 1024 * 1024),
        Bytes(BODY_BYTES_DEFAULT),
        "The largest response to read, after decompression.",
    ),
];
