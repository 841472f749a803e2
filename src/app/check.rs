//! `postmeter check`: checks a configuration file and lists every error.

use super::cli::CheckArgs;
use super::{AppError, StartError, connect, print, print_notice};
use crate::app::plural::pluralize;
use crate::config::{self, Config, Discovery, LogFiles, Problem, Problems, Target};
use crate::export::otlp::OtlpExporter;
use crate::model::system_time_zone;
use crate::poll::{self, Limits};
use crate::receive::Receiver;
use crate::serve::{Access, ListenerKind};
use crate::source::LogFileFormat;
use crate::telemetry::SelfTelemetry;
use std::path::Path;

pub(super) async fn check(args: &CheckArgs) -> Result<(), AppError> {
    let path = args.config.config.display();
    let text = config::read(&args.config.config)?;
    let parsed = config::parse(&text, &path.to_string(), &args.config.environment()?);
    let config = parsed.map_err(|problems| with_excerpts(&problems, &args.config.config, &text))?;
    let discovery = Discovery::read(&config);
    if let Some(problems) = discovery.problems() {
        return Err(problems.into());
    }
    let problems = start_problems(&config, &discovery);
    if !problems.is_empty() {
        return Err(AppError::Other(problems.join("\n")));
    }
    for warning in config.warnings.iter().chain(discovery.warnings()) {
        print_notice(&format!("warning: {warning}"));
    }
    // The mail system may create them later, so this is not an error.
    for target in discovery.targets(&config.targets) {
        let log_files = target.deliveries.as_ref().and_then(|deliveries| deliveries.log_files.as_ref());
        if let Some(Err(problem)) = log_files.map(LogFiles::check) {
            print_notice(&format!("warning: {}: target {}: {problem}", target.origin, target.name));
        }
    }
    if let (true, (_, Some(problem))) = (discovery.targets(&config.targets).any(follows_log), system_time_zone()) {
        print_notice(&format!("warning: {problem}"));
    }
    for target in discovery.targets(&config.targets).filter(|target| target.sends_plain_credentials()) {
        print_notice(&format!(
            "note: {}: target {}: credentials are sent without encryption, because the url begins with http://",
            target.origin, target.name
        ));
    }
    if config.export.otlp.is_none() && discovery.targets(&config.targets).any(Target::has_records) {
        print_notice(&format!("note: {path}: delivery records are counted but not exported, because export.otlp is off"));
    }
    let targets = discovery.targets(&config.targets).count();
    let config = config.sharded(args.config.shard);
    let shard_targets = config.shard.map(|shard| {
        let names: Vec<_> =
            discovery.targets(&config.targets).map(|target| target.name.as_str()).filter(|name| shard.contains(name)).collect();
        format!("; {} of them in shard {shard}{}{}", names.len(), if names.is_empty() { "" } else { ": " }, names.join(", "))
    });
    print(&format!("{path}: valid, {}{}\n", pluralize(targets, "target"), shard_targets.unwrap_or_default()))?;
    if let Some(list) = &config.targets_http {
        let hint = if args.connect { "" } else { "; --connect requests it" };
        print(&format!("more targets come from the list at {}{hint}\n", list.name()))?;
    }
    if let Some(otlp) = &config.export.otlp {
        print(&format!("metrics are pushed to {}\n", otlp.receiver()))?;
        let has_records = discovery.targets(&config.targets).any(Target::has_records);
        if let Some(receiver) = otlp.logs_receiver().filter(|_| has_records) {
            print(&format!("delivery records are pushed to {receiver}\n"))?;
        }
    }
    if args.connect {
        if connect::connect(discovery, &config).await? {
            print(&format!("next: postmeter run --config {path}\n"))?;
        }
    } else {
        print(&format!("next: postmeter check --config {path} --connect\n"))?;
    }
    Ok(())
}

/// The errors for which `postmeter run` could not start with a valid configuration, such as a certificate that is not usable. Each part is
/// built as at the start, without using it.
fn start_problems(config: &Config, discovery: &Discovery) -> Vec<String> {
    let mut problems = Vec::new();
    let mut check = |result: Result<(), StartError>| problems.extend(result.err().map(|error| error.to_string()));
    if let Some(prometheus) = &config.export.prometheus {
        check(Access::check(ListenerKind::Pull, prometheus.clone()).map_err(StartError::from));
    }
    if let Some(receive) = &config.receive {
        check(Receiver::check(receive).map_err(StartError::from));
    }
    if let Some(otlp) = &config.export.otlp {
        check(OtlpExporter::new(otlp.clone()).map(drop).map_err(StartError::from));
    }
    check(SelfTelemetry::check(&config.telemetry).map_err(StartError::from));
    let limits = Limits::default();
    for target in discovery.targets(&config.targets).filter(|target| config.polls(target)) {
        let built = poll::Target::new(target.clone(), limits.clone());
        check(built.map(drop).map_err(|error| StartError::Target { name: target.name.clone(), error }));
    }
    problems
}

/// Returns `true` if the records of a target come from a log whose times may lack a zone.
fn follows_log(target: &Target) -> bool {
    let files = target.deliveries.as_ref().and_then(|deliveries| deliveries.log_files.as_ref());
    files.is_some_and(|files| files.format == LogFileFormat::Postfix)
}

/// Adds the line of the file to each problem of its syntax.
fn with_excerpts(problems: &Problems, path: &Path, text: &str) -> AppError {
    let show = |problem: &Problem| match problem.line.filter(|_| problem.path.is_empty() && Path::new(&problem.file) == path) {
        Some(line) => format!("{problem}\n{}", config::excerpt(text, line)),
        None => format!("{problem}\n"),
    };
    let shown: String = problems.iter().map(show).collect();
    AppError::Other(shown.trim_end().to_owned())
}
