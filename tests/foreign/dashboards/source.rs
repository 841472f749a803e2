//! The format of the dashboard sources, `grafana/source/*.yaml`.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The directory of sources, dashboards and provisioning.
pub const GRAFANA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/grafana");
/// The file of panels that several dashboards share.
const SHARED: &str = "shared.yaml";

/// A dashboard.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub uid: String,
    pub title: String,
    pub description: String,
    /// The mail system that the dashboard shows; all systems by default.
    pub system: Option<String>,
    /// `true` if panels read self-metrics of Postmeter.
    #[serde(default)]
    pub self_metrics: bool,
    pub rows: Vec<Row>,
}

/// A row of panels under a title.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub title: String,
    pub panels: Vec<Panel>,
}

/// A panel, or with `use` a reference to a shared panel; fields that are set here override those of the shared panel.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Panel {
    #[serde(rename = "use")]
    pub shared: Option<String>,
    pub title: String,
    pub description: String,
    pub kind: Kind,
    /// The number of grid columns, of 24.
    pub width: Option<u64>,
    pub height: Option<u64>,
    pub unit: String,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub decimals: Option<u8>,
    pub stack: bool,
    /// Lower bounds and colors; the first bound is ignored.
    pub thresholds: Vec<(f64, String)>,
    /// Text and color by value.
    pub mappings: BTreeMap<String, (String, String)>,
    /// Colors of series, by legend.
    pub colors: BTreeMap<String, String>,
    /// The text of the empty panel.
    pub no_data: Option<String>,
    pub queries: Vec<Query>,
}

/// The visualization of a panel.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Series,
    Stat,
    /// A stat that shows the name of the series.
    Name,
    Bars,
    States,
    Heatmap,
    Table,
    Logs,
}

/// A query of a panel.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Query {
    pub expr: String,
    pub legend: String,
    /// Show exemplars: single messages behind the distribution.
    pub exemplars: bool,
    /// Add a column in a table that links to the dashboard of the mail system, for a query by `mail_system_name` and `instance`.
    pub links_dashboard: bool,
    /// The header of its column in a table.
    pub column: String,
    /// The unit of its column in a table.
    pub unit: String,
    /// Text and color by value, in a table.
    pub mappings: BTreeMap<String, (String, String)>,
    /// Lower bounds and colors, in a table.
    pub thresholds: Vec<(f64, String)>,
}

/// All dashboards with the names of their files; references to shared panels are resolved.
pub fn all() -> Vec<(String, Source)> {
    let directory = Path::new(GRAFANA).join("source");
    let shared: BTreeMap<String, Panel> = read(&directory.join(SHARED));
    let mut used: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    for path in crate::support::files(&directory) {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if !path.ends_with(SHARED) {
            let mut source: Source = read(&path);
            for panel in source.rows.iter_mut().flat_map(|row| &mut row.panels) {
                if let Some(key) = panel.shared.take() {
                    let (key, template) = shared.get_key_value(&key).unwrap_or_else(|| panic!("{name}: no shared panel {key}"));
                    used.push(key);
                    *panel = panel.override_shared(template);
                }
            }
            found.push((name, source));
        }
    }
    let unused: Vec<_> = shared.keys().filter(|key| !used.contains(&key.as_str())).collect();
    assert!(unused.is_empty(), "no dashboard uses {unused:?}");
    found
}

impl Panel {
    /// The shared panel with the fields that are set in `self`.
    fn override_shared(&self, template: &Self) -> Self {
        let mut panel = template.clone();
        panel.width = self.width.or(panel.width);
        panel.height = self.height.or(panel.height);
        for (own, shared) in [(&self.title, &mut panel.title), (&self.description, &mut panel.description)] {
            if !own.is_empty() {
                shared.clone_from(own);
            }
        }
        if !self.queries.is_empty() {
            panel.queries.clone_from(&self.queries);
        }
        panel
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
