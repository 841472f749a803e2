//! The text of a reply: what must not leave the machine is cut, and codes are read.

use super::value_source::Found;
use crate::model::{EnhancedStatus, cut};
use serde_json::Value;

/// The largest length of a reply text.
pub const REPLY_BYTES_MAX: usize = 4096;

/// The text in one line, without what follows an SMTP command AUTH: the credentials of a login can be in it.
pub(super) fn clean(text: &str) -> String {
    let text = cut(text, REPLY_BYTES_MAX);
    let text = match after_auth(text) {
        Some(end) => &text[..end],
        None => text,
    };
    text.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The position after the command AUTH, in any case, if arguments follow.
fn after_auth(text: &str) -> Option<usize> {
    const AUTH: &[u8] = b"AUTH";
    let bytes = text.as_bytes();
    memchr::memchr2_iter(b'A', b'a', bytes).find_map(|at| {
        let (command, rest) = bytes[at..].split_at_checked(AUTH.len())?;
        let (before, after) = (at.checked_sub(1).map(|at| bytes[at]), *rest.first()?);
        // In lower case, it may be a label of a host name. A command in upper case is cut even there.
        let is_label = command != AUTH && matches!(after, b'.' | b'-' | b'_');
        let is_separate = before.is_none_or(|b| !b.is_ascii_alphanumeric()) && !after.is_ascii_alphanumeric() && !is_label;
        (command.eq_ignore_ascii_case(AUTH) && is_separate).then_some(at + AUTH.len())
    })
}

/// An enhanced status code: a text, or an object of three numbers.
pub(super) fn status(found: &Found<'_>) -> Option<EnhancedStatus> {
    if let Found::Node(Value::Object(members)) = found {
        let part = |name: &str| members.get(name).and_then(Value::as_u64).and_then(|number| u16::try_from(number).ok());
        return checked(part("class")?, part("subject")?, part("detail")?);
    }
    let text = found.text()?;
    // A report of bounces may have a comment after the code.
    let code = text.trim_start().split([' ', '\t', '\r', '\n', '(']).next()?;
    let mut parts = code.split('.').map(|part| part.parse::<u16>().ok());
    let status = checked(parts.next()??, parts.next()??, parts.next()??);
    status.filter(|_| parts.next().is_none())
}

fn checked(class: u16, subject: u16, detail: u16) -> Option<EnhancedStatus> {
    let class = u8::try_from(class).ok().filter(|class| matches!(class, 2 | 4 | 5))?;
    (subject < 1000 && detail < 1000).then_some(EnhancedStatus { class, subject, detail })
}
