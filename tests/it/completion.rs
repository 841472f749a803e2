//! The completion script, in a real bash: commands, options and values.

use crate::support::{postmeter, skipped, stdout};
use postmeter::simulate::{FAULTS, System};
use postmeter::source::SOURCES;
use std::process::Command;

/// Calls the function of the script as bash does when Tab is pressed at the end of the line.
const COMPLETE: &str = r#"
eval "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_postmeter postmeter "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// Returns what bash offers for a line, or `None` without bash.
fn complete(line: &str) -> Option<Vec<String>> {
    let script = stdout(&postmeter().args(["completions", "bash"]).output().unwrap());
    let arguments = line.split(' ');
    let output = Command::new("bash").args(["--norc", "-c", COMPLETE, "bash", &script]).args(arguments).output().ok()?;
    assert!(output.status.success() && output.stderr.is_empty(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    Some(stdout(&output).lines().filter(|word| !word.is_empty()).map(str::to_owned).collect())
}

fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn values_are_completed() {
    let systems = names(SOURCES.iter().map(|source| source.name));
    let simulated = names(System::ALL.iter().map(|system| system.name()));
    let starting_with = |names: &[String], start: &str| names.iter().filter(|name| name.starts_with(start)).cloned().collect::<Vec<_>>();
    let levels = names(["off", "error", "warn", "info", "debug", "trace"]);
    let faults = names(FAULTS.iter().map(|fault| fault.name));
    for (line, expected) in [
        ("postmeter scrape --system ", systems.clone()),
        ("postmeter explain --system ma", starting_with(&systems, "ma")),
        ("postmeter init --system post", starting_with(&systems, "post")),
        ("postmeter systems show sen", names(["sendgrid"])),
        ("postmeter demo --systems st", starting_with(&simulated, "st")),
        ("postmeter simulate kumomta --fault ", faults.clone()),
        ("postmeter simulate kumomta --fault status-", starting_with(&faults, "status-")),
        ("postmeter run --log-level ", levels.clone()),
        ("postmeter --log-level de", names(["debug"])),
        ("postmeter scrape --part getd", names(["getdiskusage"])),
        ("postmeter scrape --format op", names(["openmetrics"])),
        ("postmeter token n", names(["new"])),
        ("postmeter check --con", names(["--config", "--connect"])),
    ] {
        let Some(mut offered) = complete(line) else { return skipped("values_are_completed", "bash is not installed") };
        let mut expected = expected;
        offered.sort();
        expected.sort();
        assert!(!expected.is_empty());
        assert_eq!(offered, expected, "{line}");
    }
    // The argument of `simulate` and the options are offered together.
    let Some(offered) = complete("postmeter simulate ") else { return };
    assert!(simulated.iter().all(|system| offered.contains(system)), "{offered:?}");
}

#[test]
fn every_optional_part_is_completed() {
    let Some(offered) = complete("postmeter scrape --part ") else {
        return skipped("every_optional_part_is_completed", "bash is not installed");
    };
    for source in SOURCES.iter() {
        for part in source.parts.iter().skip(1) {
            assert!(offered.iter().any(|name| name == part.name), "{} {}", source.name, part.name);
        }
    }
    let distinct: std::collections::BTreeSet<&String> = offered.iter().collect();
    assert_eq!(distinct.len(), offered.len(), "{offered:?}");
}

/// Completed values are suggestions: names that the program does not know are not errors of the command line.
#[test]
fn other_values_are_accepted() {
    for line in [
        "scrape --system mine --systems-file /nonexistent.yaml --file x",
        "scrape --system kumomta --url http://192.0.2.1 --part mine --timeout 1",
        "systems show mine",
    ] {
        let output = postmeter().args(line.split(' ')).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
