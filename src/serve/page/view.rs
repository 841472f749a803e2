//! What the page shows of the targets, in words: filled once for each request, from what is known already. Nothing is polled.

use super::plot::{Plot, Span};
use super::push::PushView;
use super::words::{self, Moment, counted};
use crate::model::{Attribute, Point};
use crate::poll::{Circuit, CoursePoint, Figure, HISTORY_SECONDS, History, PollError, Reading, Target};
use crate::serve::TokenUse;
use crate::telemetry::Standing;
use askama::Template;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Targets whose figures are drawn on one page; the others have a page each. Keeps a page of 1,000 targets below 3 MB, a tenth
/// of that compressed.
const DETAILED_MAX: usize = 60;
/// Points that are drawn of a figure, and of one in the table.
const PLOT_POINTS_MAX: u64 = 120;
const HEADLINE_POINTS_MAX: u64 = 30;
/// Targets that are opened before anybody asks.
const OPENED_MAX: usize = 8;
/// Troubles that are told at the top.
const TROUBLES_MAX: usize = 20;
/// Words of a mail server's that are shown; what it says beyond is in the log.
const SAID_CHARS_MAX: usize = 600;
/// Series of a figure that are named below it, the largest first.
const NAMED_MAX: usize = 6;
/// A reading that is older than this and than several intervals is nobody's: nothing collects any more.
const IDLE_MIN: Duration = Duration::from_secs(300);
/// How many intervals.
const IDLE_INTERVALS: u32 = 3;
/// The shortest time that a plot spans, so that the first minute does not look like a trend.
const PLOT_SECONDS_MIN: u64 = 300;
/// How often the page renews itself, and above how many targets less often.
const REFRESH_SECONDS: u32 = 5;
const REFRESH_SECONDS_MANY: u32 = 15;
const MANY: usize = 100;

/// The whole page.
#[derive(Debug, Template)]
#[template(config = "src/serve/page/askama.toml", path = "page.html")]
pub(super) struct PageView {
    pub version: &'static str,
    pub asset: &'static str,
    pub uptime: String,
    pub now: Moment,
    pub refresh_seconds: u32,
    /// The one target that was asked for.
    pub only: Option<String>,
    pub summary: String,
    pub tally: Vec<(State, String)>,
    pub down: usize,
    pub troubles: Vec<Trouble>,
    pub troubles_more: usize,
    pub rows: Vec<Row>,
    pub details: Vec<Detail>,
    pub push: Option<PushView>,
    pub configured: ConfigView,
    pub tokens: Vec<TokenView>,
}

/// How the configuration stands.
#[derive(Debug, Default)]
pub(super) struct ConfigView {
    pub taken_up: Option<Moment>,
    /// When it was last read, where what was read could not be taken up.
    pub refused: Option<Moment>,
    /// Files of `targets_files` that are wrong, as `2 files`.
    pub files_failing: Option<String>,
}

impl ConfigView {
    pub(super) fn of(standing: Standing, now: SystemTime) -> Self {
        Self {
            taken_up: standing.taken_up.map(|at| Moment::new(at, now)),
            refused: standing.refused.map(|at| Moment::new(at, now)),
            files_failing: (standing.files_failing > 0).then(|| counted(standing.files_failing, "file")),
        }
    }
}

/// A token that lets somebody read.
#[derive(Debug)]
pub(super) struct TokenView {
    pub name: String,
    pub used: Option<Moment>,
    pub expires: Option<String>,
    pub expired: bool,
}

impl TokenView {
    pub(super) fn of(token: TokenUse, now: SystemTime) -> Self {
        let expired = token.expires.is_some_and(|at| SystemTime::from(at) <= now);
        Self {
            name: token.name,
            used: token.last_used.map(|at| Moment::new(at.into(), now)),
            expires: token.expires.map(|at| at.strftime("%Y-%m-%d %H:%M UTC").to_string()),
            expired,
        }
    }
}

/// How a target is. The order is that of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Down,
    Partly,
    Idle,
    Waiting,
    Up,
}

