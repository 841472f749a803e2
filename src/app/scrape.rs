//! `postmeter scrape`: one reading of each target, printed.

use super::AppError;
use super::cli::{Only, ScrapeArgs, ScrapeFormat};
use super::otlp_json;
use super::saved::Saved;
use crate::config::{self, CommandLineTarget, Environment, LogLevel};
use crate::export::SeriesState;
use crate::export::exposition::{self, Escaping, Format, Section};
use crate::export::otlp;
use crate::model::SelectedFamilies;
use crate::poll::{Limits, Reading, Tally, Target, relayed};
use crate::source::{self, Context, CounterMemory, SOURCES, Source, apply};
use crate::telemetry::{CollectedTarget, Identity, SelfTelemetry, TargetMeterProvider};
use std::io::Write;
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use tokio::task::JoinSet;

pub(super) async fn scrape(args: ScrapeArgs) -> Result<(), AppError> {
    let mut telemetry = config::Config::from_env(&Environment::default()).telemetry;
    // What goes wrong is said here, once for each target; a log would say it twice.
    telemetry.log_level = LogLevel::Off;
    SelfTelemetry::start(&telemetry).map_err(super::StartError::from)?;
    let mut printed = Printed::new(args.format, args.only);
    let good = match (&args.config, &args.system) {
        (Some(path), _) => {
            let config = config::load(path, &Environment::of_process())?;
            // Whoever asks for one target by its name wants that one.
            let config = if args.target.is_some() { config::Config { shard: None, ..config } } else { config.sharded(args.shard) };
            let discovery = config::Discovery::read(&config.targets_files, &config.targets);
            if let Some(problems) = discovery.problems() {
                return Err(problems.into());
            }
            let mut targets: Vec<_> = discovery.targets(&config.targets).filter(|target| config.holds(target)).cloned().collect();
            if let Some(name) = &args.target {
                targets.retain(|target| target.name == *name);
                if targets.is_empty() {
                    return Err(AppError::Other(format!("{}: there is no target `{name}`", path.display())));
                }
            }
            poll(targets, &mut printed).await?
        }
        (None, Some(system)) if !args.file.is_empty() => saved(system, &args.file, &mut printed)?,
        (None, _) => {
            let (target, warnings) = config::adhoc(adhoc(&args), &Environment::of_process())?;
            for warning in warnings {
                eprintln!("warning: {warning}");
            }
            poll(vec![target], &mut printed).await?
        }
    };
    printed.print()?;
    if good { Ok(()) } else { Err(AppError::Said) }
}

fn adhoc(args: &ScrapeArgs) -> CommandLineTarget {
    CommandLineTarget {
        system: args.system.clone().unwrap_or_default(),
        url: args.url.clone().unwrap_or_default(),
        username: args.username.clone(),
        password: args.password.clone().map(|password| password.0),
        password_file: args.password_file.clone(),
        token: args.token.clone().map(|token| token.0),
        token_file: args.token_file.clone(),
        parts: args.part.clone(),
        timeout: args.timeout.clone(),
        ca_file: args.ca_file.clone(),
        insecure_skip_verify: args.insecure_skip_verify,
        ..CommandLineTarget::default()
    }
}

async fn poll(targets: Vec<config::Target>, printed: &mut Printed) -> Result<bool, AppError> {
    let limits = Limits::default();
    let mut polls = JoinSet::new();
    let mut monitored = Vec::with_capacity(targets.len());
    for (index, target) in targets.into_iter().enumerate() {
        let name = target.name.clone();
        let target = Target::new(target, limits.clone()).map_err(|error| super::StartError::Target { name, error })?;
        let one = Arc::new(CollectedTarget::new(target.clone()).map_err(super::StartError::from)?);
        monitored.push(one);
        polls.spawn(async move { (index, target.reading().await) });
    }
    let mut readings: Vec<(usize, Arc<Reading>)> = polls.join_all().await;
    readings.sort_by_key(|(index, _)| *index);
    let mut good = true;
    for (one, (_, reading)) in monitored.iter().zip(readings) {
        for report in &reading.parts {
            if let Some(error) = &report.error {
                eprintln!("{}: {}: {error}", one.target.name(), report.part);
            }
        }
        good &= reading.outcome.is_ok();
        printed.add(&one.meter_provider, one.target.config.source, &one.identity(&reading), &reading);
    }
    Ok(good)
}

