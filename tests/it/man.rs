//! Manual pages.

use crate::support::{postmeter, skipped, stdout};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Formats a page, or returns `None` without `man`. Every warning of the formatter fails the test.
fn formatted(page: &Path) -> Option<String> {
    let mut man = Command::new("man");
    man.args(["--warnings", "-E", "UTF-8", "-l"]).arg(page).env("LC_ALL", "C.UTF-8").env("MANWIDTH", "100").env("MANPAGER", "cat");
    let output = man.env("MANROFFOPT", "-c").output().ok()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{}: {stderr}", page.display());
    let text = stdout(&output);
    // Bold text is overstruck.
    let mut plain = String::new();
    for c in text.chars() {
        match c {
            '\u{8}' => _ = plain.pop(),
            c => plain.push(c),
        }
    }
    Some(plain)
}

#[test]
fn each_command_has_a_page_with_its_options_and_examples() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("new/man1");
    let output = postmeter().args(["man", "--directory"]).arg(&directory).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let pages: BTreeSet<String> =
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let help = stdout(&postmeter().arg("--help").output().unwrap());
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let lines = commands.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.strip_prefix("  "));
    // The other lines continue a description.
    let names = lines.filter(|line| !line.starts_with(' ')).filter_map(|line| line.split(' ').next());
    let commands: Vec<&str> = names.filter(|name| *name != "help").collect();
    assert!(commands.len() >= 13, "{commands:?}");
    for name in &commands {
        assert!(pages.contains(&format!("postmeter-{name}.1")), "{name}: {pages:?}");
    }
    assert!(pages.contains("postmeter-token-new.1") && pages.contains("postmeter-systems-check.1"), "{pages:?}");
    for (page, lines) in [
        ("postmeter.1", &["postmeter check --config postmeter.yaml                 check a configuration file", "POSTMETER_CONFIG"][..]),
        ("postmeter-run.1", &["--shard <I/N>", "- {name: mta1, system: kumomta, url: \"http://192.0.2.5:8000\"}"]),
        ("postmeter-completions.1", &["postmeter completions zsh > \"${fpath[1]}/_postmeter\""]),
    ] {
        let Some(text) = formatted(&directory.join(page)) else {
            return skipped("each_command_has_a_page_with_its_options_and_examples", "man is not installed");
        };
        for line in lines {
            assert!(text.contains(line), "{page} lacks {line:?}:\n{text}");
        }
    }
    for page in &pages {
        let text = formatted(&directory.join(page)).unwrap_or_default();
        assert!(text.contains("SYNOPSIS") && text.contains("Postmeter Manual"), "{page}: {text}");
    }
}

#[test]
fn the_page_is_printed_and_a_directory_that_cannot_be_written_is_an_error() {
    let page = stdout(&postmeter().arg("man").output().unwrap());
    assert!(page.contains("\n.TH postmeter 1 \"\" \"postmeter ") && page.contains(".SH ENVIRONMENT"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let output = postmeter().args(["man", "--directory"]).arg(&file).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("cannot write") && stderr.contains(&file.display().to_string()), "{stderr}");
}
