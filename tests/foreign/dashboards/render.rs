//! Renders a dashboard source as the JSON that Grafana provisions and imports: layout, variables, links, and the defaults of each panel kind.

use super::source::{Kind, Panel, Query, Source};
use super::variables::{LOKI, PROMETHEUS, data_source, variables};
use serde_json::{Map, Value, json};

/// The schema version of Grafana's dashboard model; Grafana 12.2 to 13 use 42.
pub const SCHEMA_VERSION: u64 = 42;
/// Columns of Grafana's grid.
pub const COLUMNS: u64 = 24;
/// The minimum step of a query. Pushes arrive once a minute by default.
const STEP_MIN: &str = "1m";

/// The query of the alert annotations on all graphs.
const FIRING_ALERTS: &str = r#"ALERTS{alertstate="firing",alertname=~"Mail.+",job=~"$job",instance=~"$instance"}"#;
/// The text of an empty panel whose source sets none. Tables have none, because it would appear in each empty cell.
const NO_DATA: &str = "No data for this selection";

/// The label of the mail system, and the header of its column in tables.
const SYSTEM: &str = "mail_system_name";
const SYSTEM_HEADER: &str = "Mail system";
/// The label that a query with `links_dashboard` adds: the dashboard of the mail system, or the overview, which shows every system.
const DASHBOARD: &str = "dashboard";
const DASHBOARD_HEADER: &str = "Dashboard";
const WITHOUT_DASHBOARD: &str = "overview";
const DASHBOARD_URL: &str = "/d/postmeter-${__value.raw}?${prometheus_datasource:queryparam}&var-via=${via}&var-instance=${__data.fields.Target}&${__url_time_range}";

