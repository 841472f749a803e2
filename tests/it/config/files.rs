//! `targets_files`: files that appear, change, become invalid and disappear, and names that collide.

use postmeter::config::{Config, Discovery, Environment, parse};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A directory of files, and the configuration that refers to it.
struct World {
    directory: TempDir,
    config: Config,
    discovery: Discovery,
}

impl World {
    /// Creates the files, and a configuration with these targets.
    fn new(targets: &str, files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| write(directory.path(), name, text));
        let config = config(directory.path(), targets);
        let discovery = Discovery::read(&config);
        Self { directory, config, discovery }
    }

    fn write(&self, name: &str, text: &str) {
        write(self.directory.path(), name, text);
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.directory.path().join(name)).unwrap();
    }

    /// Checks the files twice, because a change is applied at the second check. Returns `true` if the targets changed.
    fn check_twice(&mut self) -> bool {
        let mut check = || self.discovery.check(&self.config);
        let (first, second) = (check(), check());
        assert!(!first, "changed at the first check");
        second
    }

    #[track_caller]
    fn names(&self, expected: &[&str]) {
        let names: Vec<&str> = self.discovery.targets(&self.config.targets).map(|target| target.name.as_str()).collect();
        assert_eq!(names, expected);
    }

    #[track_caller]
    fn problems(&self, expected: &[&str]) {
        let problems = self.discovery.problems().map(|problems| problems.to_string()).unwrap_or_default();
        let lines: Vec<String> = problems.lines().map(|line| self.without_directory(line)).collect();
        assert_eq!(lines, expected);
    }

    fn without_directory(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.directory.path().display()), "")
    }
}

fn config(directory: &Path, targets: &str) -> Config {
    let text = format!(
        "defaults: {{timeout: 5s}}\ntargets: [{targets}]\ntargets_files: ['{0}/*.yaml', '{0}/*.json', '{0}/not/yet/*.yml']\n",
        directory.display()
    );
    parse(&text, "postmeter.yaml", &Environment::default()).unwrap()
}

fn write(directory: &Path, name: &str, text: &str) {
    fs::write(directory.join(name), text).unwrap();
}

fn target(name: &str) -> String {
    format!("{{name: {name}, system: kumomta, url: 'http://127.0.0.1:1'}}")
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("- {}\n", target(name))).collect()
}

#[test]
fn yaml_and_json_files_inherit_the_defaults() {
    let json =
        "[\n\t{\n\t\t\"name\": \"j\",\n\t\t\"system\": \"kumomta\",\n\t\t\"url\": \"http://127.0.0.1:2\", \"timeout\": \"7s\"\n\t}\n]\n";
    let world = World::new(&target("main"), &[("b.yaml", &list(&["b1", "b2"])), ("a.json", json), (".hidden.yaml", "x"), ("b.yaml~", "x")]);
    world.problems(&[]);
    world.names(&["main", "j", "b1", "b2"]);
    let targets: Vec<_> = world.discovery.targets(&world.config.targets).collect();
    assert_eq!(targets.iter().map(|target| target.timeout.as_secs()).collect::<Vec<_>>(), [5, 7, 5, 5]);
    let origins: Vec<String> = targets.iter().map(|target| world.without_directory(&target.origin.to_string())).collect();
    assert_eq!(origins, ["postmeter.yaml:2", "a.json:2", "b.yaml:1", "b.yaml:2"]);
}

#[test]
fn a_file_appears_changes_becomes_invalid_and_disappears() {
    let mut world = World::new("", &[]);
    world.names(&[]);
    world.write("a.yaml", &list(&["a"]));
    assert!(world.check_twice());
    world.names(&["a"]);
    assert!(!world.check_twice());
    world.write("a.yaml", &list(&["a", "b"]));
    assert!(world.check_twice());
    world.names(&["a", "b"]);

    world.write("a.yaml", "- {name: a, system: kumomta, url: 'http://127.0.0.1:1'}\n- {name: c, system: kumota}\n");
    assert!(!world.check_twice());
    world.names(&["a", "b"]);
    world.problems(&[
        "a.yaml:2: [1].system: unknown mail system \"kumota\"; did you mean kumomta? A file of systems_files can define it",
        "a.yaml:2: [1]: url is missing",
    ]);
    let report = world.discovery.report();
    assert_eq!((report.failed.len(), report.failing), (1, 1));
    assert!(!world.check_twice());
    let report = world.discovery.report();
    assert_eq!((report.failed.len(), report.failing), (0, 1), "reported once");

    world.write("a.yaml", &list(&["c"]));
    assert!(world.check_twice());
    world.names(&["c"]);
    let report = world.discovery.report();
    assert_eq!((report.recovered.len(), report.failing), (1, 0));

    world.remove("a.yaml");
    assert!(world.check_twice());
    world.names(&[]);
}

#[track_caller]
fn check_invalid(text: &str, expected: &[&str]) {
    let mut world = World::new("", &[("a.yaml", &list(&["a"]))]);
    world.write("a.yaml", text);
    assert!(!world.check_twice());
    world.names(&["a"]);
    world.problems(expected);
}

#[test]
fn an_invalid_file_keeps_its_last_valid_targets() {
    check_invalid("", &["a.yaml: is empty; write [] for a file without targets"]);
    check_invalid("targets:\n  - {name: b}\n", &["a.yaml:1: expected a list, found a map; write a dash before each item"]);
    check_invalid("- {name: b", &["a.yaml:1: unclosed bracket '{'; add the one that closes it"]);
    check_invalid(&list(&["b", "b"]), &["a.yaml:2: [1].name: b is also the name of [0] in line 1"]);
    check_invalid(
        "- {name: b, system: kumomta, url: 'http://127.0.0.1:1', tokn: hunter2}\n",
        &["a.yaml:1: [0].tokn: unknown key; did you mean token?"],
    );
    check_invalid(&"#".repeat(4 * 1024 * 1024 + 1), &["a.yaml: exceeds the limit of 4194304 bytes"]);
}

