//! `deploy/pin-images`, with a program in place of docker: digests are written after the tags, replaced, and removed.
#![allow(clippy::unwrap_used)]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const FILES: [&str; 2] = ["docker-compose.yml", "Dockerfile"];

/// A docker whose digest of an image consists of one digit, `$DIGIT`, and which does not know the image `$UNKNOWN`.
const DOCKER: &str = "#!/bin/sh
[ \"$2\" = version ] && exit 0
for image; do :; done
[ \"$image\" = \"$UNKNOWN\" ] && exit 1
printf 'sha256:%064d\\n' 0 | tr 0 \"$DIGIT\"
";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in FILES {
            std::fs::copy(Path::new(ROOT).join(file), folder.path().join(file)).unwrap();
        }
        let docker = folder.path().join("docker");
        std::fs::write(&docker, DOCKER).unwrap();
        std::fs::set_permissions(&docker, Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    fn run(&self, arguments: &[&str], digit: &str, unknown: &str) -> Output {
        let path = format!("{}:{}", self.0.path().display(), std::env::var("PATH").unwrap());
        let files = FILES.map(|file| self.0.path().join(file));
        let mut command = Command::new(Path::new(ROOT).join("deploy/pin-images"));
        command.args(arguments).args(files).env("PATH", path).env("DIGIT", digit).env("UNKNOWN", unknown).output().unwrap()
    }

    fn text(&self) -> String {
        FILES.map(|file| std::fs::read_to_string(self.0.path().join(file)).unwrap()).concat()
    }
}

/// Returns the images of registries, with their digests.
fn images(text: &str) -> Vec<String> {
    let images = text.lines().filter_map(|line| line.trim_start().strip_prefix("image: ").or_else(|| line.strip_prefix("FROM ")));
    let images = images.map(|image| image.split(' ').next().unwrap_or_default().to_owned());
    images.filter(|image| image.contains(':') && !image.starts_with("postmeter:")).collect()
}

#[test]
fn digests_are_written_replaced_and_removed() {
    let folder = Folder::new();
    let before = folder.text();
    let tags: Vec<String> = images(&before).iter().map(|image| image.split('@').next().unwrap().to_owned()).collect();
    assert!(tags.len() >= 6, "{tags:?}");
    for digit in ["3", "a"] {
        let output = folder.run(&[], digit, "none");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let pinned: Vec<String> = tags.iter().map(|tag| format!("{tag}@sha256:{}", digit.repeat(64))).collect();
        assert_eq!(images(&folder.text()), pinned);
    }
    assert!(folder.run(&["--unpin"], "", "").status.success());
    assert_eq!(images(&folder.text()), tags);
    assert!(before.contains('@') || folder.text() == before, "other lines were changed");
}

#[test]
fn nothing_is_written_without_all_digests() {
    for (digit, unknown, error) in [("b", "busybox:1.37.0", "busybox:1.37.0 cannot be read"), ("x", "none", "is not a digest")] {
        let folder = Folder::new();
        let before = folder.text();
        let output = folder.run(&[], digit, unknown);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && stderr.contains(error) && stderr.contains("nothing was written"), "{stderr}");
        assert_eq!(folder.text(), before);
    }
}
