//! Corrupted responses, derived from healthy ones.
//!
//! Corruptions of families and series work for both formats of the systems: on the lines of a text body, and on the text of a JSON
//! object, because the result is often not valid JSON.

use super::response::{reply, with_headers};
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use flate2::{Compression, write::DeflateEncoder};
use hyper::body::Frame;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};
use tokio::time::{Interval, interval};

const PLAIN: &str = "text/plain; charset=utf-8";
/// The pause between two bytes of a slow body.
const SLOW_PAUSE: Duration = Duration::from_secs(1);
/// Size of a body that is far too large, in bytes.
const HUGE_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Size of a gzip bomb after decompression, in bytes.
const BOMB_BYTES: u64 = 10 * 1024 * 1024 * 1024;
/// Size of a piece of a generated body, in bytes.
const PIECE_BYTES: usize = 64 * 1024;
/// Size of a piece of a gzip bomb after decompression, in bytes.
const BOMB_PIECE_BYTES: usize = 1024 * 1024;
/// The header of a gzip member without a name or a time.
const GZIP_HEAD: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
const LONG_LABEL_BYTES: usize = 1024 * 1024;
const CHURN_SERIES: u64 = 100_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LOGIN: &str = "<!DOCTYPE html>\n<html><head><title>Log in</title></head><body><form><input name=\"user\"></form></body></html>\n";

/// A healthy response, to be corrupted.
pub(super) struct HealthyResponse {
    pub(super) response: Response,
    pub(super) body: Bytes,
    /// The number of the request, from 1.
    pub(super) nth: u64,
    /// `localhost` and the port: another host name than the address that clients use.
    pub(super) other_host: String,
}

impl HealthyResponse {
    /// The response with another body.
    fn with(self, body: impl Into<Body>) -> Response {
        let mut response = self.response;
        response.headers_mut().remove(CONTENT_LENGTH);
        *response.body_mut() = body.into();
        response
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn is_json(&self) -> bool {
        self.body.trim_ascii_start().starts_with(b"{")
    }

    /// The response with lines added at the end of a text, or members at the start of a JSON object.
    fn with_more(self, lines: &[u8], members: &[u8]) -> Response {
        let body = if self.is_json() {
            let inside = self.body.iter().position(|byte| *byte == b'{').map_or(0, |at| at + 1);
            [&self.body[..inside], members, b",", &self.body[inside..]].concat()
        } else {
            [&self.body[..], lines].concat()
        };
        self.with(body)
    }

    /// The response with the sample lines of a text replaced. `replace` gets the series and the value.
    fn with_samples(self, mut replace: impl FnMut(&str, &str) -> String) -> Response {
        let mut corrupted = String::with_capacity(2 * self.body.len());
        for line in self.text().lines() {
            match line.rsplit_once(' ') {
                Some((series, value)) if !line.starts_with('#') => corrupted += &replace(series, value),
                _ => corrupted += line,
            }
            corrupted.push('\n');
        }
        self.with(corrupted)
    }
}

/// A body that is generated while it is sent.
struct GeneratedBody<F>(F);

impl<F: FnMut(&mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> + Unpin> hyper::body::Body for GeneratedBody<F> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(ready!((self.0)(context)).map(|piece| piece.map(Frame::data)))
    }
}

