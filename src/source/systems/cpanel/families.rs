//! Responses of WHM API 1 functions as metric families. The API returns records, so the families are defined here.

use super::lenient::{LenientNumber, LenientText};
use super::limit_state::LimitState;
use super::response::{BoundedRows, read_complete, read_complete_unescaped};
use crate::model::{Families, FamiliesBuilder, FamilyType, Repair};
use crate::source::ReadError;
use serde::Deserialize;

/// The largest number of rows of a response: more than 64 MiB of real rows, of users or of queued messages.
const ROWS_MAX: usize = 500_000;

const QUEUE_MESSAGES: &str = "email_queue_messages";
const QUEUE_OLDEST_TIME: &str = "email_queue_oldest_time_seconds";

/// Reads `emailtrack_stats`, the totals of the server.
///
/// # Errors
/// See [`read_complete`].
pub fn read_totals(body: String) -> Result<Families, ReadError> {
    let data: RecordList<AccountRow> = read_complete(&body)?;
    Families::read(body, |out| {
        let mut sums = StatisticSums::default();
        for row in &data.records.rows {
            sums.add(out, "email_stats", row.numbers());
        }
        if count_unreadable_rows(out, &["email_stats"], data.records.unreadable) {
            sums = StatisticSums([Some(f64::NAN); STATISTICS.len()]);
        }
        family(out, "email_stats", "Mail of the whole server in the window: messages by outcome, and their total size in bytes.");
        for (stat, n) in STATISTICS.iter().zip(sums.0) {
            n.into_iter().for_each(|n| series(out, &[("stat_type", stat)], n));
        }
        Ok(())
    })
}

/// Reads `fetch_mail_queue`. It has a row for each message, with mail addresses, which are not kept.
///
/// # Errors
/// See [`read_complete_unescaped`].
pub fn read_queue(body: String) -> Result<Families, ReadError> {
    let (data, is_unescaped): (RecordList<QueuedMessage>, bool) = read_complete_unescaped(&body)?;
    Families::read(body, |out| {
        if is_unescaped {
            out.repair(Repair::Unescaped);
        }
        let (mut queued, mut frozen) = (QueuedMessages::default(), QueuedMessages::default());
        for message in &data.records.rows {
            let (is_frozen, time) = (message.frozen.non_negative(), message.time.non_negative());
            count_invalid(out, &[is_frozen, time]);
            if is_frozen == LenientNumber::Invalid {
                // The message may be in either state.
                out.explain_unreadable(QUEUE_MESSAGES, || "`frozen` of a message is not a valid number".to_owned());
                out.explain_unreadable(QUEUE_OLDEST_TIME, || "`frozen` of a message is not a valid number".to_owned());
                (queued, frozen) = (QueuedMessages::UNKNOWN, QueuedMessages::UNKNOWN);
                continue;
            }
            if time == LenientNumber::Invalid {
                out.explain_unreadable(QUEUE_OLDEST_TIME, || "`time` of a message is not a valid number".to_owned());
            }
            if is_frozen.is_true() { &mut frozen } else { &mut queued }.add(time);
        }
        if count_unreadable_rows(out, &[QUEUE_MESSAGES, QUEUE_OLDEST_TIME], data.records.unreadable) {
            (queued, frozen) = (QueuedMessages::UNKNOWN, QueuedMessages::UNKNOWN);
        }
        let states = [("queued", queued), ("frozen", frozen)];
        family(out, QUEUE_MESSAGES, "Messages in the queue, by state.");
        for (state, messages) in &states {
            series(out, &[("state", state)], messages.count);
        }
        family(out, QUEUE_OLDEST_TIME, "Arrival of the oldest message in the queue, by state, in Unix seconds.");
        for (state, messages) in states {
            messages.oldest.into_iter().for_each(|oldest| series(out, &[("state", state)], oldest));
        }
        Ok(())
    })
}

/// Reads `servicestatus`, the services that are enabled, and monitored by WHM (`enabled` and `monitored` in the documentation of WHM API
/// 1).
///
/// # Errors
/// See [`read_complete`].
pub fn read_services(body: String) -> Result<Families, ReadError> {
    let data: Services = read_complete(&body)?;
    Families::read(body, |out| {
        family(out, "service_running", "1 if a service that is enabled and monitored is running, otherwise 0.");
        out.count(Repair::Unreadable, data.service.unreadable as u64);
        for service in &data.service.rows {
            count_invalid(out, &[service.enabled, service.monitored]);
            // A service that WHM does not monitor may be stopped on purpose, whether the response has its `running` or not. A missing
            // `monitored` does not hide a service.
            let is_monitored = service.monitored.is_true() || service.monitored == LenientNumber::Absent;
            if service.enabled.is_true() && is_monitored {
                scaled(out, &[("name", &service.name.0)], service.running, 1.0);
            }
        }
        Ok(())
    })
}

