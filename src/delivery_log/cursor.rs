//! How far a log was read, and which records near that point are known. Pure: what is written of it, and read again, are bytes.

use ring::digest;
use std::collections::HashMap;
use std::time::Duration;

/// Records that are told apart behind the cursor. Beyond, the overlap is cut short, from its old end.
const KNOWN_MAX: usize = 250_000;
/// What a file begins with; the number is that of the format.
const HEAD: &str = "postmeter-cursor ";
const VERSION: u32 = 2;
/// The format that does not say whose log it is.
const VERSION_OF_NOBODY: u32 = 1;
const CHECK_BYTES: usize = digest::SHA256_OUTPUT_LEN;

/// How far a log was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Cursor {
    /// Whose log it is, on one line. Empty where it was written without.
    of: String,
    /// Nothing before this is asked for, in Unix seconds: the first start, or where the overlap was cut short.
    floor: u64,
    /// All that the server showed up to here was taken, in Unix seconds.
    reached: u64,
    known: HashMap<u64, KnownRecords>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct KnownRecords {
    at: u64,
    /// Acknowledged. Others are on their way, and forgotten with the process.
    taken: bool,
}

/// Why a file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// It is damaged, or no such file.
    #[error("it is damaged")]
    Damaged,
    /// Written by another version.
    #[error("it has format {0}, and this Postmeter knows {VERSION}")]
    Version(u32),
}

impl Cursor {
    /// A first start: from `since` before now, in Unix seconds.
    #[must_use]
    pub fn starting(of: &str, now: u64, since: Duration) -> Self {
        let floor = now.saturating_sub(since.as_secs());
        Self { of: one_line(of), floor, reached: floor, known: HashMap::new() }
    }

    /// Whose log it is; nothing where a Postmeter wrote it that did not say so.
    #[must_use]
    pub fn of(&self) -> Option<&str> {
        Some(self.of.as_str()).filter(|of| !of.is_empty())
    }

    /// The same as that of this log.
    #[must_use]
    pub fn owned(self, of: &str) -> Self {
        Self { of: one_line(of), ..self }
    }

    /// Where the next reading begins, in Unix seconds.
    #[must_use]
    pub fn begin(&self, overlap: Duration) -> u64 {
        self.floor.max(self.reached.saturating_sub(overlap.as_secs()))
    }

    /// Nothing was read yet: what the log has already is still unknown.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.reached == self.floor && self.known.is_empty()
    }

    /// Begins at `floor`, which is not after the present beginning. The records, by identity and time, are those that the log has already
    /// and that are not wanted.
    pub fn rebase(&mut self, floor: u64, unwanted: impl Iterator<Item = (u64, u64)>) {
        self.floor = self.floor.min(floor);
        self.reached = self.floor;
        self.known.extend(unwanted.map(|(id, at)| (id, KnownRecords { at, taken: true })));
    }

    /// Whether a record is new; from now on it is not.
    pub fn meet(&mut self, id: u64, at: u64) -> bool {
        match self.known.get_mut(&id) {
            Some(known) => {
                // One that has not ended may be told with a later time each time.
                known.at = known.at.max(at);
                false
            }
            None => {
                self.known.insert(id, KnownRecords { at, taken: false });
                true
            }
        }
    }

    /// How many known records are of this time, both ends included.
    #[must_use]
    pub fn known_between(&self, start: u64, end: u64) -> u64 {
        self.known.values().filter(|known| (start..=end).contains(&known.at)).count() as u64
    }

    /// These were taken.
    pub fn take(&mut self, ids: impl Iterator<Item = u64>) {
        for id in ids {
            if let Some(known) = self.known.get_mut(&id) {
                known.taken = true;
            }
        }
    }

    /// All up to here was taken. Says whether that is news.
    pub fn reach(&mut self, reached: u64, overlap: Duration) -> bool {
        if reached <= self.reached {
            return false;
        }
        self.reached = reached;
        self.forget(self.begin(overlap));
        if self.known.len() > KNOWN_MAX {
            let mut times: Vec<u64> = self.known.values().map(|known| known.at).collect();
            let over = times.len() - KNOWN_MAX;
            // Whole seconds are forgotten: what is asked for again must be known.
            self.floor = self.floor.max(*times.select_nth_unstable(over).1 + 1).min(self.reached);
            self.forget(self.floor);
        }
        true
    }

    fn forget(&mut self, before: u64) {
        self.known.retain(|_, known| known.at >= before || !known.taken);
    }

    /// What is kept of it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let taken = || self.known.iter().filter(|(_, known)| known.taken);
        let mut bytes = format!("{HEAD}{VERSION}\n{}\n", self.of).into_bytes();
        bytes.reserve(24 + 16 * self.known.len() + CHECK_BYTES);
        for number in [self.floor, self.reached, taken().count() as u64] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for (id, known) in taken() {
            bytes.extend_from_slice(&id.to_le_bytes());
            bytes.extend_from_slice(&known.at.to_le_bytes());
        }
        let check = digest::digest(&digest::SHA256, &bytes);
        bytes.extend_from_slice(check.as_ref());
        bytes
    }

    /// From what was kept.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn decode(bytes: &[u8]) -> Result<Self, CursorError> {
        let (head, _) = line(bytes)?;
        let version: u32 = head.strip_prefix(HEAD).and_then(|version| version.parse().ok()).ok_or(CursorError::Damaged)?;
        if ![VERSION, VERSION_OF_NOBODY].contains(&version) {
            return Err(CursorError::Version(version));
        }
        let (said, check) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or(CursorError::Damaged)?;
        if digest::digest(&digest::SHA256, said).as_ref() != check {
            return Err(CursorError::Damaged);
        }
        let (_, rest) = line(said)?;
        let (of, rest) = if version == VERSION_OF_NOBODY { ("", rest) } else { line(rest)? };
        let (numbers, rest) = rest.as_chunks::<8>();
        let mut numbers = numbers.iter().map(|number| u64::from_le_bytes(*number));
        let mut next = || numbers.next().ok_or(CursorError::Damaged);
        let (floor, reached, count) = (next()?, next()?, next()?);
        let mut known = HashMap::new();
        for _ in 0..count {
            known.insert(next()?, KnownRecords { at: next()?, taken: true });
        }
        if !rest.is_empty() || next().is_ok() {
            return Err(CursorError::Damaged);
        }
        Ok(Self { of: of.to_owned(), floor, reached, known })
    }
}

