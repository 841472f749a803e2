//! `targets_files`: appearing, changing, breaking, vanishing, and names that meet.

use postmeter::config::{Config, Discovery, Environment, parse};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A folder of files, and the configuration that names it.
struct World {
    folder: TempDir,
    config: Config,
    discovery: Discovery,
}

impl World {
    /// A configuration with these targets of its own.
    fn new(targets: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| write(folder.path(), name, text));
        let config = config(folder.path(), targets);
        let discovery = Discovery::read(&config.targets_files, &config.targets);
        Self { folder, config, discovery }
    }

    fn write(&self, name: &str, text: &str) {
        write(self.folder.path(), name, text);
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path().join(name)).unwrap();
    }

    /// A change counts at the second look; whether any of the two changed something.
    fn looks(&mut self) -> bool {
        let mut look = || self.discovery.look(&self.config.targets_files, &self.config.targets);
        let (first, second) = (look(), look());
        assert!(!first, "at the first look");
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
        let said: Vec<String> = problems.lines().map(|line| self.without_folder(line)).collect();
        assert_eq!(said, expected);
    }

    fn without_folder(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

fn config(folder: &Path, targets: &str) -> Config {
    let text = format!(
        "defaults: {{timeout: 5s}}\ntargets: [{targets}]\ntargets_files: ['{0}/*.yaml', '{0}/*.json', '{0}/not/yet/*.yml']\n",
        folder.display()
    );
    parse(&text, "postmeter.yaml", &Environment::default()).unwrap()
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

fn target(name: &str) -> String {
    format!("{{name: {name}, system: kumomta, url: 'http://127.0.0.1:1'}}")
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("- {}\n", target(name))).collect()
}

#[test]
fn targets_come_from_yaml_and_json_and_have_the_defaults() {
    let json =
        "[\n\t{\n\t\t\"name\": \"j\",\n\t\t\"system\": \"kumomta\",\n\t\t\"url\": \"http://127.0.0.1:2\", \"timeout\": \"7s\"\n\t}\n]\n";
    let world = World::new(&target("main"), &[("b.yaml", &list(&["b1", "b2"])), ("a.json", json), (".hidden.yaml", "x"), ("b.yaml~", "x")]);
    world.problems(&[]);
    world.names(&["main", "j", "b1", "b2"]);
    let targets: Vec<_> = world.discovery.targets(&world.config.targets).collect();
    assert_eq!(targets.iter().map(|target| target.timeout.as_secs()).collect::<Vec<_>>(), [5, 7, 5, 5]);
    let origins: Vec<String> = targets.iter().map(|target| world.without_folder(&target.origin.to_string())).collect();
    assert_eq!(origins, ["postmeter.yaml:2", "a.json:2", "b.yaml:1", "b.yaml:2"]);
}

#[test]
fn a_file_appears_changes_breaks_and_vanishes() {
    let mut world = World::new("", &[]);
    world.names(&[]);
    world.write("a.yaml", &list(&["a"]));
    assert!(world.looks());
    world.names(&["a"]);
    assert!(!world.looks());
    world.write("a.yaml", &list(&["a", "b"]));
    assert!(world.looks());
    world.names(&["a", "b"]);

    world.write("a.yaml", "- {name: a, system: kumomta, url: 'http://127.0.0.1:1'}\n- {name: c, system: kumota}\n");
    assert!(!world.looks());
    world.names(&["a", "b"]);
    world.problems(&["a.yaml:2: [1].system: unknown system \"kumota\"; did you mean kumomta?", "a.yaml:2: [1]: url is missing"]);
    let report = world.discovery.report();
    assert_eq!((report.failed.len(), report.failing), (1, 1));
    assert!(!world.looks());
    let report = world.discovery.report();
    assert_eq!((report.failed.len(), report.failing), (0, 1), "said once");

    world.write("a.yaml", &list(&["c"]));
    assert!(world.looks());
    world.names(&["c"]);
    let report = world.discovery.report();
    assert_eq!((report.recovered.len(), report.failing), (1, 0));

    world.remove("a.yaml");
    assert!(world.looks());
    world.names(&[]);
}

#[track_caller]
fn bad(text: &str, expected: &[&str]) {
    let mut world = World::new("", &[("a.yaml", &list(&["a"]))]);
    world.write("a.yaml", text);
    assert!(!world.looks());
    world.names(&["a"]);
    world.problems(expected);
}

#[test]
fn a_bad_file_says_where_and_keeps_what_it_said() {
    bad("", &["a.yaml: is empty; a file without targets is []"]);
    bad("targets:\n  - {name: b}\n", &["a.yaml:1: expected a list, found a map"]);
    bad("- {name: b", &["a.yaml:1: unclosed bracket '{'"]);
    bad(&list(&["b", "b"]), &["a.yaml:2: [1].name: b is also the name of [0] in line 1"]);
    bad(
        "- {name: b, system: kumomta, url: 'http://127.0.0.1:1', tokn: hunter2}\n",
        &["a.yaml:1: [0].tokn: unknown key; did you mean token?"],
    );
    bad(&"#".repeat(1024 * 1024 + 1), &["a.yaml: has more than 1048576 bytes"]);
}

#[test]
fn a_mistake_in_defaults_is_said_of_the_file_where_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.yaml", &list(&["a"]));
    let text = format!("targets_files: ['{}/a.yaml']\ndefaults:\n  timeout: soon\n", folder.path().display());
    let config = parse(&text, "postmeter.yaml", &Environment::default()).unwrap();
    let said = Discovery::read(&config.targets_files, &config.targets).problems().unwrap().to_string();
    assert_eq!(said, "postmeter.yaml:3: defaults.timeout: \"soon\" is no duration; write it as 10s, 1m30s or 500ms");
}