fn saved(system: &str, files: &[String], printed: &mut Printed) -> Result<bool, AppError> {
    let said = |error: &dyn std::fmt::Display| AppError::Other(error.to_string());
    let source = by_name(system)?;
    let mut read = Vec::new();
    let mut bytes = 0;
    for file in files {
        let saved = Saved::new(source, file).map_err(|e| said(&e))?;
        match saved.read() {
            Ok((families, len)) => {
                bytes += len as u64;
                read.push((saved.part, families));
            }
            Err(error) if saved.part.name == source.required().name => return Err(said(&error)),
            Err(error) => eprintln!("{error}"),
        }
    }
    if !read.iter().any(|(part, _)| part.name == source.required().name) {
        return Err(AppError::Other(format!("{system}: the required part `{}` is missing; add --file PATH", source.required().name)));
    }
    let (at, began) = (SystemTime::now(), Instant::now());
    let context = Context { now: at, window_start: None, sliding: false, detail: None, of_records: &[] };
    let mut snapshot = apply(source, &read, &mut CounterMemory::default(), &context);
    let native = relayed(source, &config::Relay::default(), read.into_iter().map(|(_, families)| families).collect());
    snapshot.repairs.add_all(&native.repairs);
    let native = Arc::new(native);
    let tally = Tally { repairs: snapshot.repairs, ..Tally::default() };
    let identity =
        Identity::new(source.name, "file").with_version(snapshot.version.as_deref()).with_target_info(native.resource_attributes());
    let reading =
        Reading { at, began, ended: began, outcome: Ok(snapshot), native, parts: Vec::new(), body_bytes: bytes, tally, tally_since: at };
    let meter_provider = TargetMeterProvider::of(source, &identity).map_err(super::StartError::from)?;
    printed.add(&meter_provider, source, &identity, &reading);
    Ok(true)
}

pub(super) fn by_name(system: &str) -> Result<&'static Source, AppError> {
    let known = || SOURCES.iter().map(|source| source.name).collect::<Vec<_>>().join(", ");
    source::by_name(system).ok_or_else(|| AppError::Other(format!("there is no mail system `{system}`; there are {}", known())))
}

/// What is printed at the end.
enum Printed {
    ExpositionWriter { format: Format, only: Option<Only>, identities: Vec<Identity>, ours: Vec<SelectedFamilies>, theirs: Vec<Section> },
    Otlp { only: Option<Only>, targets: Vec<otlp::TargetMetrics> },
}

impl Printed {
    fn new(format: ScrapeFormat, only: Option<Only>) -> Self {
        let format = match format {
            ScrapeFormat::Text => Format::Text,
            ScrapeFormat::Openmetrics => Format::OpenMetrics(Escaping::Underscores),
            ScrapeFormat::Json => Format::Json,
            ScrapeFormat::OtlpJson => return Self::Otlp { only, targets: Vec::new() },
        };
        let (identities, ours, theirs) = Default::default();
        Self::ExpositionWriter { format, only, identities, ours, theirs }
    }

    fn add(&mut self, meter_provider: &TargetMeterProvider, source: &Source, identity: &Identity, reading: &Reading) {
        let points = reading.points(Instant::now());
        match self {
            Self::ExpositionWriter { identities, ours, theirs, .. } => {
                identities.push(identity.clone());
                ours.push(meter_provider.gather(points));
                let histograms = reading.snapshot().map(|snapshot| snapshot.histograms.as_slice()).unwrap_or_default();
                ours.push(exposition::histograms(source.name, identity, histograms));
                theirs.push(Section::of(reading.native.clone(), identity));
            }
            Self::Otlp { targets, .. } => {
                targets.push(otlp::told(meter_provider.collect(points), source.name, reading, identity, &mut SeriesState::default()));
            }
        }
    }

    fn print(self) -> Result<(), AppError> {
        let text = match self {
            Self::ExpositionWriter { format, only, identities, ours, theirs } => {
                let info = exposition::target_info(&identities);
                let canonical =
                    ours.into_iter().chain([info]).map(|native| Section::own(Arc::new(native))).filter(|_| only != Some(Only::Native));
                let native = theirs.into_iter().filter(|_| only != Some(Only::Canonical));
                exposition::page(format, &canonical.chain(native).collect::<Vec<_>>())
            }
            Self::Otlp { only, targets } => {
                let mut request = otlp::message(&targets);
                for of_target in &mut request.resource_metrics {
                    of_target.scope_metrics.retain(|scope| {
                        let is_native = scope.scope.as_ref().is_some_and(|scope| scope.name == otlp::NATIVE_SCOPE);
                        only.is_none_or(|only| is_native == (only == Only::Native))
                    });
                }
                request.resource_metrics.retain(|of_target| !of_target.scope_metrics.is_empty());
                format!("{:#}\n", otlp_json::proto_json(&request))
            }
        };
        match std::io::stdout().write_all(text.as_bytes()) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map_err(|error| AppError::Other(format!("standard output: {error}"))),
        }
    }
}
