//! The limits of connections and requests to the pull endpoint.

use std::time::Duration;

/// The limits. The defaults suit production; tests use shorter ones.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// Bytes of a request line with its headers. Longer ones get status 431.
    pub head_bytes_max: usize,
    /// Bytes of a path with its query. Longer ones get status 414.
    pub path_bytes_max: usize,
    /// Concurrent connections. Further ones are closed immediately.
    pub connections_max: usize,
    /// Concurrent connections of one client.
    pub connections_client_max: usize,
    /// Concurrent connections of unauthenticated clients, if authentication is required. Further ones displace the oldest without a
    /// request. Far below [`Self::connections_max`], which leaves the rest to authenticated clients.
    pub unauthenticated_max: usize,
    /// Concurrent unauthenticated connections of one client.
    pub unauthenticated_client_max: usize,
    /// Concurrent requests, until their responses are sent, and nothing works for them any more. Further ones get status 503. Lower than
    /// the number of blocking threads of the runtime, because a thread sends each response.
    pub requests_max: usize,
    /// Concurrent requests of one client.
    pub requests_client_max: usize,
    /// Concurrent streams of an HTTP/2 connection.
    pub streams_max: u32,
    /// Bytes of the response of an HTTP/2 stream that are buffered for the client.
    pub stream_bytes_max: usize,
    /// The maximum time of a TLS handshake, or of a request's headers since their first byte or the beginning of the connection.
    pub head_timeout: Duration,
    /// The maximum time of a connection without a request. Longer than a scrape interval.
    pub idle_timeout: Duration,
    /// The maximum time of an unauthenticated connection without a request, if authentication is required.
    pub unauthenticated_idle_timeout: Duration,
    /// The maximum time in which a client reads nothing of the data that is sent to it. It is detected late where the socket buffers are
    /// large.
    pub stall_timeout: Duration,
    /// The maximum time in which fewer than [`Self::progress_bytes`] of a response are sent. Includes the time in the scrape queue and the
    /// time of polls.
    pub response_timeout: Duration,
    /// The maximum time until a response is sent, whatever its progress is: a page that is too large to be shared keeps its readings in
    /// memory until then.
    pub response_duration_max: Duration,
    /// Bytes that a client must read to count as making progress.
    pub progress_bytes: usize,
    /// The interval at which the files in the configuration are checked for changes.
    pub watch_interval: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            head_bytes_max: 32 * 1024,
            path_bytes_max: 4 * 1024,
            connections_max: 512,
            connections_client_max: 64,
            unauthenticated_max: 128,
            unauthenticated_client_max: 16,
            requests_max: 256,
            requests_client_max: 64,
            streams_max: 16,
            stream_bytes_max: 64 * 1024,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(300),
            unauthenticated_idle_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            response_timeout: Duration::from_secs(60),
            response_duration_max: Duration::from_secs(300),
            progress_bytes: 64 * 1024,
            watch_interval: Duration::from_secs(1),
        }
    }
}

impl ServerLimits {
    /// Returns the interval at which connections are checked for timeouts.
    pub(crate) fn check_interval(&self) -> Duration {
        let shortest = self
            .head_timeout
            .min(self.idle_timeout)
            .min(self.unauthenticated_idle_timeout)
            .min(self.stall_timeout)
            .min(self.response_timeout)
            .min(self.response_duration_max);
        (shortest / 4).max(Duration::from_millis(1))
    }
}
