//! Help texts, shell completions, and invalid command lines.

use super::{check_rejected, run};
use crate::support::{FIXTURES, postmeter, stderr, stdout};
use std::path::Path;

#[test]
fn invalid_command_lines_are_rejected() {
    check_rejected("scrape", "<--config <FILE>|--url <URL>|--file <[PART=]PATH>...>");
    check_rejected("scrape --system kumomta", "<--config <FILE>|--url <URL>|--file <[PART=]PATH>...>");
    check_rejected("scrape --url http://192.0.2.1", "--system <SYSTEM>");
    check_rejected("scrape --file a", "--system <SYSTEM>");
    check_rejected("scrape --config a --system kumomta", "cannot be used with");
    check_rejected("scrape --system kumomta --url http://192.0.2.1 --file a", "cannot be used with");
    check_rejected("scrape --system kumomta --file a --token b", "cannot be used with");
    check_rejected("scrape --config a --insecure-skip-verify", "cannot be used with");
    check_rejected("scrape --system kumomta --file a --target b", "cannot be used with");
    check_rejected("metrics --format yaml", "[possible values: text, markdown, json, semconv]");
    check_rejected("check --log-level loud", "expected one of: off, error, warn, info, debug, trace");
    check_rejected("poll", "unrecognized subcommand 'poll'");
}

#[test]
fn every_command_has_help() {
    for (line, word) in [
        ("--help", "simulate"),
        ("token new --help", "--expires"),
        ("run --help", "--config"),
        ("check --help", "--config"),
        ("scrape --help", "--file <[PART=]PATH>"),
        ("simulate --help", "--seed"),
        ("simulate --help", "  gzip-bomb               10 MiB that decompress to 10 GiB\n"),
        ("metrics --help", "--format"),
        ("demo --help", "--listen"),
        ("completions --help", "bash, elvish, fish, powershell, zsh"),
        ("config-schema --help", "yaml-language-server"),
        ("explain --help", "--systems-file"),
        ("systems --help", "yaml-language-server"),
        ("systems check --help", "<FILE>..."),
        ("--version", env!("CARGO_PKG_VERSION")),
    ] {
        let output = run(Path::new(FIXTURES), line);
        assert!(output.status.success() && stdout(&output).contains(word), "{line}: {}{}", stdout(&output), stderr(&output));
    }
}

/// Runs each example of the help texts with `--help` appended.
#[test]
fn the_examples_of_the_help_are_valid() {
    let mut tried = 0;
    for command in
        ["", "run", "check", "scrape", "simulate", "metrics", "demo", "completions", "config-schema", "token", "explain", "systems", "man"]
    {
        let help = stdout(&run(Path::new(FIXTURES), format!("{command} --help").trim_start()));
        assert!(help.contains("Example") || help.contains("Start with"), "{command}: {help}");
        let examples = help.lines().flat_map(|line| line.split("; ")).filter_map(|line| line.trim_start().strip_prefix("postmeter "));
        for example in examples {
            let example = example.split("   ").next().unwrap_or_default();
            let example = example.split(['|', '>']).next().unwrap_or_default().trim();
            let arguments: Vec<&str> = example.split(' ').map(|word| word.trim_matches('\'')).collect();
            let output = postmeter().args(&arguments).arg("--help").output().unwrap();
            assert!(output.status.success(), "{example}: {}", stderr(&output));
            // clap prints the help without checking the other options, so that each option is looked up in the help.
            for option in arguments.iter().filter(|word| word.starts_with("--")) {
                assert!(stdout(&output).contains(option), "{example}: {option}");
            }
            tried += 1;
        }
    }
    assert!(tried > 15, "{tried}");
}

#[test]
fn shells_complete_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(Path::new(FIXTURES), &format!("completions {shell}"));
        let script = stdout(&output);
        assert!(output.status.success() && stderr(&output).is_empty(), "{shell}: {}", stderr(&output));
        for word in ["scrape", "config-schema", "insecure-skip-verify", "explain", "systems", "systems-file"] {
            assert!(script.contains(word), "the script for {shell} lacks {word}");
        }
    }
    check_rejected("completions tcsh", "[possible values: bash, elvish, fish, powershell, zsh]");
}
