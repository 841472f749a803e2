//! The pull endpoint of a running program, and the series on its pages.

use crate::faults::PATIENCE;
use crate::support::program::Program;
use crate::support::{Described, http_client, install_crypto_provider, wait_until_async};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::Path;

/// A program and a client for its pull endpoint.
pub struct Scraper {
    program: Program,
    http: reqwest::Client,
    url: String,
}

impl Scraper {
    /// Starts `postmeter run` with this configuration. `authorization` is the header of every request.
    pub async fn start(directory: &Path, config: &str, flags: &[&str], authorization: Option<&str>) -> Self {
        install_crypto_provider();
        let headers = authorization.map(|value| (reqwest::header::AUTHORIZATION, value.parse().unwrap())).into_iter().collect();
        let http = reqwest::Client::builder().no_proxy().default_headers(headers).build().unwrap();
        let mut program = Program::spawn_with(directory, config, flags);
        let url = program.base_url().await;
        Self { program, http, url }
    }

    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The address of the pull endpoint.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// The body of a response.
    pub async fn get(&self, path: &str) -> String {
        self.http.get(format!("{}{path}", self.url)).send().await.unwrap().text().await.unwrap()
    }

    /// The status of a response to a request without a credential.
    pub async fn anonymous_status(&self, path: &str) -> u16 {
        let http = http_client();
        http.get(format!("{}{path}", self.url)).send().await.unwrap().status().as_u16()
    }

    /// Scrapes until a condition holds, and returns that page.
    pub async fn wait_for(&self, what: &str, condition: impl Fn(&MetricsPage) -> bool) -> MetricsPage {
        let (page, condition) = (Mutex::new(MetricsPage::default()), &condition);
        let what = Described(|| format!("{what}; {:?} {:#?}", page.lock().of("bad-0", "mail_"), self.program.log()));
        let scrape = || async {
            let scraped = MetricsPage(self.get("/metrics").await);
            let is_met = condition(&scraped);
            *page.lock() = scraped;
            is_met
        };
        wait_until_async(scrape, PATIENCE, what).await;
        page.into_inner()
    }

    /// The native series of a target that is probed separately.
    pub async fn probe(&self, target: &str) -> BTreeSet<String> {
        native_lines(&self.get(&format!("/probe?target={target}")).await, |line| Some(line.to_owned()))
    }

    /// Kills the program and returns its log.
    pub fn kill(self) -> Vec<String> {
        self.program.kill()
    }

    /// Ends the program in order and returns its log.
    pub fn end(self) -> Vec<String> {
        self.program.end()
    }
}

/// A page of `/metrics`.
#[derive(Default)]
pub struct MetricsPage(String);

/// The lines of native series, mapped by a function.
fn native_lines(page: &str, map: impl Fn(&str) -> Option<String>) -> BTreeSet<String> {
    let is_native = |line: &&str| !line.starts_with('#') && !line.contains("mail_system_name=\"") && !line.starts_with("target_info{");
    page.lines().filter(is_native).filter_map(map).collect()
}

impl MetricsPage {
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The native series of a target without the labels of the target, as [`Scraper::probe`] returns them.
    pub fn natives(&self, target: &str, system: &str) -> BTreeSet<String> {
        let identity = format!("instance=\"{target}\",job=\"{system}\"}}");
        native_lines(&self.0, |line| {
            let (series, value) = line.split_once(&identity)?;
            Some(match series.strip_suffix('{') {
                Some(name) => format!("{name}{value}"),
                None => format!("{}}}{value}", series.strip_suffix(',')?),
            })
        })
    }

    /// The series of a target whose names start with `name`, without the target's label, and their values.
    pub fn of(&self, target: &str, name: &str) -> Vec<(String, f64)> {
        let instance = format!("instance=\"{target}\",");
        let lines = self.0.lines().filter(|line| line.starts_with(name) && line.contains(&instance));
        lines
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(series, value)| (series.replace(&instance, ""), value.parse().unwrap()))
            .collect()
    }

    /// The value of `mail_up` of a target.
    pub fn up(&self, target: &str) -> Option<f64> {
        self.of(target, "mail_up{").first().map(|(_, value)| *value)
    }

    /// The values of a label of a target's series.
    pub fn labels(&self, target: &str, name: &str, label: &str) -> Vec<String> {
        let value = |(series, _): (String, f64)| Some(series.split_once(&format!("{label}=\""))?.1.split_once('"')?.0.to_owned());
        self.of(target, name).into_iter().filter_map(value).collect()
    }
}
