//! Tickets: credentials that a server issues for a user name and a password, for a limited time.

use crate::format::json_paths::{self, JsonPath};
use crate::model::{is_unreserved, percent_encoded, without_byte_order_mark};
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
        let (username, password) = (percent_encoded(username, is_unreserved), percent_encoded(password, is_unreserved));
        format!("{}={username}&{}={password}", self.username_field, self.password_field)
    }

    /// Returns the ticket in a response.
    #[must_use]
    pub fn find(&self, response: &[u8]) -> Option<String> {
        let text = without_byte_order_mark(std::str::from_utf8(response).ok()?);
        JsonPath::parse_single(self.value).ok()?.text_in(text).filter(|ticket| !ticket.is_empty())
    }

    /// Describes a response without a ticket, without its values, which may be secret.
    #[must_use]
    pub fn describe_missing(&self, response: &[u8]) -> String {
        let found = std::str::from_utf8(response).ok().and_then(|text| json_paths::describe_document(without_byte_order_mark(text)));
        let found = found.unwrap_or_else(|| "the response is not JSON".to_owned());
        format!("the server issued no ticket for this login: nothing is at {}, and {found}", self.value)
    }

    /// The value of the header that carries a ticket. The ticket is sent unchanged, because a server need not decode a cookie; only bytes
    /// that a cookie cannot contain are encoded.
    #[must_use]
    pub fn cookie_header(&self, ticket: &str) -> String {
        format!("{}={}", self.cookie, percent_encoded(ticket, is_cookie_octet))
    }
}

/// Returns true for a byte that the value of a cookie can contain: `cookie-octet` of RFC 6265.
const fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
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
        assert_eq!(TICKET.cookie_header("PMG:a@b:6B::x+/="), "AuthCookie=PMG:a@b:6B::x+/=");
        assert_eq!(TICKET.cookie_header("a%3Ab!#$&'()*<=>?[]^`{|}~"), "AuthCookie=a%3Ab!#$&'()*<=>?[]^`{|}~");
        assert_eq!(TICKET.cookie_header("a b\t;,\"\\\u{7f}\r\n\u{e4}"), "AuthCookie=a%20b%09%3B%2C%22%5C%7F%0D%0A%C3%A4");
    }

    #[test]
    fn a_response_has_a_ticket_or_not() {
        assert_eq!(TICKET.find(br#"{"data":{"ticket":"T1","role":"audit"}}"#).as_deref(), Some("T1"));
        assert_eq!(TICKET.find("\u{feff}{\"data\":{\"ticket\":\"T1\"}}".as_bytes()).as_deref(), Some("T1"));
        for response in [&b""[..], b"null", br#"{"data":null}"#, br#"{"data":{"ticket":""}}"#, br#"{"data":{"ticket":7}}"#, b"\xff{}"] {
            assert_eq!(TICKET.find(response), None, "{response:?}");
        }
        for (response, found) in [
            (&br#"{"data":{"token":"secret"},"ok":true}"#[..], "it has data, ok"),
            (b"[1]", "the response is a list of other elements"),
            (b"<html>", "the response is not JSON"),
            (b"\xff", "the response is not JSON"),
        ] {
            let expected = format!("the server issued no ticket for this login: nothing is at $.data.ticket, and {found}");
            assert_eq!(TICKET.describe_missing(response), expected);
        }
    }
}
