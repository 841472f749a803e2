//! A simulated KumoMTA that writes segments to a directory.

use super::world::record;
use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use zstd::stream::write::Encoder;

/// A segment that is being written.
pub struct Segment {
    path: PathBuf,
    encoder: Encoder<'static, File>,
}

impl Segment {
    /// Opens a segment. If it exists, another frame is appended.
    pub fn open(dir: &Path, name: &str) -> Self {
        let path = dir.join(name);
        if path.exists() {
            std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        }
        let file = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        Self { path, encoder: Encoder::new(file, 0).unwrap() }
    }

    /// Writes records with these numbers.
    pub fn write(&mut self, ids: std::ops::Range<u64>) {
        ids.for_each(|id| writeln!(self.encoder, "{}", record(id, "Delivery")).unwrap());
    }

    /// Writes the current block to the file.
    pub fn flush(&mut self) {
        self.encoder.flush().unwrap();
    }

    /// Completes the segment.
    pub fn finish(self) {
        self.encoder.finish().unwrap();
        std::fs::set_permissions(&self.path, Permissions::from_mode(0o444)).unwrap();
    }
}
