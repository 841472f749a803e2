//! Sums by account and minute, from which cPanel's statistics of any window are computed.

use super::{Message, Origin};
use std::collections::{BTreeMap, VecDeque};

/// Minutes that are kept separately; older ones are merged into the oldest.
pub const MINUTES_MAX: usize = 3 * 24 * 60;
const MINUTE_SECONDS: u64 = 60;

/// The account that a message belongs to in cPanel's statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// The pseudo user `-remote-`.
    Remote,
    /// `root`, with the pseudo domain `-system-`.
    System,
    /// `nobody`, without a domain.
    LocalUser,
    /// The owner of a domain, by its index.
    Domain(usize),
}

impl Account {
    pub(super) fn of(message: &Message) -> Self {
        match message.origin {
            Origin::Remote => Self::Remote,
            Origin::Authenticated => Self::Domain(message.domain),
            Origin::LocalUser => Self::LocalUser,
            Origin::Dsn | Origin::Report => Self::System,
        }
    }
}

/// The sums of an account over some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Messages submitted.
    pub sent: u64,
    /// Successful deliveries.
    pub delivered: u64,
    /// Deferred attempts.
    pub deferred: u64,
    /// Attempts that failed permanently.
    pub failed: u64,
    /// Total size of the submitted messages.
    pub bytes: u64,
}

impl std::ops::AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.deferred += other.deferred;
        self.failed += other.failed;
        self.bytes += other.bytes;
    }
}

#[derive(Clone, Debug)]
struct Minute {
    starts: u64,
    accounts: BTreeMap<Account, Sums>,
}

/// The sums of each account by minute.
#[derive(Clone, Debug, Default)]
pub(super) struct Minutes(VecDeque<Minute>);

impl Minutes {
    /// Adds to the sums of an account. Times must not decrease between calls.
    pub(super) fn count(&mut self, now: f64, account: Account, count: impl FnOnce(&mut Sums)) {
        let starts = now as u64 / MINUTE_SECONDS * MINUTE_SECONDS;
        if self.0.back().is_none_or(|minute| minute.starts != starts) {
            self.0.push_back(Minute { starts, accounts: BTreeMap::new() });
            self.fold_old();
        }
        if let Some(minute) = self.0.back_mut() {
            count(minute.accounts.entry(account).or_default());
        }
    }

    fn fold_old(&mut self) {
        while self.0.len() > MINUTES_MAX {
            let Some(oldest) = self.0.pop_front() else { return };
            let Some(next) = self.0.front_mut() else { return };
            add(&mut next.accounts, &oldest.accounts);
        }
    }

    /// The sums over the minutes that start between `start` and `end` inclusive.
    pub(super) fn window(&self, start: u64, end: u64) -> BTreeMap<Account, Sums> {
        let mut accounts = BTreeMap::new();
        for minute in self.0.iter().filter(|minute| (start..=end).contains(&minute.starts)) {
            add(&mut accounts, &minute.accounts);
        }
        accounts
    }
}

fn add(to: &mut BTreeMap<Account, Sums>, from: &BTreeMap<Account, Sums>) {
    for (account, sums) in from {
        *to.entry(*account).or_default() += *sums;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_minutes_are_merged_into_the_oldest() {
        let mut minutes = Minutes::default();
        for nth in 0..MINUTES_MAX + 10 {
            minutes.count(nth as f64 * 60.0 + 7.0, Account::Remote, |sums| sums.sent += 1);
        }
        assert_eq!(minutes.0.len(), MINUTES_MAX);
        assert_eq!(minutes.window(0, u64::MAX)[&Account::Remote].sent, MINUTES_MAX as u64 + 10);
        assert_eq!(minutes.window(0, 10 * 60)[&Account::Remote].sent, 11);
    }
}
