//! A file of the spool on the disk: written and synced, read, deleted.

use super::queued_request::QueuedRequest;
use super::request_file::{HEADER_LEN, RequestFileName, disk_bytes};
use crate::net::PRIVATE_FILE_MODE;
use bytes::Bytes;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Permanent errors of one file: EIO, EBADMSG and EUCLEAN. File systems with checksums report a damaged bit with them.
const DAMAGE_ERRNOS: [i32; 3] = [5, 74, 117];

/// A file with a request.
#[derive(Clone, Debug)]
pub(super) struct StoredFile {
    pub name: RequestFileName,
    pub len: u64,
}

impl StoredFile {
    pub(super) fn disk_bytes(&self) -> usize {
        disk_bytes(self.body_len())
    }

    pub(super) fn queued_request(&self) -> QueuedRequest {
        let RequestFileName { key, points, owner, .. } = &self.name;
        let mut request = QueuedRequest::in_spool(*key, *points, self.body_len(), self.name.queued_at());
        request.owner.clone_from(owner);
        request
    }

    fn body_len(&self) -> usize {
        body_len(self.len)
    }
}

/// Returns the disk usage of a file.
pub(super) fn disk_bytes_of(metadata: &Metadata) -> usize {
    disk_bytes(body_len(metadata.len()))
}

/// The length of the request in a file of this length.
fn body_len(file_len: u64) -> usize {
    usize::try_from(file_len).unwrap_or(usize::MAX).saturating_sub(HEADER_LEN)
}

/// Writes a file, and returns when its content is on the disk.
pub(super) fn write_synced(path: &Path, header: &[u8], body: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE_FILE_MODE).open(path)?;
    file.write_all(header)?;
    file.write_all(body)?;
    file.sync_data()
}

/// Reads a file up to its expected length, plus one byte that shows if the file is longer.
pub(super) fn read(path: &Path, len: u64) -> io::Result<Bytes> {
    let mut content = Vec::with_capacity(usize::try_from(len).unwrap_or_default().saturating_add(1));
    File::open(path)?.take(len.saturating_add(1)).read_to_end(&mut content)?;
    Ok(content.into())
}

/// Deletes a file. A missing file is not an error.
pub(super) fn delete_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Returns true if the error is a permanent error of one file.
pub(super) fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::IsADirectory)
        || error.raw_os_error().is_some_and(|errno| DAMAGE_ERRNOS.contains(&errno))
}