/// Reads `systemloadavg`.
///
/// # Errors
/// See [`read_complete`].
pub fn read_load(body: String) -> Result<Families, ReadError> {
    let data: Load = read_complete(&body)?;
    if [data.one, data.five, data.fifteen] == [LenientNumber::Absent; 3] {
        return Err(ReadError::Malformed("it has no load average".to_owned()));
    }
    Families::read(body, |out| {
        family(out, "system_load_average", "Load average: processes that were running or waiting to run.");
        for (period, n) in [("1m", data.one), ("5m", data.five), ("15m", data.fifteen)] {
            scaled(out, &[("period", period)], n, 1.0);
        }
        Ok(())
    })
}

/// Reads `getdiskusage`, whose unit is KiB.
///
/// # Errors
/// See [`read_complete`].
pub fn read_disks(body: String) -> Result<Families, ReadError> {
    let data: Disks = read_complete(&body)?;
    Families::read(body, |out| {
        type PartitionField = fn(&Partition) -> LenientNumber;
        const KIB: f64 = 1024.0;
        out.count(Repair::Unreadable, data.partition.unreadable as u64);
        for (name, help, field, scale) in [
            ("system_disk_total_bytes", "Size of a file system.", (|p| p.total) as PartitionField, KIB),
            ("system_disk_used_bytes", "Space in use on a file system.", |p| p.used, KIB),
            ("system_disk_available_bytes", "Space left on a file system.", |p| p.available, KIB),
            ("system_disk_inodes_total", "Inodes of a file system.", |p| p.inodes_total, 1.0),
            ("system_disk_inodes_used", "Inodes in use on a file system.", |p| p.inodes_used, 1.0),
        ] {
            family(out, name, help);
            for partition in &data.partition.rows {
                scaled(out, &[("mount", &partition.mount.0), ("device", &partition.device.0)], field(partition), scale);
            }
        }
        Ok(())
    })
}

/// Reads `version`.
///
/// # Errors
/// See [`read_complete`].
pub fn read_version(body: String) -> Result<Families, ReadError> {
    let data: Version = read_complete(&body)?;
    if data.version.0.is_empty() {
        return Err(ReadError::Empty);
    }
    Families::read(body, |out| {
        family(out, "cpanel_version_info", "Always 1; the label is the version of cPanel & WHM.");
        series(out, &[("version", &data.version.0)], 1.0);
        Ok(())
    })
}

/// The statistics of an account, as values of the label `stat_type`.
pub(super) const STATISTICS: [&str; 7] =
    ["send_count", "success_count", "fail_count", "defer_count", "defer_fail_count", "total_size", "in_progress_count"];

#[derive(Deserialize)]
pub(super) struct RecordList<R> {
    pub(super) records: BoundedRows<R, ROWS_MAX>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "UPPERCASE", default)]
pub(super) struct AccountRow {
    pub(super) user: LenientText,
    pub(super) owner: LenientText,
    pub(super) domain: LenientText,
    #[serde(rename = "PRIMARY_DOMAIN")]
    pub(super) primary_domain: LenientText,
    #[serde(rename = "REACHED_MAXEMAILS")]
    pub(super) reached_maxemails: LimitState,
    #[serde(rename = "REACHED_MAXDEFERFAIL")]
    pub(super) reached_maxdeferfail: LimitState,
    sendcount: LenientNumber,
    successcount: LenientNumber,
    failcount: LenientNumber,
    defercount: LenientNumber,
    deferfailcount: LenientNumber,
    totalsize: LenientNumber,
    inprogresscount: LenientNumber,
}

impl AccountRow {
    /// The statistics of the account, in the order of [`STATISTICS`].
    pub(super) fn numbers(&self) -> [LenientNumber; STATISTICS.len()] {
        let Self { sendcount, successcount, failcount, defercount, deferfailcount, totalsize, inprogresscount, .. } = *self;
        [sendcount, successcount, failcount, defercount, deferfailcount, totalsize, inprogresscount]
    }
}

#[derive(Deserialize)]
struct QueuedMessage {
    #[serde(default)]
    frozen: LenientNumber,
    #[serde(default)]
    time: LenientNumber,
}

/// The messages of the queue in one state.
#[derive(Clone, Copy, Default)]
struct QueuedMessages {
    /// The number of messages. NaN if it is not known.
    count: f64,
    /// The arrival of the oldest message, if any message has one. NaN if that of a message is not known.
    oldest: Option<f64>,
}

