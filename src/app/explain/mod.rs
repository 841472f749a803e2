//! `postmeter explain`: shows which native series each canonical point comes from, and what no rule uses.

mod json;
mod reason;
mod report;
mod rule_text;
mod text;

use super::cli::{ExplainArgs, ExplainFormat};
use super::one_shot;
use super::{AppError, print};
use crate::config;
use crate::net::{Escaped, Redactor};
use crate::poll::{Limits, Target};
use crate::source::{Context, CounterMemory, Source, map_to_canonical};
use report::{ExplainedPart, Explanation};
use std::time::SystemTime;
use tokio::task::JoinSet;

pub(super) async fn explain(args: ExplainArgs) -> Result<(), AppError> {
    one_shot::turn_off_log()?;
    let explanations = match (&args.config_file(), &args.system) {
        (Some(path), None) => poll(one_shot::targets(path, args.target.as_deref(), None, &args.env_file.environment()?).await?.0).await?,
        (config, Some(system)) => {
            let systems = one_shot::systems(config.as_deref(), &args.systems_file, &args.env_file.environment()?)?;
            vec![of_saved_responses(one_shot::system_by_name(&systems, system)?, &args.file)?]
        }
        (None, None) => return Err(AppError::Other("add --config FILE, or --system NAME and --file PATH".to_owned())),
    };
    let text = match args.format {
        ExplainFormat::Text => explanations.iter().map(text::render).collect::<Vec<_>>().join("\n"),
        ExplainFormat::Json => json::render(&explanations),
    };
    // Native names and label values come from the server, so control characters are escaped for files and pipes, too.
    print(&Escaped::lines(&text).text())?;
    if explanations.iter().any(Explanation::is_failed) { Err(AppError::Reported) } else { Ok(()) }
}

/// Polls targets at the same time and explains their readings.
async fn poll(targets: Vec<config::Target>) -> Result<Vec<Explanation>, AppError> {
    let limits = Limits::default();
    let mut polls = JoinSet::new();
    for (index, target) in targets.into_iter().enumerate() {
        let name = target.name.clone();
        let target = Target::new(target, limits.clone()).map_err(|error| super::StartError::Target { name, error })?;
        polls.spawn(async move { (index, explain_target(&target).await) });
    }
    let mut explanations = polls.join_all().await;
    explanations.sort_by_key(|(index, _)| *index);
    Ok(explanations.into_iter().map(|(_, explanation)| explanation).collect())
}

async fn explain_target(target: &std::sync::Arc<Target>) -> Explanation {
    let (reading, trace) = target.reading_with_trace().await;
    let (name, source) = (target.name().to_owned(), target.config.source);
    let mut explanation = match (reading.snapshot(), trace) {
        (Some(snapshot), Some(trace)) => Explanation::new(name, source, snapshot, trace, &target.redactor()),
        _ => Explanation::failed(name, source),
    };
    let part =
        |report: &crate::poll::PartReport| ExplainedPart { name: report.part, error: report.error.as_ref().map(ToString::to_string) };
    explanation.parts = reading.parts.iter().map(part).collect();
    // The mapping can fail although every part was read.
    if let (Err(error), Some(required)) = (&reading.outcome, explanation.parts.first_mut()) {
        required.error.get_or_insert_with(|| error.to_string());
    }
    explanation
}

/// Explains saved responses as one poll.
fn of_saved_responses(source: &'static Source, files: &[String]) -> Result<Explanation, AppError> {
    let saved = one_shot::read_files(source, files)?;
    let context = Context::at(SystemTime::now());
    let mut memory = CounterMemory::default();
    memory.request_trace();
    let snapshot = map_to_canonical(source, &saved.read, &mut memory, &context);
    let trace = memory.take_trace().unwrap_or_default();
    let mut explanation = Explanation::new(files.join(" "), source, &snapshot, trace, &Redactor::default());
    for file in &saved.files {
        explanation.parts.push(ExplainedPart { name: file.part.name, error: file.error.clone() });
    }
    Ok(explanation)
}
