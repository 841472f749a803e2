//! `postmeter scrape`: polls each target once and prints the metrics.

use super::cli::{Only, ScrapeArgs, ScrapeFormat};
use super::connect::host_and_port;
use super::{AppError, one_shot, otlp_json, print_bytes, print_notice};
use crate::config::{self, CommandLineTarget};
use crate::export::SeriesState;
use crate::export::exposition::{self, Escaping, Format, PageSettings, Section};
use crate::export::otlp;
use crate::model::SelectedFamilies;
use crate::poll::{Limits, Reading, Tally, Target, select_native};
use crate::source::{Context, CounterMemory, Source, map_to_canonical};
use crate::telemetry::{CollectedTarget, CounterStarts, Identity, TargetMeterProvider};
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use tokio::task::JoinSet;

pub(super) async fn scrape(args: ScrapeArgs) -> Result<(), AppError> {
    one_shot::turn_off_log()?;
    let mut output = ScrapeOutput::new(args.format, args.only);
    let environment = args.env_file.environment()?;
    let is_complete = match (args.config_file()?, &args.system) {
        (Some(path), _) => {
            let (targets, prometheus) = one_shot::targets(&path, args.target.as_deref(), args.shard, &environment).await?;
            output.configure(prometheus.as_ref());
            poll(targets, &mut output).await?
        }
        (None, Some(system)) if !args.file.is_empty() => {
            let systems = one_shot::systems(None, &args.systems_file, &environment)?;
            read_saved(one_shot::system_by_name(&systems, system)?, &args.file, &mut output)?
        }
        (None, _) => {
            let systems = one_shot::systems(None, &args.systems_file, &environment)?;
            let (target, warnings) = config::command_line_target_with(&systems, target_flags(&args), &environment)?;
            for warning in warnings {
                print_notice(&format!("warning: {warning}"));
            }
            poll(vec![target], &mut output).await?
        }
    };
    output.print()?;
    if is_complete { Ok(()) } else { Err(AppError::Reported) }
}

