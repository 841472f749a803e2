//! The limits of connections and requests to the pull endpoint.

use std::time::Duration;

/// What a client may take. The defaults are for networks; tests have shorter ones.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request line and its headers. More: 431.
    pub head_bytes_max: usize,
    /// Bytes of a path and its query. More: 414.
    pub path_bytes_max: usize,
    /// Connections at one time. More are closed at once.
    pub connections_max: usize,
    /// Those of one client.
    pub connections_client_max: usize,
    /// Connections of clients that have not authenticated, where that is needed. More displace the oldest without a request. Far
    /// below [`Self::connections_max`]: the rest is for those who have.
    pub strangers_max: usize,
    /// Those of one client.
    pub strangers_client_max: usize,
    /// Requests that are answered at one time, until their answers are sent. More: 503. Below the blocking threads of the
    /// runtime, since each answer is written by one of them.
    pub requests_max: usize,
    /// Those of one client.
    pub requests_client_max: usize,
    /// Streams of an HTTP/2 connection.
    pub streams_max: u32,
    /// Bytes of an HTTP/2 stream's answer that wait for the client.
    pub stream_bytes_max: usize,
    /// How long a TLS handshake, or a request's headers, may take from their first byte, or from the beginning of a connection.
    pub head_timeout: Duration,
    /// How long a connection may be kept without a request. Longer than scrapes are apart.
    pub idle_timeout: Duration,
    /// How long such a connection may be kept by a client that has not authenticated, where that is needed.
    pub stranger_idle_timeout: Duration,
    /// How long a client may leave what is sent to it unread. The system tells of reading late, where it keeps much for the client.
    pub stall_timeout: Duration,
    /// How long a request may be without [`Self::progress_bytes`] being sent, waiting for mail servers and for a turn included.
    pub answer_timeout: Duration,
    /// What must be read in these times to count as reading.
    pub progress_bytes: usize,
    /// How often files that the configuration names are looked at.
    pub watch_interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 32 * 1024,
            path_bytes_max: 4 * 1024,
            connections_max: 512,
            connections_client_max: 64,
            strangers_max: 128,
            strangers_client_max: 16,
            requests_max: 256,
            requests_client_max: 64,
            streams_max: 16,
            stream_bytes_max: 64 * 1024,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(300),
            stranger_idle_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(60),
            progress_bytes: 64 * 1024,
            watch_interval: Duration::from_secs(1),
        }
    }
}

impl Limits {
    /// How often a connection is looked at.
    pub(crate) fn tick(&self) -> Duration {
        let shortest =
            self.head_timeout.min(self.idle_timeout).min(self.stranger_idle_timeout).min(self.stall_timeout).min(self.answer_timeout);
        (shortest / 4).max(Duration::from_millis(1))
    }
}
