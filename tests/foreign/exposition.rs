//! The pages of every simulated server in each format, read by Prometheus' parser and by the client libraries for Go and Python.
//!
//! `POSTMETER_EXPOSITION_PARSERS` names the directory that `.ci/exposition-programs` prints. Without it the test is skipped, unless
//! `POSTMETER_REQUIRE_EXPOSITION=1`.
#![allow(clippy::unwrap_used)]

use crate::support::{all_systems, http_client, postmeter, skipped, start_service, stderr, stdout};
use postmeter::app::Service;
use postmeter::simulate::{Options, SimulatedServer, System};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const PYTHON_CHECK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/exposition/check.py");
const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

/// The formats with all escapings, as values of `Accept`.
fn formats() -> Vec<String> {
    let escapings = ["underscores", "dots", "values", "allow-utf-8"];
    let negotiated = ["text/plain;version=1.0.0", "application/openmetrics-text;version=1.0.0", PROTOBUF];
    let with_escaping = negotiated.iter().flat_map(|format| escapings.map(|escaping| format!("{format};escaping={escaping}")));
    ["text/plain;version=0.0.4".to_owned()].into_iter().chain(with_escaping).collect()
}

/// The directory of the parsers, if there is one.
fn parsers() -> Option<PathBuf> {
    let folder = std::env::var_os("POSTMETER_EXPOSITION_PARSERS").map(PathBuf::from);
    if folder.is_none() {
        let is_required = std::env::var_os("POSTMETER_REQUIRE_EXPOSITION").is_some_and(|value| value == "1");
        assert!(!is_required, "POSTMETER_EXPOSITION_PARSERS is not set");
        skipped("every_page_is_valid_for_other_parsers", "POSTMETER_EXPOSITION_PARSERS is not set");
    }
    folder
}

/// A page in a file, with its content type.
struct Page {
    content_type: String,
    file: PathBuf,
    /// The path and the header `Accept` of the request.
    request: String,
}

/// The number of samples that each parser finds in each page.
fn parse(parsers: &Path, pages: &[Page]) -> BTreeMap<PathBuf, BTreeMap<String, usize>> {
    let is_text = |page: &&Page| !page.content_type.starts_with("application/vnd.google.protobuf");
    let mut commands = vec![(Command::new(parsers.join("parse-exposition")), pages.iter().collect::<Vec<_>>())];
    let python = parsers.join("python/bin/python3");
    // The Python library does not read Protobuf.
    if python.exists() {
        let mut command = Command::new(python);
        command.arg(PYTHON_CHECK);
        commands.push((command, pages.iter().filter(is_text).collect()));
    }
    let mut found: BTreeMap<PathBuf, BTreeMap<String, usize>> = BTreeMap::new();
    for (mut command, pages) in commands {
        for page in &pages {
            command.arg(&page.content_type).arg(&page.file);
        }
        let output = command.output().unwrap();
        let errors = stderr(&output);
        let invalid = pages.iter().find(|page| errors.contains(&format!("{} ", page.file.display())));
        let text = invalid.map(|page| format!("{}\n{}", page.request, String::from_utf8_lossy(&std::fs::read(&page.file).unwrap())));
        assert!(output.status.success(), "{errors}{}", text.unwrap_or_default());
        for line in stdout(&output).lines() {
            let [name, file, samples] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            found.entry(file.into()).or_default().insert(name.to_owned(), samples.parse().unwrap());
        }
    }
    found
}

