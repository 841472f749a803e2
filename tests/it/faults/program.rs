//! The program as a child, its page and its log.

use crate::faults::PATIENCE;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The pause between two scrapes.
const SCRAPE_PAUSE: Duration = Duration::from_millis(300);

pub struct Program {
    child: Child,
    url: String,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    http: reqwest::Client,
}

impl Program {
    /// `postmeter run` with this configuration.
    pub async fn start(files: &Path, config: &str) -> Self {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let file = files.join("postmeter.yaml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_postmeter"));
        let mut child =
            command.env_clear().arg("run").arg("--config").arg(&file).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (stderr, log) = (child.stderr.take().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let lines = log.clone();
        let reader = std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| lines.lock().unwrap().push(line));
        });
        let mut program = Self { child, url: String::new(), log, reader: Some(reader), http };
        let began = Instant::now();
        while program.url.is_empty() {
            assert!(began.elapsed() < PATIENCE && program.child.try_wait().unwrap().is_none(), "{:?}", program.log.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(5)).await;
            let pull = |line: &String| Some(line.split_once("pull=\"")?.1.split_once('"')?.0.to_owned());
            program.url = program.log.lock().unwrap().iter().find_map(pull).unwrap_or_default();
        }
        program
    }

    /// Scrapes until it is so.
    pub async fn until(&self, what: &str, so: impl Fn(&Page) -> bool) -> Page {
        let began = Instant::now();
        loop {
            let page = Page(self.http.get(&self.url).send().await.unwrap().text().await.unwrap());
            if so(&page) {
                return page;
            }
            let of_one = || page.of("bad-0", "mail_");
            assert!(began.elapsed() < PATIENCE, "waited in vain: {what}; {:?} {:#?}", of_one(), self.log.lock().unwrap());
            tokio::time::sleep(SCRAPE_PAUSE).await;
        }
    }

    /// The native series of a target that is scraped by itself.
    pub async fn alone(&self, target: &str) -> BTreeSet<String> {
        let url = self.url.replace("/metrics", &format!("/probe?target={target}"));
        natives(&self.http.get(&url).send().await.unwrap().text().await.unwrap(), |line| Some(line.to_owned()))
    }

    /// The most memory that it ever had, in KiB.
    pub fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Its log, when it has ended.
    pub fn end(mut self) -> Vec<String> {
        self.stop();
        std::mem::take(&mut self.log.lock().unwrap())
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stop();
    }
}

/// `/metrics`.
pub struct Page(String);

/// The lines of series that are not ours.
fn natives(page: &str, of: impl Fn(&str) -> Option<String>) -> BTreeSet<String> {
    let theirs = |line: &&str| !line.starts_with('#') && !line.contains("mail_system_name=\"") && !line.starts_with("target_info{");
    page.lines().filter(theirs).filter_map(of).collect()
}

impl Page {
    /// The native series of a target, as they are where it is scraped by itself.
    pub fn natives(&self, target: &str, system: &str) -> BTreeSet<String> {
        let identity = format!("instance=\"{target}\",job=\"{system}\"}}");
        natives(&self.0, |line| {
            let (series, value) = line.split_once(&identity)?;
            Some(match series.strip_suffix('{') {
                Some(name) => format!("{name}{value}"),
                None => format!("{}}}{value}", series.strip_suffix(',')?),
            })
        })
    }

    /// The series of a target whose names begin so, without the target's name, and their values.
    pub fn of(&self, target: &str, name: &str) -> Vec<(String, f64)> {
        let instance = format!("instance=\"{target}\",");
        let lines = self.0.lines().filter(|line| line.starts_with(name) && line.contains(&instance));
        lines
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(series, value)| (series.replace(&instance, ""), value.parse().unwrap()))
            .collect()
    }

    pub fn up(&self, target: &str) -> Option<f64> {
        self.of(target, "mail_up{").first().map(|(_, value)| *value)
    }

    /// The values of a label.
    pub fn labels(&self, target: &str, name: &str, label: &str) -> Vec<String> {
        let value = |(series, _): (String, f64)| Some(series.split_once(&format!("{label}=\""))?.1.split_once('"')?.0.to_owned());
        self.of(target, name).into_iter().filter_map(value).collect()
    }
}
