//! The cursor of a log: the read position, and the records near it that are known. Pure: a cursor is encoded to and decoded from bytes.

use crate::net::{FileFault, seal, unseal};
use std::collections::HashMap;
use std::time::Duration;

/// The largest number of known records. With more, the overlap is shortened at its old end.
const KNOWN_MAX: usize = 250_000;
/// The kind of a file, and the version of its format.
const KIND: &str = "cursor";
pub(super) const VERSION: u32 = 1;

/// The read position in a log, and the known records near it.
#[derive(Clone, Debug, PartialEq)]
pub struct Cursor {
    /// The log that the cursor belongs to, on one line.
    log: String,
    /// The earliest time that is requested, in Unix seconds: the first start, or the end of the part by which the overlap was shortened.
    floor: u64,
    /// The read position in Unix seconds: all records up to here are acknowledged.
    position: u64,
    known: HashMap<u64, KnownRecord>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct KnownRecord {
    at: u64,
    /// The receiver has acknowledged the record. Other records are in flight, and are not saved.
    acknowledged: bool,
}

impl Cursor {
    /// The cursor of a first start, which reads from `since` before `now`. `now` is in Unix seconds.
    #[must_use]
    pub fn starting(log: &str, now: u64, since: Duration) -> Self {
        let floor = now.saturating_sub(since.as_secs());
        Self { log: one_line(log), floor, position: floor, known: HashMap::new() }
    }

    /// The log that the cursor belongs to.
    #[must_use]
    pub fn log(&self) -> &str {
        &self.log
    }

    /// The start of the next reading in Unix seconds.
    #[must_use]
    pub fn next_start(&self, overlap: Duration) -> u64 {
        self.floor.max(self.position.saturating_sub(overlap.as_secs()))
    }

    /// Returns true if nothing was read yet, so that the records that the log already has are not known.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.position == self.floor && self.known.is_empty()
    }

    /// Moves the start to `floor`, but never forward. `unwanted` are the identities and times of records that the log already has, and that
    /// are not to be sent.
    pub fn rebase(&mut self, floor: u64, unwanted: impl Iterator<Item = (u64, u64)>) {
        self.floor = self.floor.min(floor);
        self.position = self.floor;
        self.known.extend(unwanted.map(|(id, at)| (id, KnownRecord { at, acknowledged: true })));
    }

    /// Moves the start of a log that was never read, also forward.
    pub fn restart(&mut self, floor: u64) {
        (self.floor, self.position) = (floor, floor);
    }

    /// Marks a record as known. Returns true if it was new.
    pub fn observe(&mut self, id: u64, at: u64) -> bool {
        match self.known.get_mut(&id) {
            Some(known) => {
                // A delivery in progress may have a later time each time.
                known.at = known.at.max(at);
                false
            }
            None => {
                self.known.insert(id, KnownRecord { at, acknowledged: false });
                true
            }
        }
    }

    /// The number of known records in a window of time, both ends included.
    #[must_use]
    pub fn known_between(&self, start: u64, end: u64) -> u64 {
        self.known.values().filter(|known| (start..=end).contains(&known.at)).count() as u64
    }

    /// Marks records as acknowledged.
    pub fn acknowledge(&mut self, ids: impl Iterator<Item = u64>) {
        for id in ids {
            if let Some(known) = self.known.get_mut(&id) {
                known.acknowledged = true;
            }
        }
    }

    /// Advances the read position. Returns true if it has moved.
    pub fn advance(&mut self, position: u64, overlap: Duration) -> bool {
        if position <= self.position {
            return false;
        }
        self.position = position;
        self.remove_before(self.next_start(overlap));
        if self.known.len() > KNOWN_MAX {
            let mut times: Vec<u64> = self.known.values().map(|known| known.at).collect();
            let excess = times.len() - KNOWN_MAX;
            // Whole seconds are removed, because all records of a second that is requested again must be known.
            self.floor = self.floor.max(*times.select_nth_unstable(excess).1 + 1).min(self.position);
            self.remove_before(self.floor);
        }
        true
    }

    fn remove_before(&mut self, before: u64) {
        self.known.retain(|_, known| known.at >= before || !known.acknowledged);
    }

    /// Encodes the cursor without the records that are in flight.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let acknowledged = || self.known.iter().filter(|(_, known)| known.acknowledged);
        let mut bytes = format!("{}\n", self.log).into_bytes();
        bytes.reserve(24 + 16 * self.known.len());
        for number in [self.floor, self.position, acknowledged().count() as u64] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for (id, known) in acknowledged() {
            bytes.extend_from_slice(&id.to_le_bytes());
            bytes.extend_from_slice(&known.at.to_le_bytes());
        }
        seal(KIND, VERSION, &bytes)
    }

    /// Decodes a cursor.
    ///
    /// # Errors
    /// The bytes are damaged, or have another format.
    pub fn decode(bytes: &[u8]) -> Result<Self, FileFault> {
        let (log, rest) = line(unseal(KIND, VERSION, bytes)?)?;
        let (numbers, rest) = rest.as_chunks::<8>();
        let mut numbers = numbers.iter().map(|number| u64::from_le_bytes(*number));
        let mut next = || numbers.next().ok_or(FileFault::Damaged);
        let (floor, position, count) = (next()?, next()?, next()?);
        let mut known = HashMap::new();
        for _ in 0..count {
            known.insert(next()?, KnownRecord { at: next()?, acknowledged: true });
        }
        if !rest.is_empty() || next().is_ok() {
            return Err(FileFault::Damaged);
        }
        Ok(Self { log: log.to_owned(), floor, position, known })
    }
}