fn generated(next: impl FnMut(&mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> + Unpin + Send + 'static) -> Body {
    Body::new(GeneratedBody(next))
}

/// A body of `first`, followed by this number of equal pieces.
fn repeated(first: Bytes, piece: Bytes, pieces: u64) -> Body {
    let (mut first, mut left) = (Some(first).filter(|first| !first.is_empty()), pieces);
    generated(move |_| {
        if let Some(first) = first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        let more = left > 0;
        left = left.saturating_sub(1);
        Poll::Ready(more.then(|| Ok(piece.clone())))
    })
}

pub(super) fn hang_in_body(healthy: HealthyResponse) -> Response {
    let mut half = Some(healthy.body.slice(..healthy.body.len() / 2));
    let body = generated(move |_| half.take().map_or(Poll::Pending, |half| Poll::Ready(Some(Ok(half)))));
    healthy.with(body)
}

pub(super) fn slow(healthy: HealthyResponse) -> Response {
    let mut left = healthy.body.clone();
    let mut clock: Interval = interval(SLOW_PAUSE);
    let body = generated(move |context| {
        ready!(clock.poll_tick(context));
        Poll::Ready((!left.is_empty()).then(|| Ok(left.split_to(1))))
    });
    healthy.with(body)
}

pub(super) fn cut(healthy: HealthyResponse) -> Response {
    let mut half = Some(healthy.body.slice(..healthy.body.len() / 2));
    let length = healthy.body.len();
    let broken = || io::Error::from(io::ErrorKind::ConnectionAborted);
    let body = generated(move |_| Poll::Ready(Some(half.take().ok_or_else(broken))));
    let mut response = healthy.with(body);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

pub(super) fn status<const STATUS: u16>(_: HealthyResponse) -> Response {
    reply(STATUS, PLAIN, "this fault was requested\n")
}

pub(super) fn retry_after(healthy: HealthyResponse) -> Response {
    with_headers(status::<429>(healthy), &[("retry-after", "2")])
}

pub(super) fn redirect(healthy: HealthyResponse) -> Response {
    let mut response = reply(302, PLAIN, "");
    let location = HeaderValue::try_from(format!("http://{}/", healthy.other_host));
    location.into_iter().for_each(|value| drop(response.headers_mut().insert("location", value)));
    response
}

pub(super) fn html(_: HealthyResponse) -> Response {
    reply(200, "text/html; charset=utf-8", LOGIN)
}

pub(super) fn empty(healthy: HealthyResponse) -> Response {
    healthy.with("")
}

/// Truncates a JSON object at its half; a text at the first position in its second half that `position` finds in a line.
fn truncated_in(healthy: HealthyResponse, position: impl Fn(&str) -> Option<usize>) -> Response {
    let (text, half, mut start) = (healthy.text(), healthy.body.len() / 2, 0);
    let positions = text.split_inclusive('\n').filter_map(|line| {
        let position = position(line).map(|position| start + position);
        start += line.len();
        position
    });
    let end = if healthy.is_json() { half } else { positions.into_iter().find(|position| *position > half).unwrap_or(half) };
    let body = healthy.body.slice(..end);
    healthy.with(body)
}

pub(super) fn truncated(healthy: HealthyResponse) -> Response {
    truncated_in(healthy, |line| line.starts_with(|first: char| first.is_ascii_alphabetic()).then_some(2))
}

pub(super) fn truncated_help(healthy: HealthyResponse) -> Response {
    truncated_in(healthy, |line| line.starts_with("# HELP ").then(|| line.trim_ascii_end().len() - 1))
}

pub(super) fn truncated_number(healthy: HealthyResponse) -> Response {
    truncated_in(healthy, |line| {
        let (series, value) = line.trim_ascii_end().rsplit_once(' ')?;
        let is_long = value.len() > 1 && value.bytes().all(|byte| byte.is_ascii_digit());
        (is_long && !series.starts_with('#')).then_some(series.len() + 2)
    })
}

pub(super) fn gzip_bomb(healthy: HealthyResponse) -> Response {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    // A flushed piece is byte-aligned, so it can be repeated.
    let compressed = encoder.write_all(&vec![b'#'; BOMB_PIECE_BYTES]).and_then(|()| encoder.flush()).map(|()| encoder.get_ref().clone());
    let piece = Bytes::from(compressed.unwrap_or_default());
    let bomb = repeated(Bytes::from_static(GZIP_HEAD), piece, BOMB_BYTES / BOMB_PIECE_BYTES as u64);
    with_headers(healthy.with(bomb), &[("content-encoding", "gzip")])
}

pub(super) fn huge(healthy: HealthyResponse) -> Response {
    let piece = Bytes::from(vec![b'#'; PIECE_BYTES]);
    let mut response = healthy.with(repeated(Bytes::new(), piece, HUGE_BYTES / PIECE_BYTES as u64));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(HUGE_BYTES));
    response
}

pub(super) fn endless(healthy: HealthyResponse) -> Response {
    let piece = Bytes::from("# and so on\n".repeat(PIECE_BYTES / 12));
    let first = healthy.body.clone();
    healthy.with(repeated(first, piece, u64::MAX))
}

pub(super) fn invalid_utf8(healthy: HealthyResponse) -> Response {
    let members = b"\"fault_utf8\":{\"help\":\"\",\"type\":\"gauge\",\"value\":{\"q\":{\"\xff\xfe\":1}}}";
    healthy.with_more(b"fault_utf8{q=\"\xff\xfe\"} 1\n", members)
}

pub(super) fn non_finite(healthy: HealthyResponse) -> Response {
    if healthy.is_json() {
        let members = "\"fault_nan\":{\"help\":\"\",\"type\":\"gauge\",\"value\":NaN},\"fault_inf\":{\"help\":\"\",\"type\":\"gauge\",\"value\":-inf}";
        return healthy.with_more(b"", members.as_bytes());
    }
    let mut values = ["NaN", "+Inf", "-Inf"].into_iter().cycle();
    healthy.with_samples(|series, _| format!("{series} {}", values.next().unwrap_or_default()))
}

pub(super) fn duplicate_series(healthy: HealthyResponse) -> Response {
    if healthy.is_json() {
        return duplicate_families(healthy);
    }
    healthy.with_samples(|series, value| format!("{series} {value}\n{series} 987654321"))
}

pub(super) fn duplicate_families(healthy: HealthyResponse) -> Response {
    let inside = healthy.body.trim_ascii().strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}")).map(Bytes::copy_from_slice);
    let body = healthy.body.clone();
    healthy.with_more(&body, &inside.unwrap_or_default())
}

