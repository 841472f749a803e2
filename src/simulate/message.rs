//! A message on its way, and the domain that it goes to.

const FIRST_DOMAINS: &[&str] = &["example.com", "example.net", "example.org", "shop.example.com", "news.example.net", "lists.example.org"];
const TENANTS: &[&str] = &["northwind", "contoso", "fabrikam"];
const CAMPAIGNS: &[&str] = &["autumn-letter", "receipts"];

/// One of the server's domains.
#[derive(Clone, Debug)]
pub struct Domain {
    /// `example.com` and so on.
    pub name: String,
    /// Messages that wait for a retry.
    pub scheduled: u64,
    /// Messages before their first attempt.
    pub ready: u64,
    /// Attempts that succeeded.
    pub delivered: u64,
    /// Attempts that are tried again.
    pub deferred: u64,
    /// Attempts that are not.
    pub failed: u64,
    /// Messages held back by a rate.
    pub throttled: u64,
    /// Connections to its mail server.
    pub opened: u64,
    /// The customer whose it is; some are nobody's.
    pub tenant: Option<&'static str>,
    /// A mailing of that customer.
    pub campaign: Option<&'static str>,
}

impl Domain {
    /// The one at this place of a server's list.
    pub(super) fn nth(index: usize) -> Self {
        let name = FIRST_DOMAINS.get(index).map_or_else(
            || format!("d{index:05}.{}", ["example.com", "example.net", "example.org"][index % 3]),
            |name| (*name).to_string(),
        );
        let tenant = (!index.is_multiple_of(3)).then(|| TENANTS[index / 3 % TENANTS.len()]);
        let campaign = tenant.and(index.is_multiple_of(2).then(|| CAMPAIGNS[index / 2 % CAMPAIGNS.len()]));
        Self { name, scheduled: 0, ready: 0, delivered: 0, deferred: 0, failed: 0, throttled: 0, opened: 0, tenant, campaign }
    }

    /// Whether the mail server there takes its time.
    pub(super) fn slow(index: usize) -> bool {
        index % 7 == 5
    }
}

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Another mail server.
    Remote,
    /// A client that logged in.
    Authenticated,
    /// A script on the machine, under no user's name.
    Nobody,
    /// The server itself: a bounce.
    Dsn,
    /// The server itself: a report.
    Report,
}

/// A message on its way.
#[derive(Clone, Debug)]
pub struct Message {
    /// Never used twice, and above what a double can hold.
    pub id: u64,
    /// Which domain it goes to, and whose user sent it.
    pub domain: usize,
    /// Who sent it.
    pub origin: Origin,
    /// Its size.
    pub bytes: u64,
    /// When it came, in Unix seconds.
    pub received: f64,
    /// When it is tried again.
    pub retry: f64,
    /// Attempts so far.
    pub tries: u8,
}

impl Message {
    /// Whether the server has given up retrying for the time being.
    #[must_use]
    pub fn frozen(&self) -> bool {
        self.tries >= 4 && self.id.is_multiple_of(3)
    }
}
