//! The keys of a web configuration file in the exporter-toolkit's format. They are not part of the configuration file itself.

use super::DefaultValue::{Description, Flag, Required};
use super::prometheus::SERVER_TLS;
use super::{Key, NONE, Shape, key};
use std::time::Duration;

/// The top of the file.
pub static WEB_CONFIG: &[Key] = &[
    key("tls_server_config", Shape::Map(SERVER_TLS), Description("plain HTTP"), "TLS."),
    key("http_server_config", Shape::Map(HTTP_SERVER), NONE, "HTTP/2, and headers of responses."),
    key("basic_auth_users", Shape::MapOf(&Shape::Secret), NONE, "User names with bcrypt hashes of their passwords."),
    key("rate_limit", Shape::Map(WEB_RATE_LIMIT), Description("no limit"), "A rate limit for all clients together."),
];

/// `http_server_config:`
pub static HTTP_SERVER: &[Key] = &[
    key("http2", Shape::Flag, Flag(true), "Offer HTTP/2 over TLS."),
    key("headers", Shape::MapOf(&Shape::Text), NONE, "Headers to add to each response."),
];

/// `rate_limit:`
pub static WEB_RATE_LIMIT: &[Key] = &[
    key("interval", Shape::Duration(Duration::ZERO..=Duration::from_secs(3600)), NONE, "The time between two requests; 0 means unlimited."),
    key("burst", Shape::Integer(0..=1_000_000), Required, "The requests that are accepted at once."),
];
