//! The scrapes of a target, and the time at which the next one is expected.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// Scrapers that are tracked for one target. The one whose last scrape is oldest is removed first.
const SCRAPERS_MAX: usize = 4;
/// The number of scrapes that are expected after the last one. If they do not come, no further ones are expected.
const EXPECTED_MAX: u32 = 2;
/// The largest difference between two intervals of one scraper, as a share of the interval.
const TOLERANCE_SHARE: f64 = 0.25;
/// Scrapes in shorter succession are not a schedule.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// The identity of a scraper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScraperId(u64);

impl ScraperId {
    /// The scraper with this address or name.
    #[must_use]
    pub fn of(identity: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        identity.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// A scrape that is expected.
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
    /// The last scrape that came after a different interval, and that interval. It is accepted when it is seen again.
    candidate: Option<(Instant, Duration)>,
}

impl ScrapeSchedule {
    /// Records a scrape.
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

    /// The first scrape that is expected after this time.
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
        let is_similar = |a: Duration, b: Duration| a.abs_diff(b) <= a.mul_f64(TOLERANCE_SHARE);
        let since_candidate = self.candidate.map(|(at, interval)| (now.saturating_duration_since(at), interval));
        let repeated = since_candidate.filter(|(since, interval)| is_similar(*interval, *since)).map(|(since, _)| since);
        let regular = self.interval.is_none_or(|interval| is_similar(interval, gap)).then_some(gap);
        if let Some(interval) = regular.or(repeated) {
            (self.last, self.interval, self.candidate) = (now, Some(interval), None);
            return;
        }
        self.candidate = Some((now, gap));
        // An additional request from the same address changes nothing; a scrape that was skipped does.
        if self.interval.is_some_and(|interval| gap > interval) {
            self.last = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the scrapes that are expected right after the last of these scrapes, which are pairs of a scraper and a second.
    #[track_caller]
    fn expect(scrapes: &[(u8, u64)], expected: &[u64]) {
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
    fn two_more_scrapes_are_expected_after_each_scrape() {
        expect(&[], &[]);
        expect(&[(1, 0)], &[]);
        expect(&[(1, 0), (1, 15)], &[30, 45]);
        expect(&[(1, 0), (1, 15), (1, 31)], &[47, 63]);
    }

    #[test]
    fn each_scraper_has_its_own_schedule() {
        expect(&[(1, 0), (2, 5), (1, 60), (2, 65)], &[120, 125, 180, 185]);
    }

    #[test]
    fn a_request_between_two_scrapes_changes_nothing() {
        expect(&[(1, 0), (1, 15), (1, 20)], &[30, 45]);
        expect(&[(1, 0), (1, 15), (1, 20), (1, 30)], &[45, 60]);
        expect(&[(1, 0), (1, 15), (1, 15)], &[30, 45]);
    }

    #[test]
    fn a_new_interval_is_accepted_when_it_is_seen_twice() {
        expect(&[(1, 0), (1, 15), (1, 75)], &[90, 105]);
        expect(&[(1, 0), (1, 15), (1, 75), (1, 135)], &[195, 255]);
        expect(&[(1, 0), (1, 60), (1, 75), (1, 77)], &[120, 180]);
        expect(&[(1, 0), (1, 60), (1, 75), (1, 90)], &[105, 120]);
    }

    #[test]
    fn the_number_of_scrapers_is_limited() {
        let mut schedule = ScrapeSchedule::default();
        let start = Instant::now();
        (0..100_u64).for_each(|n| schedule.observe(ScraperId::of(&n), start + Duration::from_secs(n)));
        assert_eq!(schedule.scrapers.len(), SCRAPERS_MAX);
        assert!(schedule.scrapers.iter().any(|scraper| scraper.id == ScraperId::of(&99_u64)));
    }
}
