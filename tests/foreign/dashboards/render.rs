//! A source as the JSON that Grafana provisions: layout, variables, links, and what all panels of a kind have in common.

use super::source::{Kind, Panel, Query, Source};
use serde_json::{Map, Value, json};

/// The version of Grafana's dashboard model; 42 is what 12.2 to 13 write.
pub const SCHEMA_VERSION: u64 = 42;
/// Columns of Grafana's grid.
pub const COLUMNS: u64 = 24;
/// Pushes come once a minute by default; with a step of a minute `$__rate_interval` is four, so that a rate has its two points.
const STEP_MIN: &str = "1m";

/// What is marked on all graphs.
const FIRING: &str = r#"ALERTS{alertstate="firing",alertname=~"(Mail|Postmeter).+",instance=~"$instance"}"#;
/// What an empty panel says, where its source says nothing better. In a table it would be said in each empty cell.
const NONE: &str = "Not reported by what is selected";

/// The label with the mail system in it, the header of its column, and where a cell of it leads.
const SYSTEM: &str = "mail_system_name";
const SYSTEM_HEADER: &str = "Mail system";
const SYSTEM_DASHBOARD: &str = "/d/postmeter-${__value.raw}?var-via=${via}&var-instance=${__data.fields.Target}&${__url_time_range}";

