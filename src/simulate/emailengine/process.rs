//! The process of a simulated EmailEngine.

use super::{Family, count, one, rows};
use crate::simulate::Traffic;

pub(super) fn process(t: &Traffic) -> Vec<Family> {
    let worked = (t.cpu_total_jiffies - t.cpu_idle_jiffies) as f64 / 400.0;
    vec![
        ("process_cpu_user_seconds_total", "counter", "Processor time in the program", one(worked * 0.75)),
        ("process_cpu_system_seconds_total", "counter", "Processor time in the kernel", one(worked * 0.25)),
        ("process_cpu_seconds_total", "counter", "Processor time", one(worked)),
        ("process_start_time_seconds", "gauge", "Start time", one(t.started().floor())),
        ("process_resident_memory_bytes", "gauge", "Resident memory", count(t.memory_used_bytes / 4)),
        ("process_virtual_memory_bytes", "gauge", "Virtual memory", count(200 << 30)),
        ("process_heap_bytes", "gauge", "Heap in use", count(t.memory_used_bytes / 5)),
        ("process_open_fds", "gauge", "Open files", count(70 + t.imap_active)),
        ("process_max_fds", "gauge", "Limit of open files", count(20_000)),
    ]
}

pub(super) fn node() -> Vec<Family> {
    let spaces = |new: u64, old: u64| rows(&[("space=\"new\"", new), ("space=\"old\"", old)]);
    vec![
        ("nodejs_eventloop_lag_seconds", "gauge", "Event loop lag", one(0.003)),
        ("nodejs_eventloop_lag_min_seconds", "gauge", "Minimum event loop lag", one(0.009)),
        ("nodejs_eventloop_lag_max_seconds", "gauge", "Maximum event loop lag", one(0.08)),
        ("nodejs_eventloop_lag_mean_seconds", "gauge", "Mean event loop lag", one(0.0105)),
        ("nodejs_eventloop_lag_stddev_seconds", "gauge", "Standard deviation of the event loop lag", one(0.002)),
        ("nodejs_eventloop_lag_p50_seconds", "gauge", "Median of the event loop lag", one(0.0101)),
        ("nodejs_eventloop_lag_p90_seconds", "gauge", "90th percentile of the event loop lag", one(0.0108)),
        ("nodejs_eventloop_lag_p99_seconds", "gauge", "99th percentile of the event loop lag", one(0.018)),
        ("nodejs_active_resources", "gauge", "Active resources by type", rows(&[("type=\"TCPSocketWrap\"", 7), ("type=\"Timeout\"", 6)])),
        ("nodejs_active_resources_total", "gauge", "Active resources", count(13)),
        ("nodejs_active_handles", "gauge", "Active handles by type", rows(&[("type=\"Socket\"", 7), ("type=\"MessagePort\"", 6)])),
        ("nodejs_active_handles_total", "gauge", "Active handles", count(13)),
        ("nodejs_active_requests", "gauge", "Active requests by type", Vec::new()),
        ("nodejs_active_requests_total", "gauge", "Active requests", count(0)),
        ("nodejs_heap_size_total_bytes", "gauge", "Heap size", count(129 << 20)),
        ("nodejs_heap_size_used_bytes", "gauge", "Heap in use", count(120 << 20)),
        ("nodejs_external_memory_bytes", "gauge", "Memory outside the heap", count(4 << 20)),
        ("nodejs_heap_space_size_total_bytes", "gauge", "Heap size by space", spaces(1 << 20, 110 << 20)),
        ("nodejs_heap_space_size_used_bytes", "gauge", "Heap in use by space", spaces(600 << 10, 105 << 20)),
        ("nodejs_heap_space_size_available_bytes", "gauge", "Available heap by space", spaces(400 << 10, 5 << 20)),
        ("nodejs_version_info", "gauge", "Version", rows(&[("version=\"v20.20.2\",major=\"20\",minor=\"20\",patch=\"2\"", 1)])),
    ]
}
