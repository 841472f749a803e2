//! Time zones by name.

use jiff::tz::{TimeZone, TimeZoneDatabase, db};

/// Returns the zone with this name: that of the system, which may be newer, or the one that Postmeter was built with. A system can lack names:
/// since Debian 13, `EST` and other old ones are in a package of their own, `tzdata-legacy`.
#[must_use]
pub fn time_zone(name: &str) -> Option<TimeZone> {
    zone_in(db(), name)
}

fn zone_in(system: &TimeZoneDatabase, name: &str) -> Option<TimeZone> {
    system.get(name).or_else(|_| TimeZoneDatabase::bundled().get(name)).ok()
}

/// The names of all zones.
#[must_use]
pub fn time_zone_names() -> Vec<String> {
    db().available().chain(TimeZoneDatabase::bundled().available()).map(|name| name.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_that_the_system_lacks_is_known() {
        let name_of = |zone: Option<TimeZone>| zone.and_then(|zone| zone.iana_name().map(str::to_owned));
        for name in ["EST", "Europe/Berlin", "UTC"] {
            assert_eq!(name_of(zone_in(&TimeZoneDatabase::none(), name)).as_deref(), Some(name));
        }
        assert_eq!(zone_in(&TimeZoneDatabase::none(), "Europe/Berlim"), None);
        assert!(time_zone_names().iter().any(|name| name == "EST"));
    }
}
