//! When scrapes of a target came, and when the next one is expected.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// Scrapers of one target that are remembered; the one that came longest ago is forgotten first.
const SCRAPERS_MAX: usize = 4;
/// Expected scrapes after the last one that came. Then no further ones are expected.
const EXPECTED_MAX: u32 = 2;
/// How far two intervals of one scraper differ at most.
const TOLERANCE_SHARE: f64 = 0.25;
/// Scrapes that follow one another faster are no schedule.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Tells scrapers apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScraperId(u64);

impl ScraperId {
    /// The scraper at this address, or with this name.
    #[must_use]
    pub fn of(identity: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        identity.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// A scrape that has not come yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExpectedScrape {
    pub(super) at: Instant,
    /// The interval of its scraper.
    pub(super) interval: Duration,
}

/// The scrapes of one target.
#[derive(Debug, Default)]
pub(super) struct ScrapeSchedule {
    scrapers: Vec<Scraper>,
}

#[derive(Debug)]
struct Scraper {
    id: ScraperId,
    last: Instant,
    interval: Option<Duration>,
    /// A scrape that came after another interval, which is believed when it is seen again, and that interval.
    candidate: Option<(Instant, Duration)>,
}

impl ScrapeSchedule {
    /// A scrape has come.
    pub(super) fn observe(&mut self, id: ScraperId, now: Instant) {
        if let Some(scraper) = self.scrapers.iter_mut().find(|scraper| scraper.id == id) {
            return scraper.observe(now);
        }
        if self.scrapers.len() == SCRAPERS_MAX {
            let oldest = self.scrapers.iter().enumerate().min_by_key(|(_, scraper)| scraper.last).map(|(at, _)| at);
            oldest.map(|at| self.scrapers.swap_remove(at));
        }
        self.scrapers.push(Scraper { id, last: now, interval: None, candidate: None });
    }

    /// The first scrape that is expected after this.
    pub(super) fn expected_after(&self, after: Instant) -> Option<ExpectedScrape> {
        let expected = |scraper: &Scraper| {
            let interval = scraper.interval?;
            let at = (1..=EXPECTED_MAX).map(|nth| scraper.last + interval * nth).find(|at| *at > after)?;
            Some(ExpectedScrape { at, interval })
        };
        self.scrapers.iter().filter_map(expected).min_by_key(|scrape| scrape.at)
    }
}

impl Scraper {
    fn observe(&mut self, now: Instant) {
        let gap = now.saturating_duration_since(self.last);
        if gap < INTERVAL_MIN {
            return;
        }
        let agree = |a: Duration, b: Duration| a.abs_diff(b) <= a.mul_f64(TOLERANCE_SHARE);
        let since_candidate = self.candidate.map(|(at, interval)| (now.saturating_duration_since(at), interval));
        let repeated = since_candidate.filter(|(since, interval)| agree(*interval, *since)).map(|(since, _)| since);
        let regular = self.interval.is_none_or(|interval| agree(interval, gap)).then_some(gap);
        if let Some(interval) = regular.or(repeated) {
            (self.last, self.interval, self.candidate) = (now, Some(interval), None);
            return;
        }
        self.candidate = Some((now, gap));
        // Somebody else at the same address changes nothing; a scrape that was left out does.
        if self.interval.is_some_and(|interval| gap > interval) {
            self.last = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When scrapes are expected after scrapes at these seconds, as seen right after the last one: the first, and the one after it.
    #[track_caller]
    fn expects(scrapes: &[(u8, u64)], expected: &[u64]) {
        let start = Instant::now();
        let second = |at: u64| start + Duration::from_secs(at);
        let mut schedule = ScrapeSchedule::default();
        scrapes.iter().for_each(|(scraper, at)| schedule.observe(ScraperId::of(scraper), second(*at)));
        let (mut after, mut found) = (second(scrapes.last().map_or(0, |(_, at)| *at)), Vec::new());
        while let Some(scrape) = schedule.expected_after(after) {
            found.push(scrape.at.duration_since(start).as_secs());
            after = scrape.at;
        }
        assert_eq!(found, expected, "{scrapes:?}");
    }

    #[test]
    fn two_scrapes_are_expected_after_each_that_comes_and_no_more() {
        expects(&[], &[]);
        expects(&[(1, 0)], &[]);
        expects(&[(1, 0), (1, 15)], &[30, 45]);
        expects(&[(1, 0), (1, 15), (1, 31)], &[47, 63]);
    }

    #[test]
    fn each_scraper_has_a_schedule() {
        expects(&[(1, 0), (2, 5), (1, 60), (2, 65)], &[120, 125, 180, 185]);
    }

    #[test]
    fn a_request_between_two_scrapes_changes_nothing() {
        expects(&[(1, 0), (1, 15), (1, 20)], &[30, 45]);
        expects(&[(1, 0), (1, 15), (1, 20), (1, 30)], &[45, 60]);
        expects(&[(1, 0), (1, 15), (1, 15)], &[30, 45]);
    }

    #[test]
    fn another_interval_is_believed_when_it_is_seen_twice() {
        expects(&[(1, 0), (1, 15), (1, 75)], &[90, 105]);
        expects(&[(1, 0), (1, 15), (1, 75), (1, 135)], &[195, 255]);
        expects(&[(1, 0), (1, 60), (1, 75), (1, 77)], &[120, 180]);
        expects(&[(1, 0), (1, 60), (1, 75), (1, 90)], &[105, 120]);
    }

    #[test]
    fn few_scrapers_are_remembered() {
        let mut schedule = ScrapeSchedule::default();
        let start = Instant::now();
        (0..100_u64).for_each(|n| schedule.observe(ScraperId::of(&n), start + Duration::from_secs(n)));
        assert_eq!(schedule.scrapers.len(), SCRAPERS_MAX);
        assert!(schedule.scrapers.iter().any(|scraper| scraper.id == ScraperId::of(&99_u64)));
    }
}