impl State {
    const ALL: [Self; 5] = [Self::Down, Self::Partly, Self::Idle, Self::Waiting, Self::Up];

    /// Also its class and its shape.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Partly => "partly",
            Self::Idle => "idle",
            Self::Waiting => "waiting",
            Self::Up => "up",
        }
    }
}

/// Something to do.
#[derive(Debug)]
pub(super) struct Trouble {
    pub state: State,
    pub name: String,
    pub link: String,
    pub since: Option<String>,
    pub part: Option<&'static str>,
    pub said: Said,
    pub held: Option<String>,
}

/// An error in words, with what to do.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub what: String,
    pub advice: Option<&'static str>,
}

/// A line of the table.
#[derive(Debug)]
pub(super) struct Row {
    pub state: State,
    pub name: String,
    pub link: String,
    pub system: &'static str,
    pub queue: Option<Headline>,
    pub delivered: Option<Headline>,
    pub poll: Option<PollView>,
    pub next: String,
    /// Why it is asked less often, where it is.
    pub held: Option<String>,
    pub repairs: String,
}

/// A figure in the table.
#[derive(Debug)]
pub(super) struct Headline {
    pub value: String,
    pub unit: &'static str,
    pub plot: Plot,
}

/// The last poll.
#[derive(Clone, Debug)]
pub(super) struct PollView {
    pub at: Moment,
    pub took: String,
    pub size: Option<String>,
    pub series: Option<String>,
    pub dropped: Option<String>,
}

/// All about a target.
#[derive(Debug)]
pub(super) struct Detail {
    pub open: bool,
    pub row: Row,
    pub host: String,
    pub server_version: Option<String>,
    pub interval: String,
    pub timeout: String,
    pub points: Option<String>,
    pub figures: Vec<FigureView>,
    pub span: String,
    pub parts: Vec<PartView>,
    pub last_failure: Option<(Moment, &'static str, Said)>,
    pub errors: Vec<(String, String)>,
    pub repairs: Vec<(String, String)>,
}

impl Detail {
    /// Whether there are figures, and all of them are empty.
    fn is_silent(&self) -> bool {
        !self.figures.is_empty() && self.figures.iter().all(|figure| figure.value.is_none() && figure.plot.range.is_none())
    }
}

/// A figure with its plot.
#[derive(Debug)]
pub(super) struct FigureView {
    pub title: &'static str,
    pub help: &'static str,
    pub value: Option<String>,
    pub unit: &'static str,
    pub alarming: bool,
    pub named: String,
    pub range: String,
    pub plot: Plot,
    pub label: String,
}

/// A part of the last poll.
#[derive(Debug)]
pub(super) struct PartView {
    pub name: &'static str,
    pub help: &'static str,
    pub took: String,
    pub said: Option<Said>,
}

/// When the page is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub clock: SystemTime,
    pub instant: Instant,
    pub began: SystemTime,
}

impl PageView {
    /// The page of these targets, or of the one that is named; nothing if there is none of that name.
    pub(super) fn of(targets: &[Arc<Target>], only: Option<&str>, asset: &'static str, now: Now) -> Option<Self> {
        let mut chosen: Vec<(State, &Arc<Target>)> =
            targets.iter().filter(|target| only.is_none_or(|name| target.name() == name)).map(|t| (state(t, now.instant), t)).collect();
        if only.is_some() && chosen.is_empty() {
            return None;
        }
        // The sort is stable: the order of the configuration otherwise.
        chosen.sort_by_key(|(state, _)| *state);
        let number = |state: State| chosen.iter().filter(|(s, _)| *s == state).count();
        let tally: Vec<(State, String)> =
            State::ALL.into_iter().map(|s| (s, number(s))).filter(|(_, n)| *n > 0).map(|(s, n)| (s, words::count(n as u64))).collect();
        let link = |at: usize, name: &str| if at < DETAILED_MAX { format!("#target-{name}") } else { format!("?target={name}") };
        let mut troubles: Vec<Trouble> =
            chosen.iter().enumerate().filter_map(|(at, (state, target))| trouble(target, *state, link(at, target.name()), now)).collect();
        let troubles_more = troubles.len().saturating_sub(TROUBLES_MAX);
        troubles.truncate(TROUBLES_MAX);
        let rows = chosen.iter().enumerate().map(|(at, (state, target))| row(target, *state, link(at, target.name()), now)).collect();
        let opened = |at: usize| at < OPENED_MAX && (chosen.len() <= OPENED_MAX || chosen[at].0 < State::Up);
        let details = chosen.iter().take(DETAILED_MAX).enumerate();
        let details = details.map(|(at, (state, target))| detail(target, *state, opened(at), link(at, target.name()), now)).collect();
        Some(Self {
            version: env!("CARGO_PKG_VERSION"),
            asset,
            uptime: words::span(now.clock.duration_since(now.began).unwrap_or_default()),
            now: Moment::new(now.clock, now.clock),
            refresh_seconds: if chosen.len() > MANY { REFRESH_SECONDS_MANY } else { REFRESH_SECONDS },
            only: only.map(str::to_owned),
            summary: summary(chosen.len(), number(State::Up)),
            tally,
            down: number(State::Down),
            troubles,
            troubles_more,
            rows,
            details,
            push: None,
            configured: ConfigView::default(),
            tokens: Vec::new(),
        })
    }
}

