//! The mode of the file that `init` writes, and the error of a file that the user of a container may not read.

use crate::support::{ANY, postmeter, skipped, stderr, stdout};
use postmeter::simulate::{Options, SimulatedServer, System, TOKEN};
use std::fs::{Permissions, set_permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// The user of the image.
const IMAGE_USER: u32 = 65532;

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_file_with_a_credential_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let kumomta = SimulatedServer::start(System::Kumomta, ANY, Options::default()).await.unwrap();
    let ceymail = SimulatedServer::start(System::Ceymail, ANY, Options::default()).await.unwrap();
    std::fs::write(folder.path().join("token"), TOKEN).unwrap();
    let program = env!("CARGO_BIN_EXE_postmeter");
    for (file, flags) in [
        ("none.yaml", format!("--system kumomta --url {}", kumomta.url())),
        ("file.yaml", format!("--system ceymail --url {} --token-file token", ceymail.url())),
    ] {
        let line = format!("umask 022; exec {program} init --output {file} {flags}");
        let output = Command::new("sh").args(["-c", &line]).current_dir(folder.path()).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success() && stderr(&output).is_empty(), "{}", stderr(&output));
        assert_eq!(mode(&folder.path().join(file)), 0o644, "{file}");
    }
    let mut script = Command::new("script");
    let line = format!("umask 022; exec {program} init --output secret.yaml --system ceymail --url {}", ceymail.url());
    script.args(["-qec", &line, "/dev/null"]).current_dir(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = script.spawn() else {
        return skipped("only_a_file_with_a_credential_is_private", "script is not installed");
    };
    // Input before the prompt is discarded.
    let (mut printed, mut byte) = (String::new(), [0]);
    while !printed.ends_with("Token: ") && child.stdout.as_mut().unwrap().read(&mut byte).unwrap() > 0 {
        printed.push(char::from(byte[0]));
    }
    child.stdin.as_mut().unwrap().write_all(format!("{TOKEN}\n").as_bytes()).unwrap();
    let printed = stdout(&child.wait_with_output().unwrap());
    assert!(printed.contains("note: secret.yaml contains a credential, so only you can read it"), "{printed}");
    assert_eq!(mode(&folder.path().join("secret.yaml")), 0o600);
    kumomta.shutdown().await;
    ceymail.shutdown().await;
}

#[test]
fn an_unreadable_file_is_explained_by_its_mode_and_the_user() {
    let folder = tempfile::tempdir().unwrap();
    set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let file = folder.path().join("postmeter.yaml");
    std::fs::write(&file, super::GOOD).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    let (owner, group) = (file.metadata().unwrap().uid(), file.metadata().unwrap().gid());
    let (user, denied) = if is_root { (IMAGE_USER, 0o600) } else { (owner, 0o000) };
    set_permissions(&file, Permissions::from_mode(denied)).unwrap();
    let check = || {
        let mut command = postmeter();
        command.current_dir(folder.path()).arg("check");
        if is_root {
            command.uid(IMAGE_USER).gid(IMAGE_USER);
        }
        command.output().unwrap()
    };
    let output = check();
    let expected = format!(
        "postmeter: cannot read postmeter.yaml: Permission denied (os error 13): Postmeter runs as user id {user}, and the file has mode {denied:04o}, \
         user id {owner} and group id {group}; make Postmeter's user its owner with chown, or, if it contains no credentials, let every user read it with chmod 644\n"
    );
    assert_eq!((stderr(&output), output.status.code()), (expected, Some(1)));
    set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    assert!(check().status.success());
}