/// A service with every simulated server, each of which is busy.
async fn start(keys: &str) -> (Service, Vec<SimulatedServer>) {
    let options = Options { frozen: true, ..Options::default() };
    let (servers, targets) = all_systems(options, |system| format!("min_interval: 1h, {}", system.parts_key(""))).await;
    servers.iter().for_each(|server| server.traffic(|traffic| traffic.advance(600.0)));
    let file = format!("targets:\n{targets}export:\n  prometheus: {{listen: \"127.0.0.1:0\", {keys}}}\n");
    (start_service(&file).await, servers)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_valid_for_other_parsers() {
    let Some(parsers) = parsers() else { return };
    let folder = tempfile::tempdir().unwrap();
    let client = http_client();
    let mut pages = Vec::new();
    for keys in [
        "translation_strategy: UnderscoreEscapingWithSuffixes",
        "translation_strategy: UnderscoreEscapingWithoutSuffixes",
        "translation_strategy: NoUTF8EscapingWithSuffixes, scope_labels: true",
        "translation_strategy: NoTranslation, scope_labels: true, created_lines: true",
    ] {
        let (service, servers) = start(keys).await;
        for accept in formats() {
            let paths = System::ALL.map(|system| format!("/probe?target={}", system.name())).into_iter().chain(["/metrics".to_owned()]);
            // The page of all targets has the series of each. The pages of single targets are read with the default names only.
            for path in paths.filter(|path| path == "/metrics" || keys.ends_with("UnderscoreEscapingWithSuffixes")) {
                let url = format!("http://{}{path}", service.address.unwrap());
                let response = client.get(url).header("accept", &accept).send().await.unwrap();
                let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
                let file = folder.path().join(format!("page-{}", pages.len()));
                std::fs::write(&file, response.bytes().await.unwrap()).unwrap();
                pages.push(Page { content_type, file, request: format!("{path} with {keys}, {accept}") });
            }
        }
        service.stop().await;
        for server in servers {
            server.shutdown().await;
        }
    }
    let found = parse(&parsers, &pages);
    let mut names = BTreeSet::new();
    for Page { file, request, content_type } in &pages {
        let samples = &found[file];
        assert!(samples.values().all(|samples| *samples > 10), "{request}: {samples:?}");
        // Prometheus' parser reads start times and exemplars as something else than samples, so only the others are compared.
        let others: BTreeSet<usize> = samples.iter().filter(|(name, _)| *name != "prometheus").map(|(_, samples)| *samples).collect();
        assert!(others.len() <= 1 && samples.contains_key("prometheus"), "{request}: {samples:?}");
        assert_eq!(samples.contains_key("expfmt"), !content_type.starts_with("application/openmetrics-text"), "{request}");
        names.extend(samples.keys().cloned());
    }
    if !names.contains("client_python") {
        skipped("every_page_is_valid_for_other_parsers", "the Python client library is not installed, so its parser was not run");
    }
}

/// Responses whose families OpenMetrics forbids in some way, so that a reader would reject the page of all targets.
const UNUSUAL: &[&str] = &[
    "# TYPE a_total counter\na_total 3\n# TYPE a_created gauge\na_created 1.7e9\n",
    "# TYPE a_total counter\na_total 3\n# TYPE a_created_total counter\na_created_total 5\n",
    "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_sum 1\nh_count 3\n# TYPE h_created gauge\nh_created 1\n",
    "# TYPE s summary\ns_sum 1\ns_count 3\n# TYPE s_created gauge\ns_created 1\n",
    "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_count 3\n",
    "# TYPE h histogram\nh_bucket{le=\"-1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_count 2\nh_sum -1\n",
    "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_count 2\nh_sum -1\n",
    "# TYPE s summary\ns{quantile=\"0.5\"} -1\ns_count 1\ns_sum -1\n",
    "# TYPE b info\nb_info{v=\"1\"} 3\n# EOF\n",
    "# TYPE st stateset\nst{st=\"a\"} 1\nst{st=\"b\"} 0\n# EOF\n",
    "# TYPE st stateset\nst{foo=\"a\"} 2\n# EOF\n",
    "# TYPE st stateset\nst{st=\"a\",l=\"1\"} 1\nst{st=\"a\",l=\"2\"} 1\nst{st=\"b\",l=\"1\"} 0\n# EOF\n",
    "# TYPE \"s.t\" stateset\n{\"s.t\",\"s.t\"=\"x\"} 1\n# EOF\n",
];

#[test]
fn pages_of_unusual_families_are_valid_for_other_parsers() {
    let Some(parsers) = parsers() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut pages = Vec::new();
    for (index, response) in UNUSUAL.iter().enumerate() {
        let native = folder.path().join(format!("native-{index}"));
        std::fs::write(&native, response).unwrap();
        for (content_type, format) in
            [("application/openmetrics-text; version=1.0.0", "openmetrics"), ("text/plain; version=0.0.4", "text")]
        {
            let mut command = postmeter();
            let output = command.args(["scrape", "--system", "prometheus", "--format", format, "--file"]).arg(&native).output().unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
            let file = folder.path().join(format!("page-{index}-{format}"));
            std::fs::write(&file, output.stdout).unwrap();
            pages.push(Page { content_type: content_type.to_owned(), file, request: format!("{format} of {response}") });
        }
    }
    parse(&parsers, &pages);
}

#[test]
fn the_parsers_reject_invalid_pages() {
    let Some(parsers) = parsers() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page");
    let programs = [(parsers.join("parse-exposition"), None), (parsers.join("python/bin/python3"), Some(PYTHON_CHECK))];
    for (content_type, page) in [
        ("application/openmetrics-text; version=1.0.0", "# TYPE a counter\na 1\n# EOF\n"),
        ("application/openmetrics-text; version=1.0.0", "# TYPE a gauge\na 1\n"),
        ("text/plain; version=0.0.4", "a{l=\"x\"} 1 nonsense\n"),
    ] {
        std::fs::write(&file, page).unwrap();
        let programs = programs.iter().filter(|(program, _)| program.exists());
        let is_rejected = |(program, argument): &(PathBuf, Option<&str>)| {
            !Command::new(program).args(argument).arg(content_type).arg(&file).output().unwrap().status.success()
        };
        assert!(programs.clone().count() > 0 && programs.clone().any(is_rejected), "{page}");
    }
}
