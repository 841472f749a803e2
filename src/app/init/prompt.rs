//! Questions on the terminal.

use crate::app::{AppError, print_notice};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _, stderr, stdin};

/// The longest line that is read.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Asks on the terminal, or names the flag that is missing if standard input is not a terminal.
pub(super) struct Prompt {
    is_terminal: bool,
}

impl Prompt {
    pub(super) fn on_terminal() -> Self {
        Self { is_terminal: stdin().is_terminal() }
    }

    /// Returns the value of a flag, or asks for it until the answer is valid.
    pub(super) fn valid<T>(
        &self,
        flag_value: Option<&str>,
        flag: &str,
        question: &str,
        parse: impl Fn(&str) -> Result<T, AppError>,
    ) -> Result<T, AppError> {
        if let Some(value) = flag_value {
            return parse(value);
        }
        loop {
            match parse(&self.required(flag, question)?) {
                Ok(value) => return Ok(value),
                Err(error) => print_notice(&error.to_string()),
            }
        }
    }

    /// Asks until the line is not empty.
    pub(super) fn required(&self, flag: &str, question: &str) -> Result<String, AppError> {
        if !self.is_terminal {
            return Err(AppError::Other(format!("{flag} is missing, and standard input is not a terminal to ask for it")));
        }
        loop {
            let line = read_line(question)?;
            if !line.is_empty() {
                return Ok(line);
            }
        }
    }

    /// Asks for a secret, which is not shown while it is typed.
    pub(super) fn secret(&self, flag: &str, question: &str) -> Result<String, AppError> {
        let _hidden = HiddenInput::start();
        let secret = self.required(flag, question);
        if self.is_terminal {
            // The line break that was typed is hidden, too.
            let _ = writeln!(stderr());
        }
        secret
    }
}

fn read_line(question: &str) -> Result<String, AppError> {
    let failed = |error: std::io::Error| AppError::Other(format!("cannot read the terminal: {error}"));
    let mut out = stderr();
    write!(out, "{question}: ").and_then(|()| out.flush()).map_err(failed)?;
    let mut line = String::new();
    let read = stdin().lock().take(LINE_BYTES_MAX).read_line(&mut line).map_err(failed)?;
    if read == 0 { Err(AppError::Other("standard input ended; nothing was written".to_owned())) } else { Ok(line.trim().to_owned()) }
}

/// The terminal does not show what is typed while this exists.
struct HiddenInput(Option<Termios>);

impl HiddenInput {
    fn start() -> Self {
        let before = tcgetattr(stdin()).ok();
        if let Some(before) = &before {
            let mut hidden = before.clone();
            hidden.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(stdin(), OptionalActions::Flush, &hidden);
        }
        Self(before)
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}
