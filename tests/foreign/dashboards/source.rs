//! The sources of the dashboards, `grafana/source/*.yaml`, as types: what is on them, in the order of the page.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Where sources, dashboards and provisioning live.
pub const GRAFANA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/grafana");
/// Panels that several dashboards use.
const SHARED: &str = "shared.yaml";

/// A dashboard.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub uid: String,
    pub title: String,
    pub about: String,
    /// The one mail system that it is about; all of them if left out.
    pub system: Option<String>,
    /// It has panels about Postmeter's own processes.
    #[serde(default)]
    pub own: bool,
    pub rows: Vec<Row>,
}

/// A row of panels under a title.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub title: String,
    pub panels: Vec<Panel>,
}

/// A panel, or with `use` one of the shared ones, in which what is said here replaces what is said there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Panel {
    #[serde(rename = "use")]
    pub shared: Option<String>,
    pub title: String,
    pub about: String,
    pub kind: Kind,
    /// Columns of 24.
    pub width: Option<u64>,
    pub height: Option<u64>,
    pub unit: String,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub decimals: Option<u8>,
    pub stack: bool,
    /// Lower bounds and colours; the first counts from below.
    pub steps: Vec<(f64, String)>,
    /// What a value is called, and its colour.
    pub values: BTreeMap<String, (String, String)>,
    /// Colours of series by their legend.
    pub colors: BTreeMap<String, String>,
    /// What is said when there is nothing.
    pub none: Option<String>,
    pub queries: Vec<Query>,
}

/// How it is drawn.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Series,
    Stat,
    /// A stat whose text is the name of the series.
    Name,
    Bars,
    States,
    Heatmap,
    Table,
    Logs,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Query {
    pub expr: String,
    pub legend: String,
    /// The header of its values in a table.
    pub column: String,
    /// The unit of that column.
    pub unit: String,
    /// What its values are called, as of a panel.
    pub values: BTreeMap<String, (String, String)>,
    pub steps: Vec<(f64, String)>,
}

/// All dashboards, by the names of their files, with shared panels in their places.
pub fn all() -> Vec<(String, Source)> {
    let folder = Path::new(GRAFANA).join("source");
    let shared: BTreeMap<String, Panel> = read(&folder.join(SHARED));
    let mut used: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    for path in crate::support::files(&folder) {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if !path.ends_with(SHARED) {
            let mut source: Source = read(&path);
            for panel in source.rows.iter_mut().flat_map(|row| &mut row.panels) {
                if let Some(key) = panel.shared.take() {
                    let (key, template) = shared.get_key_value(&key).unwrap_or_else(|| panic!("{name}: no shared panel {key}"));
                    used.push(key);
                    *panel = panel.over(template);
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
    fn over(&self, template: &Self) -> Self {
        let mut panel = template.clone();
        panel.width = self.width.or(panel.width);
        panel.height = self.height.or(panel.height);
        for (mine, theirs) in [(&self.title, &mut panel.title), (&self.about, &mut panel.about)] {
            if !mine.is_empty() {
                theirs.clone_from(mine);
            }
        }
        panel
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
