//! The settings that cannot change without a restart.

use crate::config::{Config, Otlp, Problem, Problems, Telemetry};
use std::path::Path;
use std::time::Duration;

/// Returns the settings of `changed` that differ from those in use and cannot change without a restart.
pub(super) fn settings_that_need_restart(running: &Config, changed: &Config, file: &Path) -> Option<Problems> {
    let mut problems = Vec::new();
    let mut check = |key: &str, is_same: bool| {
        if !is_same {
            problems.push(Problem {
                file: file.display().to_string(),
                line: None,
                column: None,
                path: key.to_owned(),
                message: "cannot change while Postmeter is running; restart Postmeter, or undo the change".to_owned(),
            });
        }
    };
    let listen = |config: &Config| config.export.prometheus.as_ref().map(|prometheus| prometheus.listen.clone());
    check("export.prometheus.listen", listen(running) == listen(changed));
    let otlp = |config: &Config| config.export.otlp.clone().map(|otlp| Otlp { interval: Duration::ZERO, ..otlp });
    check("export.otlp", otlp(running) == otlp(changed));
    check("health", running.health == changed.health);
    check("receive", running.receive == changed.receive);
    // A change of `export.otlp` also changes whether it exports self-metrics, and is reported above.
    let is_same_push = otlp(running) == otlp(changed);
    let telemetry = |config: &Config| {
        let metrics_in_export = config.telemetry.metrics_in_export.filter(|_| is_same_push);
        Telemetry { metrics_in_export, ..config.telemetry.clone() }
    };
    check("telemetry", telemetry(running) == telemetry(changed));
    check("state_dir", running.state_dir == changed.state_dir);
    (!problems.is_empty()).then(|| Problems::new(problems))
}