/// The first line, and what comes behind it.
fn line(bytes: &[u8]) -> Result<(&str, &[u8]), CursorError> {
    let end = bytes.iter().position(|b| *b == b'\n').ok_or(CursorError::Damaged)?;
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| CursorError::Damaged)?;
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
    const OF: &str = "cpanel at whm.example.com";

    fn reached(records: &[(u64, u64)], to: u64) -> Cursor {
        let mut cursor = Cursor::starting(OF, 100, Duration::ZERO);
        for (id, at) in records {
            assert!(cursor.meet(*id, *at), "{id}");
        }
        cursor.take(records.iter().map(|(id, _)| *id));
        assert!(cursor.reach(to, OVERLAP));
        cursor
    }

    #[test]
    fn what_was_taken_is_not_new_within_the_overlap() {
        let mut cursor = reached(&[(1, 100), (2, 120), (3, 130)], 130);
        assert_eq!(cursor.begin(OVERLAP), 120);
        assert_eq!([1, 2, 3, 4].map(|id| cursor.meet(id, 130)), [true, false, false, true]);
    }

    #[test]
    fn a_first_start_reads_nothing_before_it() {
        assert_eq!(Cursor::starting(OF, 100, Duration::ZERO).begin(OVERLAP), 100);
        assert_eq!(Cursor::starting(OF, 100, Duration::from_secs(60)).begin(OVERLAP), 40);
        assert_eq!(Cursor::starting(OF, 100, Duration::from_secs(600)).begin(OVERLAP), 0);
    }

    #[test]
    fn a_first_start_can_be_moved_back_without_what_was_there() {
        let mut cursor = Cursor::starting(OF, 100, Duration::ZERO);
        assert!(cursor.is_unread());
        cursor.rebase(70, [(1, 75), (2, 99)].into_iter());
        assert_eq!((cursor.begin(OVERLAP), cursor.is_unread()), (70, false));
        assert_eq!([1, 2, 3].map(|id| cursor.meet(id, 80)), [false, false, true]);
        let kept = Cursor::decode(&cursor.encode()).unwrap();
        assert_eq!((kept.begin(OVERLAP), kept.known.len()), (70, 2));
        cursor.rebase(90, [].into_iter());
        assert_eq!(cursor.begin(OVERLAP), 70, "never forward");
    }

    #[test]
    fn it_does_not_go_back_and_forgets_nothing_that_is_on_its_way() {
        let mut cursor = reached(&[(1, 100), (2, 120)], 120);
        assert!(!cursor.reach(110, OVERLAP));
        assert!(cursor.meet(3, 111));
        assert!(cursor.reach(200, OVERLAP));
        assert!(!cursor.meet(3, 111));
    }

    #[test]
    fn what_is_kept_comes_back_without_what_was_on_its_way() {
        let mut cursor = reached(&[(1, 125), (2, 130)], 130);
        let kept = cursor.clone();
        cursor.meet(3, 130);
        assert_eq!(Cursor::decode(&cursor.encode()).unwrap(), kept);
    }

    #[test]
    fn every_damage_is_found() {
        let bytes = reached(&[(1, 125), (2, 130)], 130).encode();
        for end in 0..bytes.len() {
            assert!(Cursor::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
        for at in HEAD.len() + 1..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 1;
            assert_eq!(Cursor::decode(&broken), Err(CursorError::Damaged), "at {at}");
        }
        let newer = [b"postmeter-cursor 3\n", &bytes[HEAD.len() + 2..]].concat();
        assert_eq!(Cursor::decode(&newer), Err(CursorError::Version(3)));
    }

    #[test]
    fn one_of_the_first_format_is_nobodys_and_can_be_taken_over() {
        let cursor = reached(&[(1, 125), (2, 130)], 130);
        assert_eq!(cursor.of(), Some(OF));
        let head = HEAD.len() + 2;
        let bytes = cursor.encode();
        let mut first = [b"postmeter-cursor 1\n", &bytes[head + OF.len() + 1..bytes.len() - CHECK_BYTES]].concat();
        first.extend_from_slice(digest::digest(&digest::SHA256, &first).as_ref());
        let read = Cursor::decode(&first).unwrap();
        assert_eq!(read.of(), None);
        assert_eq!(read.owned(OF), cursor);
    }

    #[test]
    fn too_many_cut_the_overlap_short() {
        let records: Vec<(u64, u64)> = (0..KNOWN_MAX as u64 + 1000).map(|n| (n, 1000 + n / 100)).collect();
        let mut cursor = Cursor::starting(OF, 0, Duration::ZERO);
        let wide = Duration::from_secs(100_000);
        for (id, at) in &records {
            cursor.meet(*id, *at);
        }
        cursor.take(records.iter().map(|(id, _)| *id));
        assert!(cursor.reach(4000, wide));
        assert!(cursor.known.len() <= KNOWN_MAX);
        assert!(cursor.known.values().all(|known| known.at >= cursor.begin(wide)));
        assert!(cursor.begin(wide) > 1000);
    }
}
