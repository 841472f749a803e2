//! Numbers equal lines of the same moment, so that each of them is another record, and the same one when it is read again.

use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, Hasher};

/// The lines of one moment that are compared with each other.
const LINES_MAX: usize = 10_000;
/// The moments whose lines are known. The lines of several hosts in one file are not in the order of their times.
const MOMENTS_MAX: usize = 32;

/// The newest moments, as they are written, with the hashes of their lines and the number of each.
#[derive(Debug, Default)]
pub(super) struct EqualLines {
    moments: VecDeque<(String, HashMap<u64, u64>)>,
    /// The next line is the first one of a file.
    begins_file: bool,
}

impl EqualLines {
    /// Notes that another file begins. After a rotation, it continues in the moment in which the last one ended. If it begins with another
    /// moment, it may be the same file, written again: its lines are numbered from the beginning, so that they are recognized.
    pub(super) fn begin_file(&mut self) {
        self.begins_file = true;
    }

    /// Returns the number of equal lines of the moment before this one.
    pub(super) fn number(&mut self, moment: &str, line: &str) -> u64 {
        if std::mem::take(&mut self.begins_file) && self.moments.back().is_some_and(|(newest, _)| newest != moment) {
            self.moments.clear();
        }
        let known = self.moments.iter().position(|(known, _)| known == moment);
        let at = known.unwrap_or_else(|| {
            if self.moments.len() >= MOMENTS_MAX {
                self.moments.pop_front();
            }
            self.moments.push_back((moment.to_owned(), HashMap::new()));
            self.moments.len() - 1
        });
        let Some((_, lines)) = self.moments.get_mut(at) else { return 0 };
        // The hash must be the same in the next process.
        let hash = foldhash::fast::FixedState::default().hash_one(StableText(line.as_bytes()));
        let is_full = lines.len() >= LINES_MAX;
        match lines.get_mut(&hash) {
            Some(number) => {
                *number += 1;
                *number
            }
            None => {
                if !is_full {
                    lines.insert(hash, 0);
                }
                0
            }
        }
    }

    pub(super) fn save(&self) -> Value {
        self.moments.iter().map(|(moment, lines)| json!([moment, lines.iter().collect::<Vec<_>>()])).collect()
    }

    /// Continues with what was saved. What cannot be read is left out.
    pub(super) fn load(saved: &Value) -> Self {
        let line = |line: &Value| Some((line.get(0)?.as_u64()?, line.get(1)?.as_u64()?));
        let moment = |moment: &Value| {
            let lines = moment.get(1)?.as_array()?.iter().filter_map(line).take(LINES_MAX).collect();
            Some((moment.get(0)?.as_str()?.to_owned(), lines))
        };
        let moments = saved.as_array().into_iter().flatten().filter_map(moment).take(MOMENTS_MAX).collect();
        Self { moments, begins_file: false }
    }
}

/// A text whose hash does not depend on the process.
struct StableText<'t>(&'t [u8]);

impl Hash for StableText<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lines_of_a_moment_are_numbered_although_others_are_between_them() {
        let mut lines = EqualLines::default();
        let mut number = |moment: &str, line: &str| lines.number(moment, line);
        assert_eq!([number("20", "a"), number("20", "a"), number("21", "b"), number("20", "a"), number("20", "c")], [0, 1, 0, 2, 0]);
        let mut loaded = EqualLines::load(&lines.save());
        assert_eq!([loaded.number("20", "a"), loaded.number("21", "b"), loaded.number("22", "a")], [3, 1, 0]);
    }

    #[test]
    fn lines_of_a_file_that_is_written_again_have_the_same_numbers() {
        let mut lines = EqualLines::default();
        for (begins_file, moments, expected) in [
            (true, ["20", "20", "21"], [0, 1, 0]),
            (true, ["20", "20", "21"], [0, 1, 0]),
            // A rotation within a moment.
            (true, ["21", "21", "22"], [1, 2, 0]),
            (false, ["22", "22", "21"], [1, 2, 3]),
            // The lines of another host were the last ones, so this does not count as a rotation.
            (true, ["22", "22", "23"], [3, 4, 0]),
            (true, ["22", "22", "23"], [0, 1, 0]),
        ] {
            if begins_file {
                lines.begin_file();
            }
            assert_eq!(moments.map(|moment| lines.number(moment, "a")), expected, "{moments:?}");
        }
    }

    #[test]
    fn a_limited_number_of_moments_is_known() {
        let mut lines = EqualLines::default();
        for moment in 0..=MOMENTS_MAX {
            assert_eq!(lines.number(&moment.to_string(), "a"), 0);
        }
        assert_eq!((lines.moments.len(), lines.number("1", "a"), lines.number("0", "a")), (MOMENTS_MAX, 1, 0));
    }
}
