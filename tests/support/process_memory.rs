//! The memory of a process.

/// A number of KiB in `/proc/PID/status`: `VmRSS` is the resident memory at this time, `VmHWM` the largest so far.
pub fn status_kib(pid: u32, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
