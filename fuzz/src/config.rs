//! Configuration files: everything that is wrong is said in lines that a person can read, and nothing else happens.

use postmeter::config::{Environment, TARGETS_MAX, parse};

/// Bytes of a problem: what it quotes of a file is bounded.
const PROBLEM_BYTES_MAX: usize = 4096;
/// A secret that the environment has, and the file does not.
const SECRET: &str = "a-secret-of-ours";
/// What may be read by `${file:...}` and never ends, or blocks.
const DEVICES: [&str; 3] = ["/dev", "/proc", "/sys"];

/// Of any text.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // What stands in the file itself is no secret of the environment: a search that compares texts finds it one day.
    if text.contains(SECRET) || DEVICES.iter().any(|device| text.contains(device)) {
        return;
    }
    let environment = Environment::from_iter([("TOKEN", SECRET), ("EMPTY", "")]);
    // A carriage return alone ends a line of YAML, too.
    let lines = text.split(['\n', '\r']).count() + 1;
    match parse(&text, "file", &environment) {
        Ok(config) => {
            let least = usize::from(!text.contains("targets_files"));
            assert!((least..=TARGETS_MAX).contains(&config.targets.len()));
            let mut names: Vec<&str> = config.targets.iter().map(|target| target.name.as_str()).collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a name twice");
            assert!(!format!("{config:?}").contains(SECRET), "a secret is printed");
            config.warnings.iter().for_each(|warning| check_problem(&warning.to_string(), warning.line, lines));
            let again = parse(&text, "file", &environment).expect("what was good once is good again");
            assert_eq!(again.targets.len(), config.targets.len());
        }
        Err(problems) => {
            assert!(problems.iter().count() > 0, "refused without a word");
            // A key may be wrong in more than one way, a target may lack several.
            assert!(problems.iter().count() <= 64 + 8 * text.len(), "{} problems of {} bytes", problems.iter().count(), text.len());
            problems.iter().for_each(|problem| check_problem(&problem.to_string(), problem.line, lines));
        }
    }
}

fn check_problem(said: &str, line: Option<usize>, lines: usize) {
    assert!(said.len() <= PROBLEM_BYTES_MAX, "{} bytes", said.len());
    assert!(!said.contains('\n'), "more than a line: {said:?}");
    assert!(!said.contains(SECRET), "a secret is quoted: {said}");
    assert!(line.is_none_or(|line| (1..=lines).contains(&line)), "line {line:?} of {lines}: {said}");
}
