//! Quarantine of unusable files: a file that cannot be read is renamed, so that a new one can be created and the old one be inspected.

use std::io;
use std::path::{Path, PathBuf};

/// The ending of a file that is damaged.
pub(crate) const BROKEN: &str = ".broken";
/// The ending of a file that belongs to something else.
pub(crate) const OTHER_LOG: &str = ".other";
/// The largest number of quarantined files of one name and ending. None is ever overwritten.
const QUARANTINED_FILES_MAX: usize = 100;

/// Renames a file by appending an ending, and `.2` and so on if that name exists. Returns the new path.
///
/// # Errors
/// The file cannot be renamed, or there are too many quarantined files.
pub(crate) fn quarantine(path: &Path, ending: &str) -> io::Result<PathBuf> {
    for number in 1..=QUARANTINED_FILES_MAX {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        if number > 1 {
            name.push(format!(".{number}"));
        }
        let quarantined = PathBuf::from(name);
        if !quarantined.try_exists()? {
            std::fs::rename(path, &quarantined)?;
            return Ok(quarantined);
        }
    }
    Err(io::Error::other(format!("there are already {QUARANTINED_FILES_MAX} files with the ending {ending}; remove them")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs::{read_to_string, write};

    #[test]
    fn a_quarantined_file_never_overwrites_another() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.b");
        for (content, name) in [("first", "a.b.broken"), ("second", "a.b.broken.2"), ("third", "a.b.broken.3")] {
            write(&path, content).unwrap();
            assert_eq!(quarantine(&path, BROKEN).unwrap(), directory.path().join(name));
            assert!(!path.exists());
        }
        assert_eq!(read_to_string(directory.path().join("a.b.broken")).unwrap(), "first");
        for number in 4..=QUARANTINED_FILES_MAX {
            write(directory.path().join(format!("a.b.broken.{number}")), "").unwrap();
        }
        write(&path, "one more").unwrap();
        assert!(quarantine(&path, BROKEN).unwrap_err().to_string().contains("remove them"));
        assert_eq!(read_to_string(&path).unwrap(), "one more");
    }
}
