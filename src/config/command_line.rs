//! A target from the command line (`scrape --system SYSTEM --url URL`), decoded and checked as in the file.

use super::decode::Decoder;
use super::map::{COMMAND_LINE, Item, Location};
use super::schema::TARGET;
use super::target::CREDENTIAL_KEYS;
use super::text::suggestion;
use super::yaml::{Key, Node, Value};
use super::{Environment, Problem, Problems, Target, part, target};
use crate::source::{Source, SystemList};

/// The flag that names a part.
const PART_FLAG: &str = "--part";

/// The flags that describe a target. Each corresponds to a key of [`Target`].
#[derive(Clone, Default)]
pub struct CommandLineTarget {
    /// `--system`
    pub system: String,
    /// `--url`
    pub url: String,
    /// `--username`
    pub username: Option<String>,
    /// `--password`, which may be a reference such as `${env:NAME}`
    pub password: Option<String>,
    /// `--password-file`
    pub password_file: Option<String>,
    /// `--token`, which may be a reference such as `${env:NAME}`
    pub token: Option<String>,
    /// `--token-file`
    pub token_file: Option<String>,
    /// `--part`, which may be repeated
    pub parts: Vec<String>,
    /// The format to request, for mail systems that have several
    pub format: Option<String>,
    /// `--timeout`
    pub timeout: Option<String>,
    /// `--ca-file`
    pub ca_file: Option<String>,
    /// `--insecure-skip-verify`
    pub insecure_skip_verify: bool,
}

/// Decodes a target and names it after its host. The second value is the warnings.
///
/// # Errors
/// Returns every problem, with the flag that causes it.
pub fn command_line_target(flags: CommandLineTarget, environment: &Environment) -> Result<(Target, Vec<Problem>), Problems> {
    decode_target(SystemList::built_in(), flags, environment)
}

/// Like [`command_line_target`], with other mail systems than the built-in ones.
///
/// # Errors
/// See [`command_line_target`].
pub fn command_line_target_with(
    systems: &[&'static Source],
    flags: CommandLineTarget,
    environment: &Environment,
) -> Result<(Target, Vec<Problem>), Problems> {
    decode_target(systems.into(), flags, environment)
}

fn decode_target(systems: SystemList, flags: CommandLineTarget, environment: &Environment) -> Result<(Target, Vec<Problem>), Problems> {
    let mut decoder = Decoder::new("", environment, systems);
    let node = flags.with_polled_parts(&mut decoder).into_node();
    let location = Location { path: COMMAND_LINE.to_owned(), ..Location::default() };
    let map = decoder.map(&Item { location, node: &node, inherited: false }, TARGET);
    let target = map.and_then(|map| target::decode(&mut decoder, map, None).1);
    let (problems, warnings) = decoder.into_findings();
    let [problems, warnings] = [problems, warnings].map(|findings| findings.into_iter().map(with_flags).collect::<Vec<_>>());
    match (target, problems) {
        (Some(mut target), problems) if problems.is_empty() => {
            let host = target.url.host_str().unwrap_or_default();
            target.name = if target::is_name(host) { host } else { target.source.name }.to_owned();
            Ok((target, warnings))
        }
        (_, problems) => Err(Problems::new(problems)),
    }
}

/// Replaces the keys of a problem by the flags that supply them.
fn with_flags(problem: Problem) -> Problem {
    let path = match problem.path.as_str() {
        // The problem concerns several flags.
        COMMAND_LINE => String::new(),
        "--tls.ca_file" => "--ca-file".to_owned(),
        "--tls.insecure_skip_verify" | "--tls" => "--insecure-skip-verify".to_owned(),
        path if path.starts_with("--parts") => PART_FLAG.to_owned(),
        path => path.to_owned(),
    };
    Problem { path, message: flags_in(&problem.message), ..problem }
}

/// Replaces the keys of credentials in a message by their flags. `a username` and `the token` are not keys.
fn flags_in(message: &str) -> String {
    let mut previous = "";
    let parts = message.split(' ').map(|part| {
        let key = part.trim_matches(|c: char| c.is_ascii_punctuation() && c != '_' && c != '"' && c != '`');
        let is_key = CREDENTIAL_KEYS.contains(&key) && !matches!(previous, "a" | "the");
        previous = part;
        if is_key { part.replace(key, &format!("{COMMAND_LINE}{}", key.replace('_', "-"))) } else { part.to_owned() }
    });
    parts.collect::<Vec<_>>().join(" ")
}

impl CommandLineTarget {
    /// Reports parts that cannot be polled, and returns the flags without them.
    fn with_polled_parts(mut self, decoder: &mut Decoder<'_>) -> Self {
        let Some(source) = decoder.systems.find(&self.system) else { return self };
        let optional: Vec<&str> = source.parts.iter().skip(1).map(|part| part.name).collect();
        let location = Location { path: PART_FLAG.to_owned(), ..Location::default() };
        self.parts.retain(|name| {
            let problem = match source.part(name) {
                Some(_) => return true,
                None if part::names(source).any(|other| other == name) => format!("{name} cannot be polled; it contains delivery records"),
                None if optional.is_empty() => format!("{} has no part {name}; it has no optional parts", source.name),
                None => format!("{} has no part {name}; {}", source.name, suggestion(name, &optional)),
            };
            decoder.report(&location, problem);
            false
        });
        self
    }

    fn into_node(self) -> Node {
        let scalar = |text| Some(node(Value::Scalar(text)));
        let parts = self.parts.into_iter().map(|part| entry(part, node(Value::Nothing))).collect::<Vec<_>>();
        let mut tls = Vec::new();
        tls.extend(self.ca_file.map(|path| entry("ca_file", node(Value::Scalar(path)))));
        tls.extend(self.insecure_skip_verify.then(|| entry("insecure_skip_verify", node(Value::Scalar("true".to_owned())))));
        let entries = [
            // A placeholder: the name is derived from the URL once that has been checked.
            ("name", scalar("command-line".to_owned())),
            ("system", scalar(self.system)),
            ("url", scalar(self.url)),
            ("username", self.username.and_then(scalar)),
            ("password", self.password.and_then(scalar)),
            ("password_file", self.password_file.and_then(scalar)),
            ("token", self.token.and_then(scalar)),
            ("token_file", self.token_file.and_then(scalar)),
            ("parts", (!parts.is_empty()).then(|| node(Value::Map(parts)))),
            ("format", self.format.and_then(scalar)),
            ("timeout", self.timeout.and_then(scalar)),
            ("tls", (!tls.is_empty()).then(|| node(Value::Map(tls)))),
        ];
        node(Value::Map(entries.into_iter().filter_map(|(key, node)| Some(entry(key, node?))).collect()))
    }
}

fn node(value: Value) -> Node {
    Node { line: None, column: None, value }
}

fn entry(key: impl Into<String>, node: Node) -> (Key, Node) {
    (Key { line: None, column: None, name: key.into() }, node)
}
