//! The format of a response. The unit of timestamps and the meaning of `_created` depend on it.

use super::ReadError;

/// The largest timestamp, in milliseconds. Every whole number up to it is exact.
pub(super) const TIMESTAMP_MILLIS_MAX: f64 = 9e15;

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// The text format of Prometheus, 0.0.4 or 1.0.0. Timestamps are milliseconds, and `# EOF` is a comment.
    Prometheus,
    /// OpenMetrics. Timestamps are seconds, `x_created` is the start time of `x`, and the last line is `# EOF`.
    OpenMetrics,
}

impl TextFormat {
    /// The format that a content type declares. `None` if it is missing or declares neither, as for a file that a server only stores.
    #[must_use]
    pub fn declared_by(content_type: &str) -> Option<Self> {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case("application/openmetrics-text") {
            Some(Self::OpenMetrics)
        } else if media_type.eq_ignore_ascii_case("text/plain") {
            Some(Self::Prometheus)
        } else {
            None
        }
    }

    /// The format of a response whose content type does not declare it.
    pub(super) fn of_body(body: &str) -> Self {
        if ends_with_eof(body.as_bytes()) { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// Converts a timestamp to Unix milliseconds, or returns `None` if it is out of range.
    pub(super) fn milliseconds(self, timestamp: f64) -> Option<i64> {
        let milliseconds = match self {
            Self::OpenMetrics => timestamp * 1000.0,
            Self::Prometheus => timestamp,
        };
        (milliseconds.abs() <= TIMESTAMP_MILLIS_MAX).then_some(milliseconds.round() as i64)
    }
}

/// Checks that a response that is declared as OpenMetrics is complete: its last line is `# EOF`.
///
/// # Errors
/// If the last line is another one.
pub fn check_complete(declared: Option<TextFormat>, body: &[u8]) -> Result<(), ReadError> {
    if declared != Some(TextFormat::OpenMetrics) || ends_with_eof(body) {
        return Ok(());
    }
    Err(ReadError::Malformed("it is incomplete: OpenMetrics that does not end with # EOF".to_owned()))
}

/// Returns `true` if the last line is `# EOF`. The line is not searched for: a response without line breaks would be read as a whole.
fn ends_with_eof(body: &[u8]) -> bool {
    matches!(body.trim_ascii_end().strip_suffix(b"# EOF"), Some([] | [.., b'\n']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_declares_the_format() {
        for (content_type, format) in [
            ("text/plain; version=0.0.4; charset=utf-8", Some(TextFormat::Prometheus)),
            ("Text/Plain;version=1.0.0;escaping=underscores", Some(TextFormat::Prometheus)),
            (" text/plain", Some(TextFormat::Prometheus)),
            ("application/OpenMetrics-text; version=0.0.1", Some(TextFormat::OpenMetrics)),
            ("application/openmetrics-text", Some(TextFormat::OpenMetrics)),
            ("", None),
            ("application/octet-stream", None),
            ("text/plainer", None),
        ] {
            assert_eq!(TextFormat::declared_by(content_type), format, "{content_type}");
        }
    }

    #[test]
    fn the_last_line_is_eof() {
        for (body, format) in [
            ("x 1\n# EOF\n", TextFormat::OpenMetrics),
            ("x 1\n# EOF", TextFormat::OpenMetrics),
            ("# EOF\r\n", TextFormat::OpenMetrics),
            ("# EOF\nx 1\n", TextFormat::Prometheus),
            ("x 1\n# HELP y Ends with # EOF\n", TextFormat::Prometheus),
            ("x 1\n", TextFormat::Prometheus),
        ] {
            assert_eq!(TextFormat::of_body(body), format, "{body:?}");
            assert_eq!(
                check_complete(Some(TextFormat::OpenMetrics), body.as_bytes()).is_ok(),
                format == TextFormat::OpenMetrics,
                "{body:?}"
            );
            assert_eq!(check_complete(Some(TextFormat::Prometheus), body.as_bytes()), Ok(()), "{body:?}");
        }
    }
}
