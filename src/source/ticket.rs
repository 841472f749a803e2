//! Tickets: credentials that a server issues for a user name and a password, for a limited time.

use crate::format::json_paths::JsonPath;
use std::time::Duration;

/// The request for a ticket, and the cookie that carries it.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The path of the POST request for a ticket.
    pub path: &'static str,
    /// The name of the form's field with the user name.
    pub username_field: &'static str,
    /// The name of the form's field with the password.
    pub password_field: &'static str,
    /// The JSONPath of the ticket in the response.
    pub value: &'static str,
    /// The name of the cookie that carries the ticket.
    pub cookie: &'static str,
    /// The time for which a ticket is valid.
    pub lifetime: Duration,
}

impl Ticket {
    /// The body of the request for a ticket: a form.
    #[must_use]
    pub fn form(&self, username: &str, password: &str) -> String {
        let (username, password) = (percent_encoded(username), percent_encoded(password));
        format!("{}={username}&{}={password}", self.username_field, self.password_field)
    }

    /// Returns the ticket in a response.
    #[must_use]
    pub fn find(&self, response: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(response).ok()?;
        JsonPath::parse_single(self.value).ok()?.text_in(text).filter(|ticket| !ticket.is_empty())
    }

    /// The value of the header that carries a ticket.
    #[must_use]
    pub fn cookie_header(&self, ticket: &str) -> String {
        format!("{}={}", self.cookie, percent_encoded(ticket))
    }
}

/// Encodes all characters that have a meaning in a form or in a cookie.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICKET: Ticket = Ticket {
        path: "/ticket",
        username_field: "username",
        password_field: "password",
        value: "$.data.ticket",
        cookie: "AuthCookie",
        lifetime: Duration::from_secs(7200),
    };

    #[test]
    fn a_form_and_a_cookie_are_encoded() {
        assert_eq!(TICKET.form("a@b", "p&=% \u{e4}+~"), "username=a%40b&password=p%26%3D%25%20%C3%A4%2B~");
        assert_eq!(TICKET.cookie_header("PMG:a@b:6B::x+/="), "AuthCookie=PMG%3Aa%40b%3A6B%3A%3Ax%2B%2F%3D");
    }

    #[test]
    fn a_response_has_a_ticket_or_not() {
        assert_eq!(TICKET.find(br#"{"data":{"ticket":"T1","role":"audit"}}"#).as_deref(), Some("T1"));
        for response in [&b""[..], b"null", br#"{"data":null}"#, br#"{"data":{"ticket":""}}"#, br#"{"data":{"ticket":7}}"#, b"\xff{}"] {
            assert_eq!(TICKET.find(response), None, "{response:?}");
        }
    }
}