impl PageView {
    fn push_fails(&self) -> bool {
        self.push.as_ref().is_some_and(|push| push.failing.is_some())
    }

    fn needs_attention(&self) -> bool {
        let config = &self.configured;
        self.push_fails() || !self.troubles.is_empty() || config.refused.is_some() || config.files_failing.is_some()
    }
}

fn summary(all: usize, up: usize) -> String {
    match (all, up) {
        (0, _) => "No targets: nothing is polled yet.".to_owned(),
        (1, 1) => "The target answers.".to_owned(),
        (all, up) if all == up => format!("All {} answer.", counted(all, "target")),
        (all, up) => format!("{} of {} answer in full.", words::count(up as u64), counted(all, "target")),
    }
}

fn state(target: &Target, now: Instant) -> State {
    let Some(latest) = target.latest() else { return State::Waiting };
    let idle = IDLE_MIN.max(target.config.min_interval * IDLE_INTERVALS);
    match &latest.outcome {
        Err(_) => State::Down,
        Ok(_) if now.saturating_duration_since(latest.began) > idle => State::Idle,
        Ok(_) if !latest.has_all_parts() => State::Partly,
        Ok(_) => State::Up,
    }
}

fn trouble(target: &Target, state: State, link: String, now: Now) -> Option<Trouble> {
    let latest = target.latest();
    let failed = latest.iter().flat_map(|latest| &latest.parts).find_map(|part| part.error.as_ref().map(|error| (part.part, error)));
    let (part, said) = match (state, failed) {
        (State::Down | State::Partly, Some((part, error))) => ((target.config.parts.len() > 1).then_some(part), Said::of(error)),
        (State::Down, None) => (None, latest?.outcome.as_ref().err().map(Said::of)?),
        (State::Idle, _) => {
            let advice = "Postmeter polls only for who collects: is Prometheus scraping, or is export.otlp on?";
            (None, Said { what: "nobody has collected for a while, so nothing was polled".to_owned(), advice: Some(advice) })
        }
        _ => return None,
    };
    let since = target.history(|history| history.down_since).map(|since| words::span(now.clock.duration_since(since).unwrap_or_default()));
    Some(Trouble { state, name: target.name().to_owned(), link, since, part, said, held: held(target) })
}

impl Said {
    fn of(error: &PollError) -> Self {
        let mut what: String = error.to_string().chars().take(SAID_CHARS_MAX).collect();
        if what.len() < error.to_string().len() {
            what.push('…');
        }
        // The others say in themselves what to do.
        let advice = match error {
            PollError::Malformed(_) => Some("look at what it sends with `postmeter scrape`; is this the right url, and the right system?"),
            PollError::Api(_) => Some("these are the server's own words; its log says more"),
            _ => None,
        };
        Self { what, advice }
    }
}

