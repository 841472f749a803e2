//! The innermost cause of an error, as text for people and as text to compare occurrences.

use std::error::Error;

/// Parts of the texts of a lost connection, in lower case. Which of them occurs is a matter of timing.
const LOST_CONNECTION: [&str; 5] = ["reset", "broken pipe", "closed", "eof", "end of file"];

/// The advice about a server whose certificate is that of an authority.
pub(crate) const AUTHORITY_AS_SERVER: &str = "the server's certificate is that of an authority (CA:TRUE), which is not valid for a server: \
     create one that is not (openssl req -x509 -addext basicConstraints=critical,CA:FALSE)";

/// Returns true if TLS failed because the certificate of the server is that of an authority, as `openssl req -x509` creates it.
pub(crate) fn is_authority_as_server(cause: &str) -> bool {
    cause.contains("CaUsedAsEndEntity")
}

/// Returns the innermost source of an error, as text: the outer ones only repeat that something failed.
pub(crate) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The text of a cause, to compare it with another occurrence. It has no digits, because times, durations and ports differ each time, and
/// is the same for each kind of a lost connection.
pub(crate) fn stable_cause(text: &str) -> String {
    let lower = text.to_lowercase();
    match LOST_CONNECTION.iter().any(|part| lower.contains(part)) {
        true => "connection lost".to_owned(),
        false => lower.chars().filter(|c| !c.is_ascii_digit()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occurrences_of_one_cause_are_equal() {
        for (one, other, are_equal) in [
            ("certificate expired: 17 seconds ago", "certificate expired: 3018 seconds ago", true),
            ("Connection reset by peer (os error 104)", "connection closed before message completed", true),
            ("tls handshake eof", "Broken pipe (os error 32)", true),
            ("Connection refused (os error 111)", "Connection reset by peer (os error 104)", false),
            ("Connection refused (os error 111)", "No route to host (os error 113)", false),
        ] {
            assert_eq!(stable_cause(one) == stable_cause(other), are_equal, "{one} {other}");
        }
    }
}
