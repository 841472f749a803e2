//! `postmeter run` as a child process, with its log and its pull endpoint.

use super::process_memory::status_kib;
use super::{Described, postmeter, wait_until, wait_until_blocking};
use parking_lot::Mutex;
pub use rustix::process::Signal;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, kill_process, prlimit};
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Limit of a wait for the start or the end of a process.
const PROCESS_LIMIT: Duration = Duration::from_secs(60);

/// A running process. It is killed when this is dropped.
pub struct Program {
    child: Child,
    log: Arc<Log>,
    reader: Option<std::thread::JoinHandle<Lines<BufReader<ChildStderr>>>>,
    /// Lines that [`Self::wait_for_line`] has passed.
    passed: usize,
}

/// The lines of standard error that were read.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    is_ignored: AtomicBool,
}

impl Program {
    /// Starts `postmeter run` with this configuration file.
    pub fn spawn(config_file: &Path, flags: &[&str]) -> Self {
        Self::spawn_command(postmeter(), config_file, flags)
    }

    /// Starts `postmeter run` by a command that has its environment.
    pub fn spawn_command(mut command: Command, config_file: &Path, flags: &[&str]) -> Self {
        command.args(["run", "--config"]).arg(config_file).args(flags).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stderr, log) = (child.stderr.take().unwrap(), Arc::<Log>::default());
        let read = log.clone();
        let reader = std::thread::spawn(move || {
            let mut lines = BufReader::new(stderr).lines();
            while !read.is_ignored.load(Ordering::SeqCst)
                && let Some(Ok(line)) = lines.next()
            {
                read.lines.lock().push(line);
            }
            // The open pipe is returned: a closed one would be another fault.
            lines
        });
        Self { child, log, reader: Some(reader), passed: 0 }
    }

    /// Writes the configuration to `postmeter.yaml` in this directory and starts `postmeter run` with it.
    pub fn spawn_with(directory: &Path, config: &str, flags: &[&str]) -> Self {
        let file = directory.join("postmeter.yaml");
        std::fs::write(&file, config).unwrap();
        Self::spawn(&file, flags)
    }

    /// The URL of the pull endpoint without a path, once the log has it.
    pub async fn base_url(&mut self) -> String {
        self.logged_url("pull", "/metrics").await
    }

    /// The URL of the listener for delivery records without a path, once the log has it.
    pub async fn receive_url(&mut self) -> String {
        self.logged_url("receive", "/v1/deliveries").await
    }

    async fn logged_url(&mut self, key: &str, path: &str) -> String {
        let mut url = None;
        let child = &mut self.child;
        let log = &self.log;
        let begins = format!("{key}=\"");
        wait_until(
            || {
                let lines = log.lines.lock();
                url = lines.iter().find_map(|line| Some(line.split_once(&begins)?.1.split_once(path)?.0.to_owned()));
                assert!(url.is_some() || child.try_wait().unwrap().is_none(), "the process ended before it listened: {lines:?}");
                url.is_some()
            },
            PROCESS_LIMIT,
            "the log has the URL of the listener",
        )
        .await;
        url.unwrap()
    }

    /// The lines of the log so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lines.lock().clone()
    }

    /// True if a line of the log contains this text.
    pub fn has_logged(&self, text: &str) -> bool {
        self.log.lines.lock().iter().any(|line| line.contains(text))
    }

    /// Waits for a line with this text after those of previous calls.
    #[track_caller]
    pub fn wait_for_line(&mut self, text: &str) -> String {
        let (log, passed) = (self.log.clone(), self.passed);
        let position = || log.lines.lock().iter().skip(passed).position(|line| line.contains(text));
        let what = Described(|| format!("the log has {text}: {:#?}", log.lines.lock()));
        wait_until_blocking(|| position().is_some(), PROCESS_LIMIT, what);
        self.passed += position().unwrap() + 1;
        log.lines.lock()[self.passed - 1].clone()
    }

    /// Stops reading the log after its next line. The pipe stays open.
    pub fn ignore_log(&self) {
        self.log.is_ignored.store(true, Ordering::SeqCst);
    }

    /// The largest resident memory so far, in KiB.
    pub fn peak_kib(&self) -> u64 {
        status_kib(self.child.id(), "VmHWM")
    }

    /// The resident memory at this time, in KiB.
    pub fn resident_kib(&self) -> u64 {
        status_kib(self.child.id(), "VmRSS")
    }

    /// Sets the limit of open files. Files that are open stay open.
    pub fn limit_open_files(&self, files: Option<u64>) {
        self.limit(Resource::Nofile, files);
    }

    /// Sets the limit of the size of files, which simulates a full disk.
    pub fn limit_file_bytes(&self, bytes: Option<u64>) {
        self.limit(Resource::Fsize, bytes);
    }

    fn limit(&self, resource: Resource, limit: Option<u64>) {
        let unchanged = getrlimit(resource);
        let limit = Rlimit { current: limit.or(unchanged.maximum), maximum: unchanged.maximum };
        prlimit(Some(Pid::from_child(&self.child)), resource, limit).unwrap();
    }

    /// Sends a signal.
    pub fn signal(&self, name: Signal) {
        signal(&self.child, name);
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// The exit status, if the process has ended.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Sends SIGTERM, waits for the end, which must be in order, and returns the log.
    pub fn end(mut self) -> Vec<String> {
        self.terminate();
        wait_until_blocking(|| self.exit_status().is_some(), PROCESS_LIMIT, "the process ends after SIGTERM");
        self.join();
        let status = self.exit_status().unwrap();
        assert!(status.success(), "{status}: {:#?}", self.log());
        self.log()
    }

    /// Sends SIGKILL and returns the log. The process has ended when this returns.
    pub fn kill(mut self) -> Vec<String> {
        self.stop();
        self.log()
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.join();
    }

    fn join(&mut self) {
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

/// Sends a signal to a process that has not been waited for.
pub fn signal(process: &Child, name: Signal) {
    kill_process(Pid::from_child(process), name).unwrap();
}

/// A foreign process that is killed when this is dropped, also by a failed assertion.
pub struct KilledOnDrop(pub Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
