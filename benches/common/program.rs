//! A process of the program that is measured, and what Linux knows about it.

use std::process::{Child, Command};
use std::time::Duration;

/// The unit of processor time in `/proc/PID/stat`.
const TICKS_PER_SECOND: f64 = 100.0;

/// The program. It is killed when this is dropped.
pub struct Program(pub Child);

impl Program {
    /// The command of this build, or of the one that `POSTMETER_BENCH_PROGRAM` names.
    pub fn command() -> Command {
        Command::new(Self::path())
    }

    /// The path of this build, or of the one that `POSTMETER_BENCH_PROGRAM` names.
    pub fn path() -> String {
        std::env::var("POSTMETER_BENCH_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_postmeter").to_owned())
    }

    /// The processor time that it has used so far.
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND)
    }

    /// The resident memory at this time.
    pub fn resident_kib(&self) -> u64 {
        self.status("VmRSS")
    }

    /// The largest resident memory so far.
    pub fn peak_kib(&self) -> u64 {
        self.status("VmHWM")
    }

    fn status(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
