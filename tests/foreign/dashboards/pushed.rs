//! Runs the queries of all panels on mail servers against a Prometheus into which Postmeter only pushes: canonical and native panels have
//! data there, too, although an OTLP receiver changes the names of native counters.

use super::queries::{Api, DATA_ON_FAILURE, PanelQuery, fill_in, panel_query};
use super::{dashboards, panels, targets, text};
use crate::stack::needed;
use crate::stack::programs::{PROMETHEUS, Running, free_ports};
use crate::support::names::vocabulary;
use crate::support::{http_client, install_crypto_provider, start_service};
use postmeter::simulate::{Options, SimulatedServer, System};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

/// The systems with a dashboard.
const SYSTEMS: [System; 5] = [System::Ceymail, System::Cpanel, System::Emailengine, System::Kumomta, System::Stalwart];
/// Panels that have data only in Prometheus itself, or only after many deliveries.
const SKIPPED: &[(&str, &str)] = &[("Alerts", "this Prometheus has no rules")];

#[tokio::test(flavor = "multi_thread")]
async fn pushed_series_are_on_all_panels_of_mail_servers() {
    let Some([prometheus]) = needed("pushed_series_are_on_all_panels_of_mail_servers", [&PROMETHEUS]) else { return };
    install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    let [web] = free_ports();
    let url = format!("http://127.0.0.1:{web}");
    let prometheus_config = "global: {scrape_interval: 1s}\notlp: {promote_resource_attributes: [via]}\n";
    let running = Running::prometheus(&prometheus, folder.path(), prometheus_config, web, &[]);
    let (mut servers, mut list) = (Vec::new(), String::new());
    for system in SYSTEMS {
        let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let server = SimulatedServer::start(system, any, Options::default()).await.unwrap();
        let delivery_log = if system == System::Cpanel { "messages: {since: 1h, interval: 1s}, " } else { "" };
        let keys = system.credential_keys() + &system.parts_key(delivery_log) + system.demo_keys();
        list += &format!("  - {{name: pushed-{0}, system: {0}, url: \"{1}\", {keys}}}\n", system.name(), server.url());
        servers.push(server);
    }
    let config = format!(
        "state_dir: {}\ndefaults: {{min_interval: 1s, resource: {{via: otlp}}}}\ntargets:\n{list}export:\n  prometheus: false\n  \
         otlp: {{endpoint: \"{url}/api/v1/otlp/v1/metrics\", protocol: http/protobuf, interval: 1s, retry: {{initial: 100ms}}}}\n",
        folder.path().display()
    );
    let service = start_service(&config).await;

    let api = Api { client: http_client(), url: format!("{url}/api/v1") };
    let mut queries = panel_queries();
    api.run_until_data(&mut queries, || running.check()).await;
    service.stop().await;
    for server in servers {
        server.shutdown().await;
    }
    let failed: Vec<_> = queries.iter().filter_map(|query| Some((query, query.result.as_ref().err()?))).collect();
    let lines = failed.iter().map(|(query, error)| format!("{}, {}: {error}\n    {}", query.dashboard, query.panel, query.expr));
    assert!(failed.is_empty(), "{} of {} queries:\n{}", failed.len(), queries.len(), lines.collect::<Vec<_>>().join("\n"));
}

/// The queries on metrics of mail servers, as for a reader who selects `otlp`.
fn panel_queries() -> Vec<PanelQuery> {
    let vocabulary: BTreeSet<String> = vocabulary().into_keys().collect();
    let mut queries = Vec::new();
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard).into_iter().filter(|panel| panel["datasource"]["type"] == "prometheus") {
            let title = text(panel, "title");
            if DATA_ON_FAILURE.iter().chain(SKIPPED).any(|(skipped, _)| *skipped == title) {
                continue;
            }
            for target in targets(panel).iter().filter(|target| !text(target, "expr").contains("$own")) {
                queries
                    .push(panel_query(&name, title, target, &vocabulary, |template| fill_in(template, &name, "otlp", "(pushed-.+)", "")));
            }
        }
    }
    assert!(queries.iter().filter(|query| query.native).count() > 50, "native panels");
    queries
}
