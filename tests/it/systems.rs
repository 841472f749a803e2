//! The registry of mail systems: everything that a system needs outside of its own file is there.

use crate::properties::fuzz::CHECKS;
use postmeter::simulate::System;
use postmeter::source::{SOURCES, Source};
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The systems that are one product. The others read any server's metrics.
fn products() -> impl Iterator<Item = &'static Source> {
    SOURCES.iter().copied().filter(|source| !source.uses_target_url())
}

/// Services whose API has sums of days or hours, and PowerMTA, whose definition was written without a server.
const NOT_SIMULATED: &[&str] = &["sendgrid", "mailgun", "postmark", "powermta"];

#[test]
fn every_product_can_be_simulated() {
    let mut registered: Vec<&str> = products().map(|source| source.name).filter(|name| !NOT_SIMULATED.contains(name)).collect();
    let mut simulated = System::ALL.map(System::name);
    registered.sort_unstable();
    simulated.sort_unstable();
    assert_eq!(registered, simulated);
}

#[test]
fn every_simulated_part_exists() {
    for system in System::ALL {
        let source = postmeter::source::by_name(system.name()).unwrap();
        for (part, _) in system.optional_parts() {
            assert!(source.parts[1..].iter().any(|known| known.name == *part), "{} has no part {part}", source.name);
        }
    }
}

#[test]
fn every_system_has_fixtures_a_fuzz_check_and_documentation() {
    let documentation = std::fs::read_to_string(Path::new(ROOT).join("docs/mail-systems.md")).unwrap();
    for source in SOURCES.iter() {
        let name = source.name;
        let fixtures = Path::new(ROOT).join("tests/fixtures").join(name);
        assert!(fixtures.read_dir().is_ok_and(|mut files| files.next().is_some()), "no fixtures in {}", fixtures.display());
        assert!(CHECKS.iter().any(|(check, _)| check.starts_with(name)), "no fuzz check is named after {name}");
        assert!(documentation.contains(&format!("system: {name}")), "docs/mail-systems.md has no example of {name}");
    }
}