#[test]
fn an_error_in_defaults_names_the_configuration_file() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "a.yaml", &list(&["a"]));
    let text = format!("targets_files: ['{}/a.yaml']\ndefaults:\n  timeout: soon\n", directory.path().display());
    let config = parse(&text, "postmeter.yaml", &Environment::default()).unwrap();
    let problems = Discovery::read(&config).problems().unwrap().to_string();
    assert_eq!(problems, "postmeter.yaml:3: defaults.timeout: \"soon\" is not a valid duration; write it as 10s, 1m30s or 500ms");
}

#[test]
fn a_duplicate_name_is_reported_with_both_locations() {
    let mut world = World::new(&target("m"), &[("a.yaml", &list(&["a"])), ("b.yaml", &list(&["b"]))]);
    world.write("b.yaml", &list(&["x", "a", "m"]));
    assert!(!world.check_twice());
    world.names(&["m", "a", "b"]);
    world.problems(&[
        "b.yaml:2: a is also the name of a target in a.yaml:1",
        "b.yaml:3: m is also the name of a target in postmeter.yaml:2",
    ]);
}

#[test]
fn a_target_can_move_between_files_in_any_order() {
    for [from, to] in [["a.yaml", "b.yaml"], ["b.yaml", "a.yaml"]] {
        let mut world = World::new("", &[(from, &list(&["x", "y"])), (to, &list(&["z"]))]);
        world.write(to, &list(&["z", "x"]));
        assert!(!world.check_twice());
        world.write(from, &list(&["y"]));
        assert!(world.check_twice());
        world.problems(&[]);
        let mut names: Vec<&str> = world.discovery.targets(&[]).map(|target| target.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["x", "y", "z"]);
    }
}

#[test]
fn two_files_can_exchange_targets() {
    let mut world = World::new("", &[("a.yaml", &list(&["x"])), ("b.yaml", &list(&["y"]))]);
    world.write("a.yaml", &list(&["y"]));
    world.write("b.yaml", &list(&["x"]));
    assert!(world.check_twice());
    world.names(&["y", "x"]);
    world.problems(&[]);
}

#[test]
fn the_limit_of_targets_applies_to_each_file() {
    let names: Vec<String> = (0..9_999).map(|i| format!("t{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::new(&target("m"), &[("a.yaml", &list(&names))]);
    world.problems(&[]);
    world.write("b.yaml", &list(&["b"]));
    assert!(!world.check_twice());
    world.problems(&["b.yaml:1: this target exceeds the limit of 10000; run several instances"]);
}

#[test]
fn a_reload_is_rejected_if_a_valid_file_would_become_invalid() {
    let world = World::new("", &[("a.yaml", &list(&["a"])), ("bad.yaml", "x")]);
    let reread = |config: &Config| world.discovery.reread(config);
    // A file that was invalid before does not prevent a reload.
    let next = reread(&config(world.directory.path(), &target("m"))).unwrap();
    assert_eq!(next.targets(&[]).count(), 1);
    // The configuration file contains the name of a target in another file.
    let refused = reread(&config(world.directory.path(), &target("a"))).unwrap_err().to_string();
    assert_eq!(world.without_directory(&refused), "a.yaml:1: a is also the name of a target in postmeter.yaml:2");
    // The same, for a file that has become invalid and keeps its last valid targets.
    let (mut broken, main) = (World::new("", &[("a.yaml", &list(&["a"]))]), target("a"));
    broken.write("a.yaml", "x");
    assert!(!broken.check_twice());
    let config_of_a = config(broken.directory.path(), &main);
    let refused = broken.discovery.reread(&config_of_a).unwrap_err().to_string();
    assert_eq!(broken.without_directory(&refused), "postmeter.yaml:2: a is also the name of a target in a.yaml:1");
    // The file no longer contains the name, but has not been checked yet.
    world.write("a.yaml", &list(&["b"]));
    let next = reread(&config(world.directory.path(), &target("a"))).unwrap();
    assert_eq!(next.targets(&[]).map(|target| target.name.as_str()).collect::<Vec<_>>(), ["b"]);
    // A valid file becomes invalid.
    world.write("a.yaml", "- {}\n");
    let refused = reread(&config(world.directory.path(), "")).unwrap_err().to_string();
    assert!(world.without_directory(&refused).starts_with("a.yaml:1: [0]: name is missing"), "{refused}");
}

#[test]
fn invalid_patterns_are_reported() {
    let error = |pattern: &str| {
        let text = format!("targets_files: ['{pattern}']\n");
        parse(&text, "p.yaml", &Environment::default()).unwrap_err().to_string()
    };
    assert_eq!(
        error("/a/*/b.yaml"),
        "p.yaml:1: targets_files[0]: /a/*/b.yaml: only the last part of a path may be a pattern, as in targets/*.yaml"
    );
    assert_eq!(error("/a/*"), "p.yaml:1: targets_files[0]: /a/* must end in .yaml, .yml, .json");
    assert!(error("/a/[b.yaml").starts_with("p.yaml:1: targets_files[0]: /a/[b.yaml: "), "{}", error("/a/[b.yaml"));
    assert_eq!(error(""), "p.yaml:1: targets_files[0]: is empty");
}
