//! `targets_files` of a running service: changes are applied without a reload, and invalid files are counted.

use super::world::{World, start_server, target, value};
use super::{LISTEN, file};
use postmeter::simulate::System;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_appears_changes_becomes_invalid_and_disappears_without_a_reload() {
    let kumomta = start_server(System::Kumomta).await;
    let of = |name: &str| target(name, &kumomta, "min_interval: 1h");
    let world = World::start(&format!("{}targets_files: [FOLDER/targets/*.yaml]\n", file(&[of("main")])), true).await;
    let failing = |n: f64, page: &str| {
        let failing = value(page, "postmeter_targets_files_failing{") == Some(n);
        failing.then(|| value(page, "postmeter_targets_files_errors_total{").unwrap_or(0.0))
    };
    assert_eq!(world.names().await, ["main"]);
    std::fs::create_dir(world.at("targets")).unwrap();
    world.write("targets/one.yaml", &of("a"));
    world.until("/targets.json", |page| page.contains("\"a\"")).await;
    world.write("targets/one.yaml", &[of("a"), of("b")].concat());
    world.until("/targets.json", |page| page.contains("\"b\"")).await;
    world.until("/metrics", |page| value(page, "mail_up{instance=\"b\"") == Some(1.0)).await;
    assert_eq!(kumomta.requests(), 3, "each once");

    world.write("targets/one.yaml", "- {name: a}\n");
    let page = world.until("/metrics", |page| failing(1.0, page).is_some()).await;
    assert_eq!(failing(1.0, &page), Some(1.0), "{page}");
    world.until("/", |page| page.contains("invalid</span> 1 file of <code>targets_files</code>")).await;
    assert_eq!(world.names().await, ["main", "a", "b"]);
    // A reload of the configuration file does not affect the targets of other files.
    assert_eq!(world.reload().await, (200, "reloaded: 3 targets: 0 added, 0 changed, 0 removed, 3 unchanged\n".to_owned()));
    world.write("targets/one.yaml", &of("b"));
    world.until("/metrics", |page| failing(0.0, page) == Some(1.0)).await;
    assert!(!world.get("/").await.1.contains("Needs attention"));
    assert_eq!(world.names().await, ["main", "b"]);
    std::fs::remove_file(world.at("targets/one.yaml")).unwrap();
    world.until("/targets.json", |page| !page.contains("\"b\"")).await;
    assert_eq!(kumomta.requests(), 3);
    world.end(vec![kumomta]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubernetes_volume_is_updated_and_an_invalid_file_does_not_prevent_the_start() {
    let kumomta = start_server(System::Kumomta).await;
    let world = World::start(&format!("targets_files: [FOLDER/volume/*.yaml]\n{LISTEN}"), true).await;
    assert_eq!((world.names().await.len(), world.get("/-/ready").await.0), (0, 200));
    let volume = world.at("volume");
    for (version, name) in [("..v1", "old"), ("..v2", "new")] {
        std::fs::create_dir_all(volume.join(version)).unwrap();
        std::fs::write(volume.join(version).join("t.yaml"), target(name, &kumomta, "")).unwrap();
    }
    std::os::unix::fs::symlink("..v1", volume.join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/t.yaml", volume.join("t.yaml")).unwrap();
    world.until("/targets.json", |page| page.contains("\"old\"")).await;
    std::os::unix::fs::symlink("..v2", volume.join("..tmp")).unwrap();
    std::fs::rename(volume.join("..tmp"), volume.join("..data")).unwrap();
    world.until("/targets.json", |page| page.contains("\"new\"") && !page.contains("\"old\"")).await;
    world.end(vec![kumomta]).await;
}

/// A volume that is not mounted, or a link to nothing, is not the deletion of a file.
#[tokio::test(flavor = "multi_thread")]
async fn targets_whose_file_cannot_be_reached_are_kept() {
    let kumomta = start_server(System::Kumomta).await;
    let world = World::start(&format!("targets_files: [FOLDER/volume/*.yaml]\n{LISTEN}"), true).await;
    let (volume, file) = (world.at("volume"), world.at("volume/t.yaml"));
    std::fs::create_dir_all(volume.join("..v1")).unwrap();
    std::fs::write(volume.join("..v1/t.yaml"), target("kept", &kumomta, "")).unwrap();
    let link = || std::os::unix::fs::symlink("..v1/t.yaml", &file).unwrap();
    link();
    world.until("/targets.json", |page| page.contains("\"kept\"")).await;
    let is_failing = async |what: &str, is_failing: bool| {
        let failing = f64::from(u8::from(is_failing));
        world.until("/metrics", |page| value(page, "postmeter_targets_files_failing{") == Some(failing)).await;
        assert_eq!(world.names().await, ["kept"], "{what}");
    };
    let moved = world.at("moved");
    std::fs::rename(&volume, &moved).unwrap();
    is_failing("the directory is missing", true).await;
    assert_eq!(world.reload().await.0, 200);
    is_failing("the directory is missing at a reload", true).await;
    std::fs::rename(&moved, &volume).unwrap();
    is_failing("the directory is there again", false).await;
    for (what, replace) in [
        ("a link to nothing", (|file| std::os::unix::fs::symlink("none", file)) as fn(&std::path::Path) -> std::io::Result<()>),
        ("a link to itself", |file| std::os::unix::fs::symlink("t.yaml", file)),
        ("a directory", |file| std::fs::create_dir(file)),
    ] {
        std::fs::remove_file(&file).unwrap();
        replace(&file).unwrap();
        is_failing(what, true).await;
        if file.is_dir() { std::fs::remove_dir(&file) } else { std::fs::remove_file(&file) }.unwrap();
        link();
        is_failing(what, false).await;
    }
    std::fs::remove_file(&file).unwrap();
    world.until("/targets.json", |page| !page.contains("\"kept\"")).await;
    world.end(vec![kumomta]).await;
}
