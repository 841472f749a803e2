//! Extracts the reply of an SMTP server from the text of a mail server's log.
//!
//! # Only unambiguous codes are extracted
//!
//! Such texts also contain version numbers, addresses and limits (`Exim 4.96.1`, `192.0.2.5`, `500 messages`). An enhanced status code is
//! recognized only after a reply code of the same class, or at the start of the text. A reply code is recognized only before an enhanced
//! status code of its class, or where a reply can begin: at the start of the text, after a colon or after a quote.

use crate::model::{EnhancedStatus, Reply};

/// The number of bytes of a text that are searched.
const TEXT_BYTES_MAX: usize = 4096;

/// Phrases that Exim writes before a reply, each with the stage that it means.
const STAGES: &[(&str, &str)] = &[
    ("after RCPT TO", "rcpt_to"),
    ("after pipelined RCPT TO", "rcpt_to"),
    ("after MAIL FROM", "mail_from"),
    ("after pipelined MAIL FROM", "mail_from"),
    ("after end of data", "data"),
    ("after DATA", "data"),
    ("after pipelined DATA", "data"),
    ("after pipelined end of data", "data"),
    ("after EHLO", "ehlo"),
    ("after HELO", "ehlo"),
    ("after STARTTLS", "tls"),
    ("after AUTH", "auth"),
    ("after initial connection", "greeting"),
    ("TLS session failure", "tls"),
    ("Connection refused", "connect"),
    ("Connection timed out", "connect"),
    ("No route to host", "connect"),
    ("Network is unreachable", "connect"),
    ("host lookup did not complete", "dns"),
    ("all relevant MX records point to non-existent hosts", "dns"),
    ("Unrouteable address", "dns"),
];

/// Returns the reply that a text contains, as far as it can be recognized.
#[must_use]
pub fn parse_smtp_reply(text: &str) -> Reply {
    let bytes = &text.as_bytes()[..text.len().min(TEXT_BYTES_MAX)];
    let stage = STAGES.iter().find(|(phrase, _)| memchr::memmem::find(bytes, phrase.as_bytes()).is_some()).map(|(_, stage)| *stage);
    let mut reply = Reply { code: None, status: status(bytes), stage };
    for at in 0..bytes.len() {
        let Some(code) = code(&bytes[at..]) else { continue };
        let before = at.checked_sub(1).map(|i| bytes[i]);
        if before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'.') {
            continue;
        }
        let status = bytes.get(at + 4..).and_then(status).filter(|status| u16::from(status.class) == code / 100);
        let can_begin = match before {
            None | Some(b'"') => true,
            Some(b' ') => at >= 2 && bytes[at - 2] == b':',
            Some(_) => false,
        };
        if status.is_some() || (can_begin && reply.code.is_none()) {
            reply.code = Some(code);
            reply.status = status.or(reply.status);
        }
        if status.is_some() {
            break;
        }
    }
    reply
}

/// Returns the reply code at the start of the text: three digits, followed by a space, a hyphen or the end.
fn code(bytes: &[u8]) -> Option<u16> {
    let &[class @ (b'2' | b'4' | b'5'), second @ b'0'..=b'5', third @ b'0'..=b'9', ref rest @ ..] = bytes else { return None };
    matches!(rest.first(), None | Some(b' ' | b'-'))
        .then(|| u16::from(class - b'0') * 100 + u16::from(second - b'0') * 10 + u16::from(third - b'0'))
}

/// Returns the enhanced status code at the start of the text.
fn status(bytes: &[u8]) -> Option<EnhancedStatus> {
    let bytes = bytes.strip_prefix(b"#").unwrap_or(bytes);
    let &[class @ (b'2' | b'4' | b'5'), b'.', ref rest @ ..] = bytes else { return None };
    let (subject, rest) = digits(rest)?;
    let (detail, rest) = digits(rest.strip_prefix(b".")?)?;
    let is_longer = match rest {
        [b, ..] if b.is_ascii_alphanumeric() => true,
        [b'.', b, ..] => b.is_ascii_digit(),
        _ => false,
    };
    (!is_longer).then_some(EnhancedStatus { class: class - b'0', subject, detail })
}

/// Returns a number of one to three digits without a leading zero, and the rest of the text.
fn digits(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let len = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    if !(1..=3).contains(&len) || (len > 1 && bytes[0] == b'0') {
        return None;
    }
    Some((bytes[..len].iter().fold(0, |n, b| n * 10 + u16::from(b - b'0')), &bytes[len..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, code: u16, status: &str, stage: &str) {
        let found = parse_smtp_reply(text);
        let status_found = found.status.map(|status| status.to_string()).unwrap_or_default();
        assert_eq!((found.code.unwrap_or(0), status_found.as_str(), found.stage.unwrap_or_default()), (code, status, stage), "{text}");
    }

    #[test]
    fn replies_are_found_in_log_texts() {
        for (text, code, status, stage) in [
            (
                "SMTP error from remote mail server after RCPT TO:<x@example.org>: 451 4.7.1 Greylisted, try again later",
                451,
                "4.7.1",
                "rcpt_to",
            ),
            ("SMTP error from remote mail server after end of data: 550-5.7.26 This mail is unauthenticated", 550, "5.7.26", "data"),
            ("SMTP error from remote mail server after MAIL FROM:<a@example.com> SIZE=4021: 452 Too many messages", 452, "", "mail_from"),
            ("SMTP error from remote mail server after initial connection: 421 mx1 Service not available", 421, "", "greeting"),
            ("host mx1.example.com [192.0.2.10]: 550 5.1.1 <x@example.com>: unknown", 550, "5.1.1", ""),
            ("550 #5.1.0 Address rejected.", 550, "5.1.0", ""),
            ("5.2.2 Mailbox full", 0, "5.2.2", ""),
            ("C=\"250 2.0.0 OK 1700000000 abc\"", 250, "2.0.0", ""),
            ("C=\"250 OK id=1vM001\"", 250, "", ""),
            ("Connection timed out", 0, "", "connect"),
            ("H=mx.example.com [192.0.2.1]: TLS session failure: error:0A000086", 0, "", "tls"),
            ("550 5.1.1.", 550, "5.1.1", ""),
            ("550 5.7.1", 550, "5.7.1", ""),
        ] {
            check(text, code, status, stage);
        }
    }

    #[test]
    fn other_numbers_are_not_codes() {
        for text in [
            "",
            "Accepted",
            "Domain example.org has exceeded the max defers and failures per hour (5/5 (100%)) allowed. Message discarded.",
            "sent by Exim 4.96.1 at 192.0.2.5",
            "exceeded 500 messages per hour",
            "5.1.1.2 is no address",
            "5.1234.1 nor this",
            "5.01.1",
            "9.1.1",
            "msg 1.550 5",
            "5.1.1x",
        ] {
            check(text, 0, "", "");
        }
        // The two classes contradict each other; the reply code is where a reply begins.
        check("550 4.7.1 contradictory", 550, "", "");
        // The limit is inside a character, and the code after the limit.
        check(&format!("{}ü 550 5.1.1", "x".repeat(TEXT_BYTES_MAX - 1)), 0, "", "");
    }
}
