//! The allocator of the test: the Target Allocator with a simulated Kubernetes API, or a simulated allocator.

use super::kubernetes::KubernetesApi;
use crate::stack::programs::{Running, free_ports};
use postmeter::simulate::{Options, SimulatedServer, System};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

pub enum Allocator {
    /// The Target Allocator.
    Real { program: Running, kubernetes: KubernetesApi, url: String, _folder: TempDir },
    /// One server for the list of each instance, and the groups of all targets.
    Simulated { lists: BTreeMap<&'static str, SimulatedServer>, groups: Vec<String> },
}

impl Allocator {
    /// Starts an allocator for targets (their names and addresses) and instances.
    pub async fn start(program: Option<PathBuf>, targets: &[(String, String)], pods: &[&'static str]) -> Self {
        match program {
            Some(program) => Self::start_real(program, targets, pods).await,
            None => {
                let group = |(name, address): &(String, String)| {
                    let own = format!(r#""__postmeter_system": "kumomta", "__postmeter_name": "{name}""#);
                    let others =
                        format!(r#""__address__": "{address}", "__scheme__": "http", "__metrics_path__": "/metrics", "job": "mail""#);
                    format!(r#"{{"targets": ["{address}"], "labels": {{{own}, {others}}}}}"#)
                };
                let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
                let mut lists = BTreeMap::new();
                for pod in pods {
                    lists.insert(*pod, SimulatedServer::start(System::Ceymail, any, Options::default()).await.unwrap());
                }
                let allocator = Self::Simulated { lists, groups: targets.iter().map(group).collect() };
                allocator.allocate();
                allocator
            }
        }
    }

    async fn start_real(program: PathBuf, targets: &[(String, String)], pods: &[&'static str]) -> Self {
        let kubernetes = KubernetesApi::start(pods).await;
        let folder = tempfile::tempdir().unwrap();
        let [port] = free_ports();
        let mut config = "collector_namespace: mail\n\
             collector_selector: {matchlabels: {app.kubernetes.io/name: postmeter}}\n\
             allocation_strategy: consistent-hashing\n\
             config:\n  scrape_configs:\n  - job_name: mail\n    static_configs:\n"
            .to_owned();
        for (name, address) in targets {
            writeln!(config, "    - {{targets: [\"{address}\"], labels: {{__postmeter_system: kumomta, __postmeter_name: {name}}}}}")
                .unwrap();
        }
        std::fs::write(folder.path().join("allocator.yaml"), config).unwrap();
        std::fs::write(folder.path().join("kubeconfig"), kubernetes.kubeconfig()).unwrap();
        let mut command = Command::new(program);
        command
            .env_clear()
            .arg(format!("--config-file={}", folder.path().join("allocator.yaml").display()))
            .arg(format!("--kubeconfig-path={}", folder.path().join("kubeconfig").display()))
            .arg(format!("--listen-addr=127.0.0.1:{port}"));
        let program = Running::start("allocator", folder.path(), &mut command);
        Self::Real { program, kubernetes, url: format!("http://127.0.0.1:{port}"), _folder: folder }
    }

    /// The URL of the list of an instance.
    pub fn url(&self, pod: &str) -> String {
        let url = match self {
            Self::Real { url, .. } => url.clone(),
            Self::Simulated { lists, .. } => lists[pod].url(),
        };
        format!("{url}/jobs/mail/targets?collector_id={pod}")
    }

    /// Removes an instance.
    pub fn remove(&mut self, pod: &'static str) {
        match self {
            Self::Real { kubernetes, .. } => kubernetes.remove(pod),
            Self::Simulated { lists, .. } => drop(lists.remove(pod)),
        }
        self.allocate();
    }

    /// Distributes the targets among the instances of a simulated allocator.
    fn allocate(&self) {
        let Self::Simulated { lists, groups } = self else { return };
        for (index, list) in lists.values().enumerate() {
            let of_list: Vec<&str> = groups.iter().skip(index).step_by(lists.len()).map(String::as_str).collect();
            list.respond_with(Some((200, format!("[{}]", of_list.join(",")))));
        }
    }

    pub fn log(&self) -> String {
        match self {
            Self::Real { program, .. } => {
                program.check();
                program.log()
            }
            Self::Simulated { .. } => "the allocator is simulated".to_owned(),
        }
    }
}
