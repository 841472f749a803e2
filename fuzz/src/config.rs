//! Configuration files: every problem is reported in one readable line, and no input does any other harm.

use postmeter::config::{Environment, TARGETS_MAX, parse};

/// Limit of the text of a problem in bytes: quotations from the file are bounded.
const PROBLEM_BYTES_MAX: usize = 4096;
/// A secret of the environment that is not in the file.
const SECRET: &str = "a-secret-of-the-environment";
/// Directories with files that block or never end when they are read by `${file:...}`.
const DEVICES: [&str; 3] = ["/dev", "/proc", "/sys"];

/// Checks a configuration file.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // A fuzzer that compares texts finds the secret one day; in the file itself it is not secret.
    if text.contains(SECRET) || DEVICES.iter().any(|device| text.contains(device)) {
        return;
    }
    let environment = Environment::from_iter([("TOKEN", SECRET), ("EMPTY", "")]);
    // In YAML a carriage return also ends a line.
    let lines = text.split(['\n', '\r']).count() + 1;
    match parse(&text, "file", &environment) {
        Ok(config) => {
            let least = usize::from(!text.contains("targets_files"));
            assert!((least..=TARGETS_MAX).contains(&config.targets.len()));
            let mut names: Vec<&str> = config.targets.iter().map(|target| target.name.as_str()).collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "duplicate target name");
            assert!(!format!("{config:?}").contains(SECRET), "the debug output has a secret");
            config.warnings.iter().for_each(|warning| check_problem(&warning.to_string(), warning.line, lines));
            let again = parse(&text, "file", &environment).expect("a valid file is valid again");
            assert_eq!(again.targets.len(), config.targets.len());
        }
        Err(problems) => {
            assert!(problems.iter().count() > 0, "rejected without a problem");
            // One key can have several problems, and one target can lack several keys.
            assert!(problems.iter().count() <= 64 + 8 * text.len(), "{} problems of {} bytes", problems.iter().count(), text.len());
            problems.iter().for_each(|problem| check_problem(&problem.to_string(), problem.line, lines));
        }
    }
}

fn check_problem(text: &str, line: Option<usize>, lines: usize) {
    assert!(text.len() <= PROBLEM_BYTES_MAX, "{} bytes", text.len());
    assert!(!text.contains('\n'), "more than one line: {text:?}");
    assert!(!text.contains(SECRET), "the problem has a secret: {text}");
    assert!(line.is_none_or(|line| (1..=lines).contains(&line)), "line {line:?} of {lines}: {text}");
}
