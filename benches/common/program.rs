//! A process of the program that is measured, and what Linux knows about it.

use std::process::{Child, Command};
use std::time::Duration;

/// The unit of processor time in `/proc/PID/stat`.
pub const TICKS_PER_SECOND: f64 = 100.0;

/// The time that a process has used so far in user code and in the kernel, in ticks.
pub fn processor_ticks(pid: u32) -> [u64; 2] {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    [11, 12].map(|field: usize| fields[field].parse().unwrap())
}

/// A number of KiB in `/proc/PID/status`: `VmRSS` is the resident memory at this time, `VmHWM` the largest so far.
pub fn status_kib(pid: u32, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

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
        let ticks: u64 = processor_ticks(self.0.id()).iter().sum();
        Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND)
    }

    /// The resident memory at this time.
    pub fn resident_kib(&self) -> u64 {
        status_kib(self.0.id(), "VmRSS")
    }

    /// The largest resident memory so far.
    pub fn peak_kib(&self) -> u64 {
        status_kib(self.0.id(), "VmHWM")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