fn row(target: &Target, state: State, link: String, now: Now) -> Row {
    let latest = target.latest();
    let snapshot = latest.as_ref().and_then(|latest| latest.snapshot());
    let points = snapshot.map_or(&[][..], |snapshot| &snapshot.points);
    let (queue, delivered) = target.history(|history| {
        let span = span(history, now, silence(target));
        let headline = |title: &str| {
            let (index, figure) = history.figures().enumerate().find(|(_, figure)| figure.title == title)?;
            let value = current(figure, points, history, index)?;
            Some(Headline {
                value: written(figure, value),
                unit: unit(figure),
                plot: Plot::of(history.course(index), Span { points_max: HEADLINE_POINTS_MAX, ..span }),
            })
        };
        (headline("Queue"), headline("Delivered"))
    });
    let wait = target.wait(now.instant);
    Row {
        state,
        name: target.name().to_owned(),
        link,
        system: target.config.source.title,
        queue,
        delivered,
        poll: latest.as_ref().map(|latest| poll(latest, now)),
        next: if wait < Duration::from_secs(1) { "now".to_owned() } else { format!("in {}", words::span(wait)) },
        held: held(target),
        repairs: words::count(latest.iter().flat_map(|latest| latest.tally.repairs.iter()).map(|(_, n)| n).sum()),
    }
}

/// What an open circuit means.
fn held(target: &Target) -> Option<String> {
    match target.circuit() {
        Circuit::Open { failures, .. } => Some(format!("asked less often after {} in a row", counted(failures as usize, "failed poll"))),
        Circuit::Closed => None,
    }
}

fn poll(reading: &Reading, now: Now) -> PollView {
    let good = reading.outcome.is_ok();
    PollView {
        at: Moment::new(reading.at, now.clock),
        took: words::took(reading.ended.saturating_duration_since(reading.began)),
        size: good.then(|| words::bytes(reading.body_bytes as f64)),
        series: good.then(|| words::count(reading.native.kept + reading.native.dropped)),
        dropped: Some(reading.native.dropped).filter(|n| good && *n > 0).map(words::count),
    }
}

fn detail(target: &Target, state: State, open: bool, link: String, now: Now) -> Detail {
    let latest = target.latest();
    let points = latest.as_ref().and_then(|latest| latest.snapshot()).map_or(&[][..], |snapshot| &snapshot.points);
    let url = &target.config.url;
    let (figures, plotted, failure) = target.history(|history| {
        let span = span(history, now, silence(target));
        let figures = history.figures().enumerate().map(|(index, figure)| figure_view(history, index, figure, points, span)).collect();
        (figures, words::span(Duration::from_secs(span.to - span.from)), history.failure.clone())
    });
    let tally = latest.as_ref().map(|latest| &latest.tally);
    let mut errors: BTreeMap<String, String> = BTreeMap::new();
    for ((part, error), n) in tally.into_iter().flat_map(|tally| &tally.errors).filter(|(_, n)| **n > 0) {
        let name = if target.config.parts.len() > 1 { format!("{error} ({part})") } else { (*error).to_owned() };
        errors.insert(name, words::count(*n));
    }
    Detail {
        open,
        row: row(target, state, link, now),
        host: url.port_or_known_default().map_or_else(String::new, |port| format!("{}:{port}", url.host_str().unwrap_or_default())),
        server_version: target.version(),
        interval: words::took(target.config.min_interval),
        timeout: words::took(target.config.timeout),
        points: (!points.is_empty()).then(|| words::count(points.len() as u64)),
        figures,
        span: plotted,
        parts: latest.iter().flat_map(|latest| &latest.parts).map(|part| part_view(target, part)).collect(),
        // The one that goes on is told above already.
        last_failure: failure
            .filter(|failure| latest.as_ref().is_none_or(|latest| latest.at != failure.at))
            .map(|failure| (Moment::new(failure.at, now.clock), failure.part, Said::of(&failure.error))),
        errors: errors.into_iter().collect(),
        repairs: tally
            .into_iter()
            .flat_map(|tally| tally.repairs.iter())
            .map(|(repair, n)| (repair.as_str().replace('_', " "), words::count(n)))
            .collect(),
    }
}