impl QueuedMessages {
    const UNKNOWN: Self = Self { count: f64::NAN, oldest: Some(f64::NAN) };

    /// Adds a message that arrived at this time, which is 0 if it is not set.
    fn add(&mut self, time: LenientNumber) {
        self.count += 1.0;
        let time = match time {
            LenientNumber::Number(time) if time > 0.0 => time,
            LenientNumber::Number(_) | LenientNumber::Absent => return,
            LenientNumber::Invalid => f64::NAN,
        };
        let oldest = self.oldest.unwrap_or(time);
        // Not `min`, which ignores NaN.
        self.oldest = Some(if oldest.is_nan() || oldest < time { oldest } else { time });
    }
}

#[derive(Deserialize)]
struct Services {
    service: BoundedRows<Service, ROWS_MAX>,
}

#[derive(Deserialize)]
struct Service {
    #[serde(default)]
    name: LenientText,
    #[serde(default)]
    enabled: LenientNumber,
    #[serde(default)]
    monitored: LenientNumber,
    #[serde(default)]
    running: LenientNumber,
}

#[derive(Deserialize)]
struct Load {
    #[serde(default)]
    one: LenientNumber,
    #[serde(default)]
    five: LenientNumber,
    #[serde(default)]
    fifteen: LenientNumber,
}

#[derive(Deserialize)]
struct Disks {
    partition: BoundedRows<Partition, ROWS_MAX>,
}

#[derive(Deserialize)]
struct Partition {
    #[serde(default)]
    mount: LenientText,
    #[serde(default)]
    device: LenientText,
    #[serde(default)]
    total: LenientNumber,
    #[serde(default)]
    used: LenientNumber,
    #[serde(default)]
    available: LenientNumber,
    #[serde(default)]
    inodes_total: LenientNumber,
    #[serde(default)]
    inodes_used: LenientNumber,
}

#[derive(Deserialize)]
struct Version {
    #[serde(default)]
    version: LenientText,
}

/// Sums over rows, in the order of [`STATISTICS`]. A sum is `None` if no row has the number, and NaN if a row has an invalid one.
#[derive(Default)]
pub(super) struct StatisticSums(pub(super) [Option<f64>; STATISTICS.len()]);

impl StatisticSums {
    pub(super) fn add(&mut self, out: &mut FamiliesBuilder<'_>, family: &str, numbers: [LenientNumber; STATISTICS.len()]) {
        count_invalid(out, &numbers);
        if numbers.contains(&LenientNumber::Invalid) {
            out.explain_unreadable(family, || "a number of a row is not valid".to_owned());
        }
        for (sum, n) in self.0.iter_mut().zip(numbers) {
            let n = match n {
                LenientNumber::Number(n) => n,
                // Without it, this sum and every sum that contains it would be too small.
                LenientNumber::Invalid => f64::NAN,
                LenientNumber::Absent => continue,
            };
            *sum = Some(sum.unwrap_or(0.0) + n);
        }
    }
}

/// Counts rows without any of the expected members, because of which values of these families are unknown. Returns `true` if there are any.
pub(super) fn count_unreadable_rows(out: &mut FamiliesBuilder<'_>, families: &[&str], rows: usize) -> bool {
    out.count(Repair::Unreadable, rows as u64);
    for family in families.iter().filter(|_| rows > 0) {
        out.explain_unreadable(family, || "a row has none of the expected members".to_owned());
        out.note_unreadable_series(Some(family));
    }
    rows > 0
}

fn count_invalid(out: &mut FamiliesBuilder<'_>, numbers: &[LenientNumber]) {
    numbers.iter().filter(|n| **n == LenientNumber::Invalid).for_each(|_| out.repair(Repair::Unreadable));
}

/// Begins a family of gauges.
pub(super) fn family(out: &mut FamiliesBuilder<'_>, name: &str, help: &str) {
    let (name, help) = (out.add_text(name), out.add_text(help));
    out.family(name, help, FamilyType::Gauge);
}

fn series(out: &mut FamiliesBuilder<'_>, labels: &[(&str, &str)], value: f64) {
    for (name, value) in labels {
        let (name, value) = (out.add_text(name), out.add_text(value));
        out.label(name, value);
    }
    out.number(value);
}

/// Adds a series whose value is a number of the response times `scale`. Invalid numbers are counted as repairs.
fn scaled(out: &mut FamiliesBuilder<'_>, labels: &[(&str, &str)], n: LenientNumber, scale: f64) {
    count_invalid(out, &[n]);
    if let LenientNumber::Number(n) = n {
        series(out, labels, n * scale);
    }
}
