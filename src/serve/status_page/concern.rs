//! Figures of a target that need attention although its polls succeed. The thresholds are those of the alert rules, without their delays.

use super::figure::breakdown;
use super::format;
use crate::model::Point;
use crate::model::vocabulary::{QUEUE_DEPTH, QUEUE_OLDEST_AGE, QUEUE_STATE};
use crate::poll::{DEFERRED_TITLE, DELIVERED_TITLE, FAILED_TITLE, History};
use std::time::Duration;

/// The time over which delivery attempts are counted.
const ATTEMPTS_SECONDS: u64 = 30 * 60;
/// The smallest number of attempts of which a share is meaningful.
const ATTEMPTS_MIN: f64 = 20.0;
/// The largest share of deferred attempts.
const DEFERRED_SHARE_MAX: f64 = 0.3;
/// The largest share of attempts that fail permanently.
const FAILED_SHARE_MAX: f64 = 0.1;
/// A smaller queue may grow as it likes.
const QUEUE_MIN: f64 = 100.0;
/// The largest growth of the queue within an hour.
const QUEUE_GROWTH_MAX: f64 = 2.0;
/// The age of a value that counts as the value of an hour ago. The history ends after an hour.
const HOUR_AGO_SECONDS_MIN: u64 = 55 * 60;
/// The largest age of a message in the queue in seconds: longer than most servers try.
const OLDEST_SECONDS_MAX: f64 = 5.5 * 86_400.0;
/// The states of messages that stay in the queue until an operator acts.
const HELD_STATES: [&str; 2] = ["held", "frozen"];

/// A figure that needs attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Concern {
    pub kind: ConcernKind,
    /// The value of this target.
    pub value: String,
}

/// The kind of a concern. Targets with the same kind are listed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConcernKind {
    ServicesDown,
    AccountsLockedOut,
    HeldMail,
    DeferralRatio,
    FailureRatio,
    QueueGrowth,
    OldMail,
}

impl ConcernKind {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::ServicesDown => "services down",
            Self::AccountsLockedOut => "accounts locked out",
            Self::HeldMail => "held mail",
            Self::DeferralRatio => "many deferrals",
            Self::FailureRatio => "many failures",
            Self::QueueGrowth => "growing queue",
            Self::OldMail => "old mail",
        }
    }

    pub(super) const fn advice(self) -> &'static str {
        match self {
            Self::ServicesDown => "The server reports that these services do not run: start them, and read their logs.",
            Self::AccountsLockedOut => "The mail server can no longer log in to these accounts: renew their credentials.",
            Self::HeldMail => "Held and frozen messages stay in the queue until an operator releases or deletes them.",
            Self::DeferralRatio => {
                "More than 30 % of the delivery attempts of the last 30 minutes were deferred: mail.delivery.failures and the mail server's log have the reasons."
            }
            Self::FailureRatio => {
                "More than 10 % of the delivery attempts of the last 30 minutes failed permanently: mail.delivery.failures and the mail server's log have the reasons."
            }
            Self::QueueGrowth => {
                "The queue has more than doubled within an hour: is a destination unreachable, or does an account send spam?"
            }
            Self::OldMail => {
                "The oldest message has been in the queue for more than five days: the mail server's queue listing has its destination."
            }
        }
    }

    /// Returns true if mail is not processed.
    pub(super) const fn is_severe(self) -> bool {
        matches!(self, Self::ServicesDown)
    }
}

/// The concerns of a target with these latest points.
pub(super) fn concerns(points: &[Point], history: &History, now_seconds: u64) -> Vec<Concern> {
    let concern = |kind, value| Concern { kind, value };
    let mut concerns = Vec::new();
    for (_, figure) in history.figures().enumerate().filter(|(_, figure)| figure.bad) {
        let value = figure.aggregate(points.iter().filter(|point| figure.includes(point)).map(|point| point.value));
        let Some(value) = value.filter(|value| *value > 0.0) else { continue };
        concerns.push(match figure.by {
            Some(by) => concern(ConcernKind::ServicesDown, breakdown(figure, by, points)),
            None => concern(ConcernKind::AccountsLockedOut, format::number(value)),
        });
    }
    let is_in = |point: &Point, state: &str| point.attributes.iter().any(|(key, value)| *key == &QUEUE_STATE && value == state);
    for state in HELD_STATES {
        let is_held = |point: &&Point| point.metric == &QUEUE_DEPTH && is_in(point, state);
        let held: f64 = points.iter().filter(is_held).map(|point| point.value).sum();
        if held > 0.0 {
            concerns.push(concern(ConcernKind::HeldMail, format!("{} {state}", format::number(held))));
        }
    }
    let is_waiting = |point: &&Point| point.metric == &QUEUE_OLDEST_AGE && !HELD_STATES.iter().any(|state| is_in(point, state));
    let oldest = points.iter().filter(is_waiting).map(|point| point.value).reduce(f64::max);
    if let Some(oldest) = oldest.filter(|oldest| *oldest > OLDEST_SECONDS_MAX) {
        concerns.push(concern(ConcernKind::OldMail, format::elapsed(Duration::try_from_secs_f64(oldest).unwrap_or_default())));
    }
    concerns.extend(growth(points, history, now_seconds).map(|value| concern(ConcernKind::QueueGrowth, value)));
    concerns.extend(ratios(history, now_seconds).map(|(kind, value)| concern(kind, value)));
    concerns
}

/// Describes the growth of the queue within an hour, if it is too large.
fn growth(points: &[Point], history: &History, now_seconds: u64) -> Option<String> {
    let (index, figure) = history.figures().enumerate().find(|(_, figure)| figure.metric == &QUEUE_DEPTH)?;
    let now = figure.aggregate(points.iter().filter(|point| figure.includes(point)).map(|point| point.value))?;
    let is_old = |at: u64| at + HOUR_AGO_SECONDS_MIN <= now_seconds;
    let before = history.points(index).take_while(|point| is_old(point.at)).find_map(|point| point.value)?;
    let before = f64::from(before);
    let is_growing = now > QUEUE_MIN && now > before * QUEUE_GROWTH_MAX;
    is_growing.then(|| format!("{} → {}", format::number(before), format::number(now)))
}

/// The shares of deferred and failed attempts that are too large.
fn ratios(history: &History, now_seconds: u64) -> impl Iterator<Item = (ConcernKind, String)> {
    let since = now_seconds.saturating_sub(ATTEMPTS_SECONDS);
    let attempts = |title: &str| {
        let (index, _) = history.titled(title)?;
        history.increase_since(index, since)
    };
    let (delivered, deferred, failed) = (attempts(DELIVERED_TITLE), attempts(DEFERRED_TITLE), attempts(FAILED_TITLE));
    let all: f64 = [delivered, deferred, failed].into_iter().flatten().sum();
    let share = |kind, part: Option<f64>, max: f64| {
        // A share of all attempts requires that all outcomes are known.
        let share = part.filter(|_| delivered.is_some() && all >= ATTEMPTS_MIN)? / all;
        let describe = || format!("{} % of {} attempts", format::number((share * 100.0).round()), format::number(all));
        (share > max).then(|| (kind, describe()))
    };
    let deferrals = share(ConcernKind::DeferralRatio, deferred, DEFERRED_SHARE_MAX);
    let failures = share(ConcernKind::FailureRatio, failed, FAILED_SHARE_MAX);
    deferrals.into_iter().chain(failures)
}

#[cfg(test)]
mod tests;
