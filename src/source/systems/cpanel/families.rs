//! Answers of WHM API 1 functions, as families of our making: the API has records, not metrics.

use super::reached::Reached;
use super::response::{self, LenientNumber, LenientText, Rows};
use crate::model::{Families, FamiliesBuilder, FamilyType, Repair};
use crate::source::ReadError;
use serde::Deserialize;

/// Rows of an answer: more users, or messages in a queue, than 64 MiB of real rows can be.
const ROWS_MAX: usize = 500_000;

/// `emailtrack_stats`: totals.
///
/// # Errors
/// See [`response::whole`].
pub fn stats(body: String) -> Result<Families, ReadError> {
    let data: Records<Stats> = response::whole(&body)?;
    Families::read(body, |out| {
        let mut sums = UserSums::default();
        for row in &data.records.0 {
            sums.add(out, row.numbers());
        }
        family(
            out,
            "email_stats",
            "Mail of the whole server in the window: messages by what became of them, and their total size in bytes.",
        );
        for (stat, n) in STATS.iter().zip(sums.0) {
            n.into_iter().for_each(|n| series(out, &[("stat_type", stat)], n));
        }
        Ok(())
    })
}

/// `fetch_mail_queue`: a row for each message, with addresses, which are not kept.
///
/// # Errors
/// See [`response::whole`].
pub fn queue(body: String) -> Result<Families, ReadError> {
    let (data, has_raw_text): (Records<Queued>, bool) = response::whole_with_raw_text(&body)?;
    Families::read(body, |out| {
        if has_raw_text {
            out.repair(Repair::Unescaped);
        }
        let mut states = [("queued", 0.0, f64::INFINITY), ("frozen", 0.0, f64::INFINITY)];
        for message in &data.records.0 {
            count_odd(out, &[message.frozen, message.time]);
            let (_, count, oldest) = &mut states[usize::from(message.frozen.is_true())];
            *count += 1.0;
            if let LenientNumber::Is(time) = message.time
                && time > 0.0
            {
                *oldest = oldest.min(time);
            }
        }
        family(out, "email_queue_messages", "Messages in the queue, by state.");
        for (state, count, _) in states {
            series(out, &[("state", state)], count);
        }
        family(out, "email_queue_oldest_time_seconds", "When the oldest message in the queue came, by state, in Unix seconds.");
        for (state, _, oldest) in states.into_iter().filter(|(_, _, oldest)| oldest.is_finite()) {
            series(out, &[("state", state)], oldest);
        }
        Ok(())
    })
}

/// `servicestatus`: services that are enabled and watched.
///
/// # Errors
/// See [`response::whole`].
pub fn services(body: String) -> Result<Families, ReadError> {
    let data: Services = response::whole(&body)?;
    Families::read(body, |out| {
        family(out, "service_running", "Whether a service that is enabled and monitored runs: 1 or 0.");
        for service in &data.service.0 {
            count_odd(out, &[service.enabled]);
            // Not said of a service that is not monitored.
            if service.enabled.is_true() {
                scaled(out, &[("name", &service.name.0)], service.running, 1.0);
            }
        }
        Ok(())
    })
}

/// `systemloadavg`.
///
/// # Errors
/// See [`response::whole`].
pub fn load(body: String) -> Result<Families, ReadError> {
    let data: Load = response::whole(&body)?;
    Families::read(body, |out| {
        family(out, "system_load_average", "Processes that ran or waited for it, averaged over the last minutes.");
        for (period, n) in [("1m", data.one), ("5m", data.five), ("15m", data.fifteen)] {
            scaled(out, &[("period", period)], n, 1.0);
        }
        Ok(())
    })
}

/// `getdiskusage`, which counts in KiB.
///
/// # Errors
/// See [`response::whole`].
pub fn disks(body: String) -> Result<Families, ReadError> {
    let data: Disks = response::whole(&body)?;
    Families::read(body, |out| {
        type Of = fn(&Partition) -> LenientNumber;
        const KIB: f64 = 1024.0;
        for (name, help, of, scale) in [
            ("system_disk_total_bytes", "Size of a file system.", (|p| p.total) as Of, KIB),
            ("system_disk_used_bytes", "Space in use on a file system.", |p| p.used, KIB),
            ("system_disk_available_bytes", "Space left on a file system.", |p| p.available, KIB),
            ("system_disk_inodes_total", "Inodes of a file system.", |p| p.inodes_total, 1.0),
            ("system_disk_inodes_used", "Inodes in use on a file system.", |p| p.inodes_used, 1.0),
        ] {
            family(out, name, help);
            for partition in &data.partition.0 {
                scaled(out, &[("mount", &partition.mount.0), ("device", &partition.device.0)], of(partition), scale);
            }
        }
        Ok(())
    })
}

