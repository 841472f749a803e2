//! `postmeter init`: writes a first configuration file, from flags or from answers on the terminal, after one successful poll.

mod file;
mod prompt;

use super::cli::InitArgs;
use super::{AppError, connect, print, print_notice};
use crate::config::{CommandLineTarget, Environment, command_line_target, is_target_name, suggestion};
use crate::net::PRIVATE_FILE_MODE;
use crate::source::{SOURCES, Source};
use file::{FirstTarget, SecretValue};
use prompt::Prompt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The mode of a file without credentials, which the user of a container or a service reads.
const PUBLIC_FILE_MODE: u32 = 0o644;

pub(super) async fn init(args: InitArgs) -> Result<(), AppError> {
    if let Some(name) = args.name.as_ref().filter(|name| !is_target_name(name)) {
        return Err(AppError::Other(format!("--name: {name:?} is not a valid name; use letters, digits, '.', '_' and '-'")));
    }
    if args.print {
        let target = target_of_flags(&args)?;
        target.check()?;
        return print(&target.yaml());
    }
    if args.output.exists() {
        return Err(AppError::Other(format!("{} exists already; remove it, or name another file with --output", args.output.display())));
    }
    let target = complete(&args, &Prompt::on_terminal())?;
    let (polled, warnings) = command_line_target(target.command_line(), &Environment::of_process())?;
    for warning in warnings {
        print_notice(&format!("warning: {warning}"));
    }
    let address = connect::host_and_port(&polled.url);
    match connect::poll_once(polled).await {
        Ok(result) => print(&format!("{address}: {result}\n"))?,
        Err(error) => return Err(AppError::Other(format!("{address}: {error}; nothing was written"))),
    }
    let (path, mode) = (args.output.display(), if target.has_plain_secret() { PRIVATE_FILE_MODE } else { PUBLIC_FILE_MODE });
    write(&args.output, &target.yaml(), mode)?;
    if mode == PRIVATE_FILE_MODE {
        print_notice(&format!("note: {path} contains a credential, so only you can read it; let the user of Postmeter read it with chown"));
    }
    print(&format!("wrote {path}\nnext: postmeter run --config {path}\nthen: http://localhost:9464/\n"))
}

/// Creates the file. An existing one is not replaced.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), AppError> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| AppError::Other(format!("cannot write {}: {error}", path.display())))
}

/// Returns the target that the flags describe. Secrets that they do not name are references to environment variables.
fn target_of_flags(args: &InitArgs) -> Result<FirstTarget, AppError> {
    let (Some(system), Some(url)) = (&args.system, &args.url) else {
        return Err(AppError::Usage("--print needs --system and --url"));
    };
    let source = built_in_system(system)?;
    let mut target = FirstTarget::new(source, url.clone(), args.name.clone());
    target.username = args.username.clone();
    target.set_files(args.password_file.as_deref(), args.token_file.as_deref());
    target.refer_to_variables();
    Ok(target)
}

/// Returns the built-in mail system of this name.
fn built_in_system(name: &str) -> Result<&'static Source, AppError> {
    let names = || SOURCES.iter().map(|source| source.name).collect::<Vec<_>>();
    let found = SOURCES.iter().copied().find(|source| source.name == name);
    found.ok_or_else(|| AppError::Other(format!("--system: unknown mail system {name:?}; {}", suggestion(name, &names()))))
}

/// Asks for everything that the flags do not contain.
fn complete(args: &InitArgs, prompt: &Prompt) -> Result<FirstTarget, AppError> {
    let names = SOURCES.iter().map(|source| source.name).collect::<Vec<_>>().join(", ");
    let source = prompt.valid(args.system.as_deref(), "--system", &format!("Mail system ({names})"), built_in_system)?;
    let target_at = |url: &str| {
        let target = FirstTarget::new(source, url.to_owned(), args.name.clone());
        target.check_url().map(|()| target)
    };
    let mut target = prompt.valid(args.url.as_deref(), "--url", "URL of the server, such as https://mail.example.com:2087", target_at)?;
    target.username = args.username.clone();
    target.set_files(args.password_file.as_deref(), args.token_file.as_deref());
    while let Some(missing) = target.missing_keys() {
        let keys = source.required().credential.keys();
        let needs = |key: &str| keys.contains(&key);
        if needs("username") && target.username.is_none() && !(needs("token") && needs("password")) {
            target.username = Some(prompt.required("--username", "User name")?);
        } else if needs("token") && target.token.is_none() {
            target.token = Some(SecretValue::Plain(prompt.secret("--token-file", "Token")?));
        } else if needs("password") && target.password.is_none() {
            target.password = Some(SecretValue::Plain(prompt.secret("--password-file", "Password")?));
        } else {
            return Err(AppError::Other(format!("{} needs {missing}", source.name)));
        }
    }
    Ok(target)
}

impl FirstTarget {
    /// Checks the URL as that of `scrape`, whatever the credentials.
    fn check_url(&self) -> Result<(), AppError> {
        let keys = self.source.required().credential.keys();
        self.check_with(["username", "password", "token"].map(|key| keys.contains(&key)))
    }

    /// Checks the flags as those of `scrape`. Variables that the file refers to may be set later, and files may be created later.
    fn check(&self) -> Result<(), AppError> {
        self.check_with([self.username.is_some(), self.password.is_some(), self.token.is_some()])
    }

    /// Checks the flags as those of `scrape`, with a placeholder for each of user name, password and token that is `true`.
    fn check_with(&self, credentials: [bool; 3]) -> Result<(), AppError> {
        let [username, password, token] = credentials.map(|is_set| is_set.then(|| "placeholder".to_owned()));
        let (system, url) = (self.source.name.to_owned(), self.url.clone());
        let flags = CommandLineTarget { system, url, username, password, token, ..CommandLineTarget::default() };
        command_line_target(flags, &Environment::default())?;
        Ok(())
    }

    /// The target as `scrape` has it.
    fn command_line(&self) -> CommandLineTarget {
        let plain = |secret: &Option<SecretValue>| match secret {
            Some(SecretValue::Plain(text)) => Some(file::escaped_reference(text)),
            Some(SecretValue::Variable(name)) => Some(format!("${{env:{name}}}")),
            _ => None,
        };
        let path = |secret: &Option<SecretValue>| match secret {
            Some(SecretValue::File(path)) => Some(path.clone()),
            _ => None,
        };
        CommandLineTarget {
            system: self.source.name.to_owned(),
            url: self.url.clone(),
            username: self.username.clone(),
            password: plain(&self.password),
            password_file: path(&self.password),
            token: plain(&self.token),
            token_file: path(&self.token),
            ..CommandLineTarget::default()
        }
    }
}
