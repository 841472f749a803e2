//! A file that cannot be read makes room for a new one, and stays for whoever wants to know why.

use std::io;
use std::path::{Path, PathBuf};

/// What a file is called behind its name that cannot be read.
pub(crate) const BROKEN: &str = ".broken";
/// One that is of something else.
pub(crate) const OTHER: &str = ".other";
/// How many files of one name and ending are kept; none is ever overwritten.
const ASIDE_FILES_MAX: usize = 100;

/// Renames a file to its name and this ending, with `.2` and so on where that is taken. Returns what it is called now.
///
/// # Errors
/// When it cannot be renamed, or when there are too many already.
pub(crate) fn set_aside(path: &Path, ending: &str) -> io::Result<PathBuf> {
    for number in 1..=ASIDE_FILES_MAX {
        let mut aside = path.as_os_str().to_owned();
        aside.push(ending);
        if number > 1 {
            aside.push(format!(".{number}"));
        }
        let aside = PathBuf::from(aside);
        if !aside.try_exists()? {
            std::fs::rename(path, &aside)?;
            return Ok(aside);
        }
    }
    Err(io::Error::other(format!("{ASIDE_FILES_MAX} like it ({ending}) are beside it already; remove them")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs::{read_to_string, write};

    #[test]
    fn the_next_one_overwrites_none_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.b");
        for (content, name) in [("first", "a.b.broken"), ("second", "a.b.broken.2"), ("third", "a.b.broken.3")] {
            write(&path, content).unwrap();
            assert_eq!(set_aside(&path, BROKEN).unwrap(), directory.path().join(name));
            assert!(!path.exists());
        }
        assert_eq!(read_to_string(directory.path().join("a.b.broken")).unwrap(), "first");
        for number in 4..=ASIDE_FILES_MAX {
            write(directory.path().join(format!("a.b.broken.{number}")), "").unwrap();
        }
        write(&path, "one more").unwrap();
        assert!(set_aside(&path, BROKEN).unwrap_err().to_string().contains("remove them"));
        assert_eq!(read_to_string(&path).unwrap(), "one more");
    }
}