pub(super) fn type_change(healthy: HealthyResponse) -> Response {
    if healthy.nth % 2 == 1 {
        let body = healthy.body.clone();
        return healthy.with(body);
    }
    // By an intermediate text that occurs in no body.
    let swapped = |text: String, counter: &str, gauge: &str| text.replace(counter, "\0").replace(gauge, counter).replace('\0', gauge);
    let text = swapped(healthy.text(), " counter\n", " gauge\n");
    let text = swapped(text, "\"type\":\"counter\"", "\"type\":\"gauge\"");
    let text = swapped(text, "\"type\": \"counter\"", "\"type\": \"gauge\"");
    healthy.with(text)
}

pub(super) fn long_labels(healthy: HealthyResponse) -> Response {
    let long = "x".repeat(LONG_LABEL_BYTES);
    let lines: String = (0..3).map(|n| format!("fault_long{{n=\"{n}\",q=\"{long}\"}} 1\n")).collect();
    let values: Vec<String> = (0..3).map(|n| format!("\"{n}{long}\":1")).collect();
    let members = format!("\"fault_long\":{{\"help\":\"\",\"type\":\"gauge\",\"value\":{{\"q\":{{{}}}}}}}", values.join(","));
    healthy.with_more(lines.as_bytes(), members.as_bytes())
}

pub(super) fn churn(healthy: HealthyResponse) -> Response {
    /// The lines, with `@` for the number that makes the series new.
    static LINES: OnceLock<String> = OnceLock::new();
    let lines = LINES.get_or_init(|| {
        let mut lines = String::new();
        for series in 0..CHURN_SERIES {
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "fault_churn{{q=\"@.{series}\"}} 1");
        }
        lines
    });
    let lines = lines.replace('@', &healthy.nth.to_string());
    if healthy.is_json() {
        let values = lines.replace("fault_churn{q=", "").replace("} 1\n", ":1,");
        let members =
            format!("\"fault_churn\":{{\"help\":\"\",\"type\":\"gauge\",\"value\":{{\"q\":{{{}}}}}}}", values.trim_end_matches(','));
        return healthy.with_more(b"", members.as_bytes());
    }
    healthy.with_more(lines.as_bytes(), b"")
}

pub(super) fn future(healthy: HealthyResponse) -> Response {
    let tomorrow = SystemTime::now() + DAY;
    let since = tomorrow.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let date = jiff::Timestamp::try_from(tomorrow).map(|time| time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    let mut response = if healthy.is_json() {
        let body = healthy.body.clone();
        healthy.with(body)
    } else {
        healthy.with_samples(|series, value| {
            let value = if series == "process_start_time_seconds" { since.as_secs().to_string() } else { value.to_owned() };
            format!("{series} {value} {}", since.as_millis())
        })
    };
    date.ok()
        .and_then(|date| HeaderValue::try_from(date).ok())
        .into_iter()
        .for_each(|date| drop(response.headers_mut().insert("date", date)));
    response
}