/// The label selector of metrics of mail servers, canonical and native.
const SELECTOR: &str = r#"job=~"$job",instance=~"$instance",via="$via""#;
/// The placeholder of native counters. The OTLP receiver of Prometheus moves `total` to the end of a counter's name, or appends it, so a query
/// selects both names, and the variable `via` selects the one that exists.
const COUNTER: &str = "{@counter";
/// The other placeholders in queries, and the label selectors that replace them.
const SELECTORS: &[(&str, &str)] = &[
    // Native metrics that are not counters have the same names when they are pulled and when they are pushed.
    ("@native", SELECTOR),
    // Self-metrics of Postmeter.
    ("@own", r#"job=~"$own",instance=~"$process",via="$via""#),
    // Logs of mail servers: the labels that Loki derives from the resource.
    ("@logs", r#"service_name=~"$job",service_instance_id=~"$instance""#),
    // Canonical metrics.
    ("@", SELECTOR),
];

/// Renders a dashboard. `systems` are the mail systems that have a dashboard.
pub fn dashboard(source: &Source, systems: &[&str]) -> Value {
    let mut panels = Vec::new();
    let (mut id, mut y) = (0, 0);
    let mut next = || {
        id += 1;
        id
    };
    for (index, row) in source.rows.iter().enumerate() {
        // The panels of a collapsed row are inside it, at the positions that they have when the row is expanded.
        let is_collapsed = index > 0;
        let mut row_panel = json!({
            "id": next(), "type": "row", "title": row.title, "collapsed": is_collapsed, "panels": [],
            "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
        });
        y += 1;
        let (mut x, mut top, mut tallest) = (0, y, 0);
        let mut rendered = Vec::new();
        for panel in &row.panels {
            let (width, height) = size(panel);
            if x + width > COLUMNS {
                (x, top, tallest) = (0, top + tallest, 0);
            }
            rendered.push(self::panel(panel, systems, next(), json!({"x": x, "y": top, "w": width, "h": height})));
            x += width;
            tallest = tallest.max(height);
        }
        if is_collapsed {
            merge(&mut row_panel, json!({"panels": rendered}));
            panels.push(row_panel);
        } else {
            panels.push(row_panel);
            panels.append(&mut rendered);
            y = top + tallest;
        }
    }
    json!({
        "uid": source.uid,
        "title": source.title,
        "description": source.description,
        "tags": ["mail", "postmeter"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "links": [{
            "type": "dashboards", "asDropdown": true, "tags": ["postmeter"], "title": "Mail dashboards", "icon": "external link",
            "keepTime": true, "includeVars": false, "targetBlank": false, "tooltip": "", "url": "",
        }],
        "annotations": {"list": [{
            "name": "Alerts", "enable": true, "hide": false, "iconColor": "red", "datasource": data_source(PROMETHEUS),
            "target": {"refId": "Alerts", "interval": STEP_MIN, "expr": FIRING_ALERTS},
            "titleFormat": "{{alertname}}", "textFormat": "{{job}} {{instance}}",
        }]},
        "templating": {"list": variables(source)},
        "panels": panels,
    })
}

/// The width and height of a panel, in grid units.
fn size(panel: &Panel) -> (u64, u64) {
    let (width, height) = match panel.kind {
        Kind::Stat | Kind::Name => (4, 4),
        Kind::Table | Kind::Logs => (24, 9),
        _ => (12, 8),
    };
    (panel.width.unwrap_or(width), panel.height.unwrap_or(height))
}

/// Renders a panel.
fn panel(panel: &Panel, systems: &[&str], id: u64, grid_position: Value) -> Value {
    let logs = reads_logs(panel);
    let datasource = data_source(if logs { LOKI } else { PROMETHEUS });
    let (kind, custom, options) = visualization(panel);
    let targets: Vec<Value> =
        panel.queries.iter().zip('A'..='Z').map(|(query, id)| target(panel, systems, query, id, &datasource)).collect();
    let mut defaults = json!({
        "unit": panel.unit,
        "color": {"mode": if matches!(panel.kind, Kind::Stat | Kind::Bars | Kind::States) { "thresholds" } else { "palette-classic" }},
        "custom": custom,
        "mappings": mappings(&panel.mappings),
        "thresholds": thresholds(&panel.thresholds),
    });
    let limits = [("min", panel.min.map(Value::from)), ("max", panel.max.map(Value::from)), ("decimals", panel.decimals.map(Value::from))];
    let no_data = panel.no_data.as_deref().or((panel.kind != Kind::Table).then_some(NO_DATA));
    for (key, value) in limits.into_iter().chain([("noValue", no_data.map(Value::from))]) {
        if let Some(value) = value {
            merge(&mut defaults, json!({key: value}));
        }
    }
    let mut rendered = json!({
        "id": id, "type": kind, "title": panel.title, "description": panel.description, "gridPos": grid_position,
        "datasource": datasource,
        "fieldConfig": {"defaults": defaults, "overrides": overrides(panel)},
        "options": options,
        "targets": targets,
    });
    if !logs {
        merge(&mut rendered, json!({"interval": STEP_MIN}));
    }
    if panel.kind == Kind::Table {
        merge(&mut rendered, json!({"transformations": transformations(panel)}));
    }
    rendered
}

/// Returns true if the queries are for Loki.
pub fn reads_logs(panel: &Panel) -> bool {
    panel.queries.iter().any(|query| query.expr.contains("@logs"))
}

/// Grafana's name of the panel type, its `custom` field configuration, and its options.
fn visualization(panel: &Panel) -> (&'static str, Value, Value) {
    let last = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
    let legend = |calcs: &[&str]| json!({"calcs": calcs, "displayMode": "table", "placement": "bottom", "showLegend": true});
    match panel.kind {
        Kind::Series => (
            "timeseries",
            json!({
                "drawStyle": "line", "lineWidth": 1, "fillOpacity": if panel.stack { 40 } else { 8 }, "showPoints": "auto", "pointSize": 4,
                "spanNulls": false, "stacking": {"group": "A", "mode": if panel.stack { "normal" } else { "none" }},
                "thresholdsStyle": {"mode": if panel.thresholds.len() > 1 { "line" } else { "off" }},
            }),
            json!({"legend": legend(&["lastNotNull", "max"]), "tooltip": {"mode": "multi", "sort": "desc"}}),
        ),
        Kind::Stat | Kind::Name => (
            "stat",
            json!({}),
            json!({
                "colorMode": if panel.thresholds.len() > 1 || !panel.mappings.is_empty() { "background" } else { "value" },
                "graphMode": if panel.kind == Kind::Name { "none" } else { "area" },
                "textMode": if panel.kind == Kind::Name { "name" } else { "auto" },
                "justifyMode": "auto", "orientation": "auto", "reduceOptions": last, "showPercentChange": false,
                "percentChangeColorMode": "standard", "wideLayout": true,
            }),
        ),
        Kind::Bars => (
            "bargauge",
            json!({}),
            json!({
                "displayMode": "gradient", "orientation": "horizontal", "reduceOptions": last, "showUnfilled": true, "valueMode": "color",
                "namePlacement": "auto", "sizing": "auto", "minVizHeight": 16, "minVizWidth": 8, "maxVizHeight": 32,
                "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": false},
            }),
        ),
        Kind::States => (
            "state-timeline",
            json!({"fillOpacity": 70, "lineWidth": 0}),
            json!({
                "alignValue": "left", "mergeValues": true, "rowHeight": 0.8, "showValue": "auto",
                "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": false},
                "tooltip": {"mode": "single", "sort": "none"},
            }),
        ),
        Kind::Heatmap => (
            "heatmap",
            json!({"hideFrom": {"legend": false, "tooltip": false, "viz": false}, "scaleDistribution": {"type": "linear"}}),
            json!({
                "calculate": false, "cellGap": 1, "filterValues": {"le": 1e-9}, "legend": {"show": true}, "rowsFrame": {"layout": "auto"},
                "color": {"mode": "scheme", "scheme": "Blues", "exponent": 0.5, "fill": "blue", "reverse": false, "scale": "exponential", "steps": 64},
                "exemplars": {"color": "rgba(255,0,255,0.7)"}, "showValue": "never",
                "tooltip": {"mode": "single", "showColorScale": false, "yHistogram": false},
                "yAxis": {"axisPlacement": "left", "reverse": false, "unit": panel.unit},
            }),
        ),
        Kind::Table => (
            "table",
            json!({"align": "auto", "cellOptions": {"type": "auto"}, "filterable": true, "inspect": false}),
            json!({"cellHeight": "sm", "frameIndex": 0, "showHeader": true}),
        ),
        Kind::Logs => (
            "logs",
            json!({}),
            json!({
                "dedupStrategy": "none", "enableLogDetails": true, "prettifyLogMessage": false, "showCommonLabels": false, "showLabels": false,
                "showLogContextToggle": false, "showTime": true, "sortOrder": "Descending", "wrapLogMessage": true,
            }),
        ),
    }
}

/// Renders a query.
fn target(panel: &Panel, systems: &[&str], query: &Query, id: char, datasource: &Value) -> Value {
    let instant = matches!(panel.kind, Kind::Table | Kind::Bars | Kind::Name);
    let mut expr = with_selectors(&query.expr);
    if query.links_dashboard {
        let systems = systems.join("|");
        expr = format!(
            r#"label_replace(label_replace({expr}, "{DASHBOARD}", "{WITHOUT_DASHBOARD}", "", ""), "{DASHBOARD}", "$1", "{SYSTEM}", "({systems})")"#
        );
    }
    let mut target = json!({"refId": id.to_string(), "datasource": datasource, "expr": expr, "editorMode": "code"});
    merge(
        &mut target,
        match panel.kind {
            Kind::Logs => json!({"queryType": "range", "maxLines": 500}),
            _ if datasource["type"] == "loki" => json!({"queryType": "range", "legendFormat": query.legend}),
            Kind::Table => json!({"instant": instant, "range": !instant, "format": "table"}),
            Kind::Heatmap => json!({"instant": false, "range": true, "format": "heatmap", "legendFormat": "{{le}}"}),
            _ => json!({"instant": instant, "range": !instant, "format": "time_series", "legendFormat": query.legend}),
        },
    );
    if query.exemplars {
        merge(&mut target, json!({"exemplar": true}));
    }
    target
}

/// A query with its placeholders replaced by selectors.
fn with_selectors(expr: &str) -> String {
    let expr = with_counters(&expr.split_whitespace().collect::<Vec<_>>().join(" "));
    SELECTORS.iter().fold(expr, |expr, (placeholder, selector)| expr.replace(placeholder, selector))
}

/// A query in which native counters are selected by both of their names.
fn with_counters(expr: &str) -> String {
    let mut parts = expr.split(COUNTER);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for rest in parts {
        let start = out.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map_or(0, |before| before + 1);
        let name = out.split_off(start);
        let pushed = name.split('_').filter(|word| *word != "total").chain(["total"]).collect::<Vec<_>>().join("_");
        out += &if pushed == name { format!("{name}{{{SELECTOR}") } else { format!(r#"{{__name__=~"{name}|{pushed}",{SELECTOR}"#) };
        out += rest;
    }
    out
}

/// Renders thresholds; the first one has no lower bound.
fn thresholds(steps: &[(f64, String)]) -> Value {
    let step = |(index, (from, color)): (usize, &(f64, String))| json!({"value": if index == 0 { Value::Null } else { json!(from) }, "color": color});
    let steps: Vec<Value> = match steps {
        [] => vec![json!({"value": null, "color": "blue"})],
        steps => steps.iter().enumerate().map(step).collect(),
    };
    json!({"mode": "absolute", "steps": steps})
}

/// Renders value mappings.
fn mappings(values: &std::collections::BTreeMap<String, (String, String)>) -> Vec<Value> {
    let mapping = |(index, (value, (text, color))): (usize, (&String, &(String, String)))| {
        (value.clone(), json!({"index": index, "text": text, "color": color}))
    };
    let options: Map<String, Value> = values.iter().enumerate().map(mapping).collect();
    if options.is_empty() { Vec::new() } else { vec![json!({"type": "value", "options": options})] }
}

/// Renders the field overrides: links, colors of series, and units, mappings and thresholds of table columns.
fn overrides(panel: &Panel) -> Vec<Value> {
    let mut overrides = Vec::new();
    if panel.queries.iter().any(|query| query.links_dashboard) {
        let link = json!([{"title": "Dashboard of this target", "url": DASHBOARD_URL, "targetBlank": false}]);
        let properties = json!([{"id": "links", "value": link}]);
        overrides.push(json!({"matcher": {"id": "byName", "options": DASHBOARD_HEADER}, "properties": properties}));
    }
    let color = |(name, color): (&String, &String)| {
        json!({
            "matcher": {"id": "byName", "options": name},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
        })
    };
    overrides.extend(panel.colors.iter().map(color));
    for query in panel.queries.iter().filter(|query| panel.kind == Kind::Table && !query.column.is_empty()) {
        let mut properties = vec![json!({"id": "unit", "value": query.unit})];
        if !query.mappings.is_empty() {
            properties.push(json!({"id": "mappings", "value": mappings(&query.mappings)}));
        }
        if !query.thresholds.is_empty() || !query.mappings.is_empty() {
            properties.push(json!({"id": "thresholds", "value": thresholds(&query.thresholds)}));
            properties.push(json!({"id": "custom.cellOptions", "value": {"type": "color-text"}}));
        }
        overrides.push(json!({"matcher": {"id": "byName", "options": query.column}, "properties": properties}));
    }
    overrides
}

/// Renders the transformations of a table: labels become columns, values get their headers, and rows with equal labels are merged.
fn transformations(panel: &Panel) -> Value {
    let header = |label: &str| label.trim_start_matches("mail_").replace('_', " ");
    let mut renamed = Map::new();
    for label in panel.queries.iter().flat_map(|query| grouping_labels(&query.expr)) {
        let name = match label.as_str() {
            "job" | SYSTEM => SYSTEM_HEADER.to_owned(),
            "instance" => "Target".to_owned(),
            label => header(label),
        };
        renamed.insert(label, name.into());
    }
    if panel.queries.iter().any(|query| query.links_dashboard) {
        renamed.insert(DASHBOARD.to_owned(), DASHBOARD_HEADER.into());
    }
    let mut excluded = Map::from_iter([("Time".to_owned(), Value::Bool(true))]);
    for (query, id) in panel.queries.iter().zip('A'..='Z') {
        let value = if panel.queries.len() == 1 { "Value".to_owned() } else { format!("Value #{id}") };
        match query.column.as_str() {
            "" => drop(excluded.insert(value, Value::Bool(true))),
            column => drop(renamed.insert(value, column.into())),
        }
    }
    json!([
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": excluded, "indexByName": {}, "renameByName": renamed}},
    ])
}

/// The labels of the first `by (...)` of a query.
fn grouping_labels(expr: &str) -> Vec<String> {
    let Some((_, rest)) = expr.split_once(" by (") else { return Vec::new() };
    let Some((labels, _)) = rest.split_once(')') else { return Vec::new() };
    labels.split(',').map(|label| label.trim().to_owned()).collect()
}

/// Adds the fields of `more` to an object.
pub fn merge(into: &mut Value, more: Value) {
    if let (Some(into), Value::Object(more)) = (into.as_object_mut(), more) {
        into.extend(more);
    }
}