fn part_view(target: &Target, report: &crate::poll::PartReport) -> PartView {
    let help = target.config.source.part(report.part).map_or("", |part| part.help);
    PartView {
        name: report.part,
        help,
        took: report.took.map_or_else(|| "not asked".to_owned(), words::took),
        said: report.error.as_ref().map(Said::of),
    }
}

fn figure_view(history: &History, index: usize, figure: &'static Figure, points: &[Point], span: Span) -> FigureView {
    let plot = Plot::of(history.course(index), span);
    let value = current(figure, points, history, index);
    let (low, high) = plot.range.map_or_else(Default::default, |(low, high)| (written(figure, low.into()), written(figure, high.into())));
    let unit = unit(figure);
    let range = match () {
        () if plot.range.is_none() => "nothing yet".to_owned(),
        () if low == high => low.clone(),
        () => format!("{low} – {high}"),
    };
    let label = match &value {
        Some(value) => format!(
            "{}, the last {}: from {low} to {high}{}{unit}, now {}; {}",
            figure.title,
            words::span(Duration::from_secs(span.to - span.from)),
            if unit.is_empty() { "" } else { " " },
            written(figure, *value),
            counted(plot.gaps, "gap"),
        ),
        None => format!("{}: nothing yet", figure.title),
    };
    FigureView {
        title: figure.title,
        help: figure.metric.help,
        alarming: figure.bad && value.is_some_and(|value| value > 0.0),
        value: value.map(|value| written(figure, value)),
        unit,
        named: figure.by.filter(|_| !figure.is_rate()).map(|by| named(figure, by, points)).unwrap_or_default(),
        range,
        plot,
        label,
    }
}

/// What a figure is now: of a level the exact value, of a rate that of the last readings.
fn current(figure: &Figure, points: &[Point], history: &History, index: usize) -> Option<f64> {
    let series = points.iter().filter(|point| figure.has(point));
    if !figure.is_rate() {
        return figure.fold(series.map(|point| point.value));
    }
    let last: Option<CoursePoint> = history.course(index).next_back();
    last.and_then(|last| last.value).map(f64::from).filter(|_| !points.is_empty())
}

/// `scheduled 12, ready 3`
fn named(figure: &Figure, by: &Attribute, points: &[Point]) -> String {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for point in points.iter().filter(|point| figure.has(point) && point.value != 0.0) {
        if let Some((_, value)) = point.attributes.iter().find(|(key, _)| *key == by) {
            *sums.entry(value).or_default() += point.value;
        }
    }
    let mut sums: Vec<(&str, f64)> = sums.into_iter().collect();
    sums.sort_by(|a, b| b.1.total_cmp(&a.1));
    let one = |(name, value): &(&str, f64)| match figure.bad {
        true => (*name).to_owned(),
        false => format!("{name} {}", written(figure, *value)),
    };
    sums.iter().take(NAMED_MAX).map(one).collect::<Vec<_>>().join(", ")
}

fn written(figure: &Figure, value: f64) -> String {
    match figure.metric.unit {
        "By" => words::bytes(value),
        "s" => words::took(Duration::try_from_secs_f64(value.max(0.0)).unwrap_or_default()),
        "1" => words::number((value * 1000.0).round() / 10.0),
        _ => words::number(value),
    }
}

fn unit(figure: &Figure) -> &'static str {
    match figure.metric.unit {
        _ if figure.is_rate() => "/min",
        "1" => "%",
        _ => "",
    }
}

fn silence(target: &Target) -> u64 {
    IDLE_MIN.max(target.config.min_interval * IDLE_INTERVALS).as_secs()
}

/// From the first point on, or the last hour.
fn span(history: &History, now: Now, silence: u64) -> Span {
    let to = now.clock.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let first = history.course(0).next().map_or(to, |point| point.at);
    let seconds = to.saturating_sub(first).clamp(PLOT_SECONDS_MIN, HISTORY_SECONDS.into());
    Span { from: to.saturating_sub(seconds), to, silence, points_max: PLOT_POINTS_MAX }
}

#[cfg(test)]
mod tests;
