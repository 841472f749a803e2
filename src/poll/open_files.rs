//! The limit of open files of this process: each connection to a mail server needs one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit that is assumed if the system has none.
const OPEN_FILES_ASSUMED: usize = 65_536;

/// Raises the soft limit of open files to the hard limit. Returns the new limit.
///
/// # Errors
/// The system rejects the change. The limit is unchanged.
pub fn raise_open_files_limit() -> std::io::Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    }
    Ok(open_files_max())
}

/// The soft limit of open files.
pub(super) fn open_files_max() -> usize {
    getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok()).unwrap_or(OPEN_FILES_ASSUMED)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let raised = raise_open_files_limit().unwrap();
        let hard = getrlimit(Resource::Nofile).maximum.map_or(OPEN_FILES_ASSUMED, |files| files as usize);
        assert_eq!((raised, open_files_max()), (hard, hard));
        assert_eq!(raise_open_files_limit().unwrap(), hard, "a second time changes nothing");
    }
}