fn target_flags(args: &ScrapeArgs) -> CommandLineTarget {
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

/// Polls targets at the same time. Returns `true` if the required part of each target was read.
async fn poll(targets: Vec<config::Target>, output: &mut ScrapeOutput) -> Result<bool, AppError> {
    let limits = Limits::default();
    let mut polls = JoinSet::new();
    let mut collected = Vec::with_capacity(targets.len());
    for (index, target) in targets.into_iter().enumerate() {
        let name = target.name.clone();
        let target = Target::new(target, limits.clone()).map_err(|error| super::StartError::Target { name, error })?;
        let collected_target = Arc::new(CollectedTarget::new(target.clone()));
        collected.push(collected_target);
        polls.spawn(async move { (index, target.reading().await) });
    }
    let mut readings: Vec<(usize, Arc<Reading>)> = polls.join_all().await;
    readings.sort_by_key(|(index, _)| *index);
    let mut is_complete = true;
    for (target, (_, reading)) in collected.iter().zip(readings) {
        for report in &reading.parts {
            if let Some(error) = &report.error {
                let address = host_and_port(&target.target.config.url);
                print_notice(&format!("{} ({address}): {}: {error}", target.target.name(), report.part));
            }
        }
        is_complete &= reading.outcome.is_ok();
        output.add(&target.meter_provider, target.target.config.source, &target.identity(&reading), &reading);
    }
    Ok(is_complete)
}

/// Reads saved responses as one poll of a mail system.
fn read_saved(source: &'static Source, files: &[String], output: &mut ScrapeOutput) -> Result<bool, AppError> {
    let one_shot::SavedResponses { read, bytes, .. } = one_shot::read_files(source, files)?;
    let (at, began) = (SystemTime::now(), Instant::now());
    let context = Context::at(at);
    let mut snapshot = map_to_canonical(source, &read, &mut CounterMemory::default(), &context);
    let native = select_native(source, &config::Passthrough::default(), read.into_iter().map(|(_, families)| families).collect());
    snapshot.repairs.add_all(&native.repairs);
    let native = Arc::new(native);
    let tally = Tally { repairs: snapshot.repairs, ..Tally::default() };
    let identity =
        Identity::new(source.name, "file").with_version(snapshot.version.as_deref()).with_target_info(native.resource_attributes());
    let reading =
        Reading { at, began, ended: began, outcome: Ok(snapshot), native, parts: Vec::new(), body_bytes: bytes, tally, tally_since: at };
    let meter_provider = TargetMeterProvider::new(source, &identity);
    output.add(&meter_provider, source, &identity, &reading);
    Ok(true)
}

/// The metrics to print.
enum ScrapeOutput {
    Exposition {
        settings: PageSettings,
        only: Option<Only>,
        identities: Vec<Identity>,
        canonical: Vec<SelectedFamilies>,
        native: Vec<Section>,
    },
    Otlp {
        only: Option<Only>,
        targets: Vec<otlp::TargetMetrics>,
    },
}

impl ScrapeOutput {
    fn new(format: ScrapeFormat, only: Option<Only>) -> Self {
        let format = match format {
            ScrapeFormat::Text => Format::Text,
            ScrapeFormat::Openmetrics => Format::OpenMetrics(Escaping::Underscores),
            ScrapeFormat::Json => Format::Json,
            ScrapeFormat::OtlpJson => return Self::Otlp { only, targets: Vec::new() },
        };
        let (identities, canonical, native) = Default::default();
        Self::Exposition { settings: format.into(), only, identities, canonical, native }
    }

    /// Uses the settings of the pull endpoint.
    fn configure(&mut self, config: Option<&config::Prometheus>) {
        if let (Self::Exposition { settings, .. }, Some(config)) = (self, config) {
            *settings = PageSettings::new(settings.format, config);
        }
    }

    /// Adds the metrics of a target.
    fn add(&mut self, meter_provider: &TargetMeterProvider, source: &Source, identity: &Identity, reading: &Reading) {
        let points = reading.points(Instant::now());
        match self {
            Self::Exposition { settings, identities, canonical, native, .. } => {
                identities.push(identity.clone());
                canonical.push(meter_provider.gather(points, settings.translation, &CounterStarts::of(reading)));
                canonical.push(exposition::histograms(source.name, Some(identity), reading, &[], settings.translation));
                native.push(Section::of_target(reading.native.clone(), identity));
            }
            Self::Otlp { targets, .. } => {
                let report = SeriesState::default().report(meter_provider.collect(points), source.name, reading, None);
                targets.push(otlp::TargetMetrics::new(identity, report));
            }
        }
    }

    fn print(self) -> Result<(), AppError> {
        let bytes = match self {
            Self::Exposition { settings, only, identities, canonical, native } => {
                let info = exposition::target_info(&identities, settings.translation);
                let canonical = canonical
                    .into_iter()
                    .chain([info])
                    .map(|families| Section::of_postmeter(Arc::new(families)))
                    .filter(|_| only != Some(Only::Native));
                let native = native.into_iter().filter(|_| only != Some(Only::Canonical));
                exposition::render_bytes(settings, &canonical.chain(native).collect::<Vec<_>>())
            }
            Self::Otlp { only, targets } => {
                let mut request = otlp::message(&targets);
                for resource_metrics in &mut request.resource_metrics {
                    resource_metrics.scope_metrics.retain(|scope| {
                        let is_native = scope.scope.as_ref().is_some_and(|scope| scope.name == otlp::NATIVE_SCOPE);
                        only.is_none_or(|only| is_native == (only == Only::Native))
                    });
                }
                request.resource_metrics.retain(|resource_metrics| !resource_metrics.scope_metrics.is_empty());
                format!("{:#}\n", otlp_json::proto_json(&request)).into_bytes()
            }
        };
        print_bytes(&bytes).map(|_| ())
    }
}