/// What `@` words in a query stand for.
const SELECTORS: &[(&str, &str)] = &[
    // The mail server's own words: only the pull has the names as they were said. Without a `via` label it was pulled, too.
    ("@pull", r#"job=~"$job",instance=~"$instance",via=~"pull|""#),
    // Postmeter's own metrics.
    ("@own", r#"job=~"$own",instance=~"$process",via="$via""#),
    // Logs of mail servers, as Loki maps their Resource.
    ("@logs", r#"service_name=~"$job",service_instance_id=~"$instance""#),
    // Canonical metrics.
    ("@", r#"job=~"$job",instance=~"$instance",via="$via""#),
];

/// The dashboard.
pub fn dashboard(source: &Source) -> Value {
    let mut panels = Vec::new();
    let (mut id, mut y) = (0, 0);
    let mut next = || {
        id += 1;
        id
    };
    for row in &source.rows {
        panels.push(json!({
            "id": next(), "type": "row", "title": row.title, "collapsed": false, "panels": [],
            "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
        }));
        y += 1;
        let (mut x, mut tallest) = (0, 0);
        for panel in &row.panels {
            let (width, height) = size(panel);
            if x + width > COLUMNS {
                (x, y, tallest) = (0, y + tallest, 0);
            }
            panels.push(self::panel(panel, next(), json!({"x": x, "y": y, "w": width, "h": height})));
            x += width;
            tallest = tallest.max(height);
        }
        y += tallest;
    }
    json!({
        "uid": source.uid,
        "title": source.title,
        "description": source.about,
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
            "name": "Alerts", "enable": true, "hide": false, "iconColor": "red", "datasource": prometheus(),
            "target": {"refId": "Alerts", "interval": STEP_MIN, "expr": FIRING},
            "titleFormat": "{{alertname}}", "textFormat": "{{job}} {{instance}}",
        }]},
        "templating": {"list": variables(source)},
        "panels": panels,
    })
}

fn size(panel: &Panel) -> (u64, u64) {
    let (width, height) = match panel.kind {
        Kind::Stat | Kind::Name => (4, 4),
        Kind::Table | Kind::Logs => (24, 9),
        _ => (12, 8),
    };
    (panel.width.unwrap_or(width), panel.height.unwrap_or(height))
}

fn prometheus() -> Value {
    json!({"type": "prometheus", "uid": "prometheus"})
}

fn variables(source: &Source) -> Vec<Value> {
    let query = |name: &str, label: &str, about: &str, query: String, more: Value| {
        let mut variable = json!({
            "name": name, "label": label, "description": about, "type": "query", "datasource": prometheus(),
            "query": {"qryType": 1, "query": query, "refId": name}, "definition": query,
            "refresh": 2, "sort": 1, "regex": "", "hide": 0, "options": [], "skipUrlSync": false,
        });
        merge(&mut variable, more);
        variable
    };
    let all = || json!({"includeAll": true, "multi": true, "current": {"selected": true, "text": ["All"], "value": ["$__all"]}});
    let system = source.system.as_ref().map(|system| format!(r#"{{mail_system_name="{system}"}}"#)).unwrap_or_default();
    let mut variables = vec![
        query(
            "via",
            "Way in",
            "Pulled by Prometheus, or pushed by OTLP. One at a time: both hold the same, and sums would double.",
            "label_values(mail_up, via)".to_owned(),
            json!({"includeAll": false, "multi": false, "current": {"selected": true, "text": "pull", "value": "pull"}}),
        ),
        query("job", "Mail system", "The mail systems.", format!("label_values(mail_up{system}, job)"), all()),
        query("instance", "Target", "The mail servers.", r#"label_values(mail_up{job=~"$job"}, instance)"#.to_owned(), all()),
    ];
    if source.own {
        let mut hidden = all();
        merge(&mut hidden, json!({"hide": 2}));
        variables.push(query("own", "", "What Postmeter calls itself.", "label_values(postmeter_build_info, job)".to_owned(), hidden));
        let processes = "label_values(postmeter_build_info, instance)".to_owned();
        variables.push(query("process", "Postmeter", "Postmeter's own processes.", processes, all()));
    }
    variables
}

fn panel(panel: &Panel, id: u64, place: Value) -> Value {
    let logs = panel.queries.iter().any(|query| query.expr.contains("@logs"));
    let datasource = if logs { json!({"type": "loki", "uid": "loki"}) } else { prometheus() };
    let (kind, custom, options) = look(panel);
    let targets: Vec<Value> = panel.queries.iter().zip('A'..='Z').map(|(query, id)| target(panel, query, id, &datasource)).collect();
    let mut defaults = json!({
        "unit": panel.unit,
        "color": {"mode": if matches!(panel.kind, Kind::Stat | Kind::Bars | Kind::States) { "thresholds" } else { "palette-classic" }},
        "custom": custom,
        "mappings": mappings(&panel.values),
        "thresholds": thresholds(&panel.steps),
    });
    let limits = [("min", panel.min.map(Value::from)), ("max", panel.max.map(Value::from)), ("decimals", panel.decimals.map(Value::from))];
    let none = panel.none.as_deref().or((panel.kind != Kind::Table).then_some(NONE));
    for (key, limit) in limits.into_iter().chain([("noValue", none.map(Value::from))]) {
        if let Some(limit) = limit {
            merge(&mut defaults, json!({key: limit}));
        }
    }
    let mut written = json!({
        "id": id, "type": kind, "title": panel.title, "description": panel.about, "gridPos": place,
        "datasource": datasource,
        "fieldConfig": {"defaults": defaults, "overrides": overrides(panel)},
        "options": options,
        "targets": targets,
    });
    if !logs {
        merge(&mut written, json!({"interval": STEP_MIN}));
    }
    if panel.kind == Kind::Table {
        merge(&mut written, json!({"transformations": transformations(panel)}));
    }
    written
}

/// Grafana's name of the panel, what is special in its fields, and its options.
fn look(panel: &Panel) -> (&'static str, Value, Value) {
    let last = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
    let legend = |calcs: &[&str]| json!({"calcs": calcs, "displayMode": "table", "placement": "bottom", "showLegend": true});
    match panel.kind {
        Kind::Series => (
            "timeseries",
            json!({
                "drawStyle": "line", "lineWidth": 1, "fillOpacity": if panel.stack { 40 } else { 8 }, "showPoints": "auto", "pointSize": 4,
                "spanNulls": false, "stacking": {"group": "A", "mode": if panel.stack { "normal" } else { "none" }},
                "thresholdsStyle": {"mode": if panel.steps.len() > 1 { "line" } else { "off" }},
            }),
            json!({"legend": legend(&["lastNotNull", "max"]), "tooltip": {"mode": "multi", "sort": "desc"}}),
        ),
        Kind::Stat | Kind::Name => (
            "stat",
            json!({}),
            json!({
                "colorMode": if panel.steps.len() > 1 || !panel.values.is_empty() { "background" } else { "value" },
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

fn target(panel: &Panel, query: &Query, id: char, datasource: &Value) -> Value {
    let instant = matches!(panel.kind, Kind::Table | Kind::Bars | Kind::Name);
    let mut target = json!({"refId": id.to_string(), "datasource": datasource, "expr": with_selectors(&query.expr), "editorMode": "code"});
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
    target
}

/// A query with what its `@` words stand for.
fn with_selectors(expr: &str) -> String {
    let expr = expr.split_whitespace().collect::<Vec<_>>().join(" ");
    SELECTORS.iter().fold(expr, |expr, (word, selector)| expr.replace(word, selector))
}

fn thresholds(steps: &[(f64, String)]) -> Value {
    let step =
        |(at, (from, color)): (usize, &(f64, String))| json!({"value": if at == 0 { Value::Null } else { json!(from) }, "color": color});
    let steps: Vec<Value> = match steps {
        [] => vec![json!({"value": null, "color": "blue"})],
        steps => steps.iter().enumerate().map(step).collect(),
    };
    json!({"mode": "absolute", "steps": steps})
}

fn mappings(values: &std::collections::BTreeMap<String, (String, String)>) -> Vec<Value> {
    let mapping = |(index, (value, (text, color))): (usize, (&String, &(String, String)))| {
        (value.clone(), json!({"index": index, "text": text, "color": color}))
    };
    let options: Map<String, Value> = values.iter().enumerate().map(mapping).collect();
    if options.is_empty() { Vec::new() } else { vec![json!({"type": "value", "options": options})] }
}

fn overrides(panel: &Panel) -> Vec<Value> {
    let mut overrides = Vec::new();
    if panel.queries.iter().any(|query| panel.kind == Kind::Table && labels_of_sum(&query.expr).iter().any(|label| label == SYSTEM)) {
        let link = json!([{"title": "Dashboard of this mail system", "url": SYSTEM_DASHBOARD, "targetBlank": false}]);
        let properties = json!([{"id": "links", "value": link}]);
        overrides.push(json!({"matcher": {"id": "byName", "options": SYSTEM_HEADER}, "properties": properties}));
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
        if !query.values.is_empty() {
            properties.push(json!({"id": "mappings", "value": mappings(&query.values)}));
        }
        if !query.steps.is_empty() || !query.values.is_empty() {
            properties.push(json!({"id": "thresholds", "value": thresholds(&query.steps)}));
            properties.push(json!({"id": "custom.cellOptions", "value": {"type": "color-text"}}));
        }
        overrides.push(json!({"matcher": {"id": "byName", "options": query.column}, "properties": properties}));
    }
    overrides
}

/// Labels become columns, values get their headers, and rows with the same labels become one.
fn transformations(panel: &Panel) -> Value {
    let header = |label: &str| label.trim_start_matches("mail_").replace('_', " ");
    let mut renamed = Map::new();
    for label in panel.queries.iter().flat_map(|query| labels_of_sum(&query.expr)) {
        let name = match label.as_str() {
            "job" | SYSTEM => SYSTEM_HEADER.to_owned(),
            "instance" => "Target".to_owned(),
            label => header(label),
        };
        renamed.insert(label, name.into());
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

/// What the outermost `by (...)` of a query names.
fn labels_of_sum(expr: &str) -> Vec<String> {
    let Some((_, rest)) = expr.split_once(" by (") else { return Vec::new() };
    let Some((labels, _)) = rest.split_once(')') else { return Vec::new() };
    labels.split(',').map(|label| label.trim().to_owned()).collect()
}

fn merge(into: &mut Value, more: Value) {
    if let (Some(into), Value::Object(more)) = (into.as_object_mut(), more) {
        into.extend(more);
    }
}