#[test]
fn a_name_that_is_taken_names_both_places() {
    let mut world = World::new(&target("m"), &[("a.yaml", &list(&["a"])), ("b.yaml", &list(&["b"]))]);
    world.write("b.yaml", &list(&["x", "a", "m"]));
    assert!(!world.looks());
    world.names(&["m", "a", "b"]);
    world.problems(&[
        "b.yaml:2: a is also the name of a target in a.yaml:1",
        "b.yaml:3: m is also the name of a target in postmeter.yaml:2",
    ]);
}

#[test]
fn a_target_may_move_from_one_file_to_another_in_any_order() {
    for [from, to] in [["a.yaml", "b.yaml"], ["b.yaml", "a.yaml"]] {
        let mut world = World::new("", &[(from, &list(&["x", "y"])), (to, &list(&["z"]))]);
        world.write(to, &list(&["z", "x"]));
        assert!(!world.looks());
        world.write(from, &list(&["y"]));
        assert!(world.looks());
        world.problems(&[]);
        let mut names: Vec<&str> = world.discovery.targets(&[]).map(|target| target.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["x", "y", "z"]);
    }
}

#[test]
fn two_files_may_exchange_targets() {
    let mut world = World::new("", &[("a.yaml", &list(&["x"])), ("b.yaml", &list(&["y"]))]);
    world.write("a.yaml", &list(&["y"]));
    world.write("b.yaml", &list(&["x"]));
    assert!(world.looks());
    world.names(&["y", "x"]);
    world.problems(&[]);
}

#[test]
fn too_many_targets_are_refused_file_by_file() {
    let names: Vec<String> = (0..999).map(|i| format!("t{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::new(&target("m"), &[("a.yaml", &list(&names))]);
    world.problems(&[]);
    world.write("b.yaml", &list(&["b"]));
    assert!(!world.looks());
    world.problems(&["b.yaml:1: with this one there are more than 1000 targets; run several instances"]);
}

#[test]
fn a_reload_takes_all_of_it_or_says_what_would_be_worse() {
    let world = World::new("", &[("a.yaml", &list(&["a"])), ("bad.yaml", "x")]);
    let reread = |config: &Config| world.discovery.reread(&config.targets_files, &config.targets);
    // What was bad before does not hold up a reload.
    let next = reread(&config(world.folder.path(), &target("m"))).unwrap();
    assert_eq!(next.targets(&[]).count(), 1);
    // The name of a target that a file has.
    let refused = reread(&config(world.folder.path(), &target("a"))).unwrap_err().to_string();
    assert_eq!(world.without_folder(&refused), "a.yaml:1: a is also the name of a target in postmeter.yaml:2");
    // The same of a file that is not good any more, and of which an older text counts.
    let (mut broken, main) = (World::new("", &[("a.yaml", &list(&["a"]))]), target("a"));
    broken.write("a.yaml", "x");
    assert!(!broken.looks());
    let config_of_a = config(broken.folder.path(), &main);
    let refused = broken.discovery.reread(&config_of_a.targets_files, &config_of_a.targets).unwrap_err().to_string();
    assert_eq!(broken.without_folder(&refused), "postmeter.yaml:2: a is also the name of a target in a.yaml:1");
    // The file has let go of it, and was not looked at yet.
    world.write("a.yaml", &list(&["b"]));
    let next = reread(&config(world.folder.path(), &target("a"))).unwrap();
    assert_eq!(next.targets(&[]).map(|target| target.name.as_str()).collect::<Vec<_>>(), ["b"]);
    // It was good, and is not.
    world.write("a.yaml", "- {}\n");
    let refused = reread(&config(world.folder.path(), "")).unwrap_err().to_string();
    assert!(world.without_folder(&refused).starts_with("a.yaml:1: [0]: name is missing"), "{refused}");
}

#[test]
fn patterns_that_cannot_be_meant_are_problems() {
    let said = |pattern: &str| {
        let text = format!("targets_files: ['{pattern}']\n");
        parse(&text, "p.yaml", &Environment::default()).unwrap_err().to_string()
    };
    assert_eq!(
        said("/a/*/b.yaml"),
        "p.yaml:1: targets_files[0]: /a/*/b.yaml: a pattern belongs into the last part of a path, as in targets/*.yaml"
    );
    assert_eq!(said("/a/*"), "p.yaml:1: targets_files[0]: /a/* must end in .yaml, .yml, .json");
    assert!(said("/a/[b.yaml").starts_with("p.yaml:1: targets_files[0]: /a/[b.yaml: "), "{}", said("/a/[b.yaml"));
    assert_eq!(said(""), "p.yaml:1: targets_files[0]: is empty");
}