/// `version`.
///
/// # Errors
/// See [`response::whole`].
pub fn version(body: String) -> Result<Families, ReadError> {
    let data: Version = response::whole(&body)?;
    if data.version.0.is_empty() {
        return Err(ReadError::Empty);
    }
    Families::read(body, |out| {
        family(out, "cpanel_version_info", "Always 1; the label is the version of cPanel & WHM.");
        series(out, &[("version", &data.version.0)], 1.0);
        Ok(())
    })
}

pub(super) const STATS: [&str; 7] =
    ["send_count", "success_count", "fail_count", "defer_count", "defer_fail_count", "total_size", "in_progress_count"];

#[derive(Deserialize)]
pub(super) struct Records<R> {
    pub(super) records: Rows<R, ROWS_MAX>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "UPPERCASE", default)]
pub(super) struct Stats {
    pub(super) user: LenientText,
    pub(super) owner: LenientText,
    pub(super) domain: LenientText,
    #[serde(rename = "PRIMARY_DOMAIN")]
    pub(super) primary_domain: LenientText,
    #[serde(rename = "REACHED_MAXEMAILS")]
    pub(super) reached_maxemails: Reached,
    #[serde(rename = "REACHED_MAXDEFERFAIL")]
    pub(super) reached_maxdeferfail: Reached,
    sendcount: LenientNumber,
    successcount: LenientNumber,
    failcount: LenientNumber,
    defercount: LenientNumber,
    deferfailcount: LenientNumber,
    totalsize: LenientNumber,
    inprogresscount: LenientNumber,
}

impl Stats {
    /// In the order of [`STATS`].
    pub(super) fn numbers(&self) -> [LenientNumber; STATS.len()] {
        let Self { sendcount, successcount, failcount, defercount, deferfailcount, totalsize, inprogresscount, .. } = *self;
        [sendcount, successcount, failcount, defercount, deferfailcount, totalsize, inprogresscount]
    }
}

#[derive(Deserialize)]
struct Queued {
    #[serde(default)]
    frozen: LenientNumber,
    #[serde(default)]
    time: LenientNumber,
}

#[derive(Deserialize)]
struct Services {
    service: Rows<Service, ROWS_MAX>,
}

#[derive(Deserialize)]
struct Service {
    #[serde(default)]
    name: LenientText,
    #[serde(default)]
    enabled: LenientNumber,
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
    partition: Rows<Partition, ROWS_MAX>,
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

/// Sums over rows, in the order of [`STATS`]; none where no row has the number, NaN where one of them cannot be read.
#[derive(Default)]
pub(super) struct UserSums(pub(super) [Option<f64>; STATS.len()]);

impl UserSums {
    pub(super) fn add(&mut self, out: &mut FamiliesBuilder<'_>, numbers: [LenientNumber; STATS.len()]) {
        count_odd(out, &numbers);
        for (sum, n) in self.0.iter_mut().zip(numbers) {
            let n = match n {
                LenientNumber::Is(n) => n,
                // Left out, it would make this sum too small, and every sum that this one is part of.
                LenientNumber::Odd => f64::NAN,
                LenientNumber::Absent => continue,
            };
            *sum = Some(sum.unwrap_or(0.0) + n);
        }
    }
}

fn count_odd(out: &mut FamiliesBuilder<'_>, numbers: &[LenientNumber]) {
    numbers.iter().filter(|n| **n == LenientNumber::Odd).for_each(|_| out.repair(Repair::Unreadable));
}

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

fn scaled(out: &mut FamiliesBuilder<'_>, labels: &[(&str, &str)], n: LenientNumber, scale: f64) {
    count_odd(out, &[n]);
    if let LenientNumber::Is(n) = n {
        series(out, labels, n * scale);
    }
}