/// Splits off the first line.
fn line(bytes: &[u8]) -> Result<(&str, &[u8]), FileFault> {
    let end = bytes.iter().position(|b| *b == b'\n').ok_or(FileFault::Damaged)?;
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| FileFault::Damaged)?;
    Ok((line, &bytes[end + 1..]))
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const OVERLAP: Duration = Duration::from_secs(10);
    const LOG: &str = "cpanel at whm.example.com";

    fn read_to(records: &[(u64, u64)], to: u64) -> Cursor {
        let mut cursor = Cursor::starting(LOG, 100, Duration::ZERO);
        for (id, at) in records {
            assert!(cursor.observe(*id, *at), "{id}");
        }
        cursor.acknowledge(records.iter().map(|(id, _)| *id));
        assert!(cursor.advance(to, OVERLAP));
        cursor
    }

    #[test]
    fn acknowledged_records_are_known_within_the_overlap() {
        let mut cursor = read_to(&[(1, 100), (2, 120), (3, 130)], 130);
        assert_eq!(cursor.next_start(OVERLAP), 120);
        assert_eq!([1, 2, 3, 4].map(|id| cursor.observe(id, 130)), [true, false, false, true]);
    }

    #[test]
    fn a_first_start_reads_nothing_before_its_start() {
        assert_eq!(Cursor::starting(LOG, 100, Duration::ZERO).next_start(OVERLAP), 100);
        assert_eq!(Cursor::starting(LOG, 100, Duration::from_secs(60)).next_start(OVERLAP), 40);
        assert_eq!(Cursor::starting(LOG, 100, Duration::from_secs(600)).next_start(OVERLAP), 0);
    }

    #[test]
    fn a_first_start_can_be_moved_back_without_existing_records() {
        let mut cursor = Cursor::starting(LOG, 100, Duration::ZERO);
        assert!(cursor.is_unread());
        cursor.rebase(70, [(1, 75), (2, 99)].into_iter());
        assert_eq!((cursor.next_start(OVERLAP), cursor.is_unread()), (70, false));
        assert_eq!([1, 2, 3].map(|id| cursor.observe(id, 80)), [false, false, true]);
        let kept = Cursor::decode(&cursor.encode()).unwrap();
        assert_eq!((kept.next_start(OVERLAP), kept.known.len()), (70, 2));
        cursor.rebase(90, [].into_iter());
        assert_eq!(cursor.next_start(OVERLAP), 70, "never forward");
    }

    #[test]
    fn the_position_never_moves_back_and_records_in_flight_are_kept() {
        let mut cursor = read_to(&[(1, 100), (2, 120)], 120);
        assert!(!cursor.advance(110, OVERLAP));
        assert!(cursor.observe(3, 111));
        assert!(cursor.advance(200, OVERLAP));
        assert!(!cursor.observe(3, 111));
    }

    #[test]
    fn an_encoded_cursor_has_no_records_in_flight() {
        let mut cursor = read_to(&[(1, 125), (2, 130)], 130);
        let kept = cursor.clone();
        cursor.observe(3, 130);
        assert_eq!(Cursor::decode(&cursor.encode()).unwrap(), kept);
    }

    #[test]
    fn any_damage_is_detected() {
        let bytes = read_to(&[(1, 125), (2, 130)], 130).encode();
        for end in 0..bytes.len() {
            assert!(Cursor::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 1;
            assert_eq!(Cursor::decode(&broken), Err(FileFault::Damaged), "at {at}");
        }
        assert_eq!(Cursor::decode(&seal(KIND, 2, b"")), Err(FileFault::Version(2)));
    }

    #[test]
    fn too_many_records_shorten_the_overlap() {
        let records: Vec<(u64, u64)> = (0..KNOWN_MAX as u64 + 1000).map(|n| (n, 1000 + n / 100)).collect();
        let mut cursor = Cursor::starting(LOG, 0, Duration::ZERO);
        let wide = Duration::from_secs(100_000);
        for (id, at) in &records {
            cursor.observe(*id, *at);
        }
        cursor.acknowledge(records.iter().map(|(id, _)| *id));
        assert!(cursor.advance(4000, wide));
        assert!(cursor.known.len() <= KNOWN_MAX);
        assert!(cursor.known.values().all(|known| known.at >= cursor.next_start(wide)));
        assert!(cursor.next_start(wide) > 1000);
    }
}
