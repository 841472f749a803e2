//! The log lines about losses in the files of a target. Thousands of files can be lost at once, so the number of lines is limited.

use crate::net::LineLimit;
use std::time::Instant;

/// Logs losses one by one up to a limit, and the number of the others.
#[derive(Debug, Default)]
pub(super) struct LossLog {
    lines: LineLimit,
    summaries: LineLimit,
    /// The number of losses without a line.
    unlogged: u64,
}

impl LossLog {
    /// Logs the losses of a round, and the number of those that have no line as soon as the limit admits it.
    pub(super) fn add(&mut self, losses: &[String], now: Instant, mut log: impl FnMut(&str)) {
        for loss in losses {
            if self.lines.admit(now).is_some() {
                log(loss);
            } else {
                self.unlogged += 1;
            }
        }
        if self.unlogged > 0 && self.summaries.admit(now).is_some() {
            let count = std::mem::take(&mut self.unlogged);
            log(&format!(
                "records may be missing: {count} further losses are not logged one by one; postmeter_poll_errors_total counts all"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_loss_has_a_line_or_is_counted_in_one() {
        let (mut log, now) = (LossLog::default(), Instant::now());
        let mut lines = Vec::new();
        let losses: Vec<String> = (0..35).map(|n| format!("segment {n} was removed")).collect();
        for second in 0..100 {
            log.add(&losses, now + Duration::from_secs(second), |line| lines.push(line.to_owned()));
        }
        assert_eq!(lines.iter().filter(|line| line.starts_with("segment ")).count(), 10);
        assert!(lines.len() <= 20, "{}", lines.len());
        log.add(&[], now + Duration::from_secs(10_000), |line| lines.push(line.to_owned()));
        let counts =
            lines.iter().filter_map(|line| line.strip_prefix("records may be missing: ")?.split_once(' ')?.0.parse::<usize>().ok());
        assert_eq!(counts.sum::<usize>() + 10, 100 * losses.len());
        let before = lines.len();
        log.add(&[], now + Duration::from_secs(20_000), |line| lines.push(line.to_owned()));
        assert_eq!(lines.len(), before);
    }
}
