//! The reason why a file cannot be opened although it exists: in a container, the user of Postmeter is often not the owner of a mounted
//! file.

use rustix::process::geteuid;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Adds the user of the process, and the owner and the mode of the file, to an error that denies access. Other errors are unchanged.
pub(crate) fn explain_denied_access(path: &Path, error: Error) -> Error {
    if error.kind() != ErrorKind::PermissionDenied {
        return error;
    }
    let user = geteuid().as_raw();
    let reason = match path.metadata() {
        Ok(file) => {
            let (mode, owner, group) = (file.mode() & 0o7777, file.uid(), file.gid());
            format!("{error}: Postmeter runs as user id {user}, and the file has mode {mode:04o}, user id {owner} and group id {group}")
        }
        Err(_) => format!("{error}: Postmeter runs as user id {user}, which may not search a directory of this path"),
    };
    Error::new(ErrorKind::PermissionDenied, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_denied_access_is_explained() {
        let path = Path::new("/dev/null");
        let explained = |kind: ErrorKind| explain_denied_access(path, Error::new(kind, "failed")).to_string();
        let user = geteuid().as_raw();
        let expected = format!("failed: Postmeter runs as user id {user}, and the file has mode 0666, user id 0 and group id 0");
        assert_eq!(explained(ErrorKind::PermissionDenied), expected);
        assert_eq!(explained(ErrorKind::NotFound), "failed");
        let absent = explain_denied_access(Path::new("/dev/null/x"), ErrorKind::PermissionDenied.into()).to_string();
        assert!(absent.ends_with("which may not search a directory of this path"), "{absent}");
    }
}
