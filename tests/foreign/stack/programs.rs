//! The real programs: where they are, what they say, and their end.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A program by its variable, or by its names on PATH.
pub struct Program {
    pub variable: &'static str,
    pub names: &'static [&'static str],
    /// What its `--version` must contain.
    pub version: &'static str,
}

pub const COLLECTOR: Program =
    Program { variable: "POSTMETER_COLLECTOR", names: &["otelcol-contrib", "otelcol-postmeter"], version: " version " };
pub const PROMETHEUS: Program = Program { variable: "POSTMETER_PROMETHEUS", names: &["prometheus"], version: "version 3." };
pub const PROMTOOL: Program = Program { variable: "POSTMETER_PROMTOOL", names: &["promtool"], version: "version 3." };

impl Program {
    /// Where it is, or why it is of no use.
    pub fn find(&self) -> Result<PathBuf, String> {
        let named = std::env::var_os(self.variable).map(PathBuf::from);
        let candidates = named.into_iter().chain(self.names.iter().map(PathBuf::from));
        let mut why = format!("{} names no program, and there is no {}", self.variable, self.names[0]);
        for candidate in candidates {
            let Ok(output) = Command::new(&candidate).arg("--version").output() else { continue };
            let said = said(&output);
            if said.contains(self.version) {
                return Ok(candidate);
            }
            let line = said.lines().next().unwrap_or_default();
            why = format!("{} is not the one that the files are for: {line}", candidate.display());
        }
        Err(why)
    }
}

pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A program that runs, and ends with the test. What it says is in a file.
pub struct Running {
    child: Child,
    name: &'static str,
    log: PathBuf,
}

impl Running {
    pub fn start(name: &'static str, folder: &Path, command: &mut Command) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file = std::fs::File::create(&log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Self { child, name, log }
    }

    /// Panics with what it said, if it has ended.
    pub fn check(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("{} ended with {status}:\n{}", self.name, self.log());
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ports that nobody has: of programs that cannot say which one they were given.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
