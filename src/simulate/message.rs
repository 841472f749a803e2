//! A simulated message and its recipient's domain.

const FIRST_DOMAINS: &[&str] = &["example.com", "example.net", "example.org", "shop.example.com", "news.example.net", "lists.example.org"];
const TENANTS: &[&str] = &["northwind", "contoso", "fabrikam"];
const CAMPAIGNS: &[&str] = &["autumn-letter", "receipts"];

/// A mail domain of the server.
#[derive(Clone, Debug)]
pub struct Domain {
    /// The domain name.
    pub name: String,
    /// Messages that are queued for a retry.
    pub scheduled: u64,
    /// Messages before their first attempt.
    pub ready: u64,
    /// Successful delivery attempts.
    pub delivered: u64,
    /// Deferred delivery attempts.
    pub deferred: u64,
    /// Delivery attempts that failed permanently.
    pub failed: u64,
    /// Messages delayed by a rate limit.
    pub throttled: u64,
    /// Connections opened to the domain's mail server.
    pub opened: u64,
    /// The tenant that owns the domain, if any.
    pub tenant: Option<&'static str>,
    /// A campaign of that tenant.
    pub campaign: Option<&'static str>,
}

impl Domain {
    /// The domain with this index.
    pub(super) fn nth(index: usize) -> Self {
        let name = FIRST_DOMAINS.get(index).map_or_else(
            || format!("d{index:05}.{}", ["example.com", "example.net", "example.org"][index % 3]),
            |name| (*name).to_string(),
        );
        let tenant = (!index.is_multiple_of(3)).then(|| TENANTS[index / 3 % TENANTS.len()]);
        let campaign = tenant.and(index.is_multiple_of(2).then(|| CAMPAIGNS[index / 2 % CAMPAIGNS.len()]));
        Self { name, scheduled: 0, ready: 0, delivered: 0, deferred: 0, failed: 0, throttled: 0, opened: 0, tenant, campaign }
    }

    /// Returns true if the mail server of this domain is slow.
    pub(super) fn slow(index: usize) -> bool {
        index % 7 == 5
    }
}

/// The origin of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Another mail server.
    Remote,
    /// An authenticated client.
    Authenticated,
    /// A local script that runs as `nobody`.
    LocalUser,
    /// The server itself: a bounce.
    Dsn,
    /// The server itself: a report.
    Report,
}

/// A message that was received.
#[derive(Clone, Debug)]
pub struct Message {
    /// A unique number, larger than a double represents exactly.
    pub id: u64,
    /// The index of the recipient's domain.
    pub domain: usize,
    /// The origin.
    pub origin: Origin,
    /// The size in bytes.
    pub bytes: u64,
    /// The time it was received, in Unix seconds.
    pub received: f64,
    /// The time of the next attempt, in Unix seconds.
    pub retry: f64,
    /// The number of attempts so far.
    pub tries: u8,
}

impl Message {
    /// Returns true if the server has suspended retries of the message.
    #[must_use]
    pub fn frozen(&self) -> bool {
        self.tries >= 4 && self.id.is_multiple_of(3)
    }
}
