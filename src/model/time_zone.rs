//! Time zones by name.

use jiff::tz::{TimeZone, TimeZoneDatabase, db};

/// Returns the zone with this name: that of the system, which may be newer, or the one that Postmeter was built with. A system can lack
/// names: since Debian 13, `EST` and other old ones are in a package of their own, `tzdata-legacy`.
#[must_use]
pub fn time_zone(name: &str) -> Option<TimeZone> {
    zone_in(db(), name)
}

/// Returns the zone of the system, which `TZ` or `/etc/localtime` sets. If `TZ` is not a zone, this is UTC, with the problem.
#[must_use]
pub fn system_time_zone() -> (TimeZone, Option<String>) {
    match std::env::var_os("TZ") {
        Some(variable) => zone_of_variable(&variable.to_string_lossy(), TimeZone::try_system().ok()),
        None => (TimeZone::system(), None),
    }
}

/// The zone of `TZ`, which the system may not know.
fn zone_of_variable(variable: &str, system: Option<TimeZone>) -> (TimeZone, Option<String>) {
    match system.or_else(|| time_zone(variable.strip_prefix(':').unwrap_or(variable))) {
        Some(zone) => (zone, None),
        None => {
            let problem = "is not a time zone, so times in logs without a zone are read as UTC; set it to a name such as Europe/Berlin";
            (TimeZone::UTC, Some(format!("TZ: {variable:?} {problem}")))
        }
    }
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
    fn a_variable_that_is_not_a_zone_is_reported() {
        let berlin = || time_zone("Europe/Berlin");
        assert_eq!(zone_of_variable(":Europe/Berlin", None), (berlin().unwrap_or(TimeZone::UTC), None));
        assert_eq!(zone_of_variable("/etc/zone", berlin()), (berlin().unwrap_or(TimeZone::UTC), None));
        let (zone, problem) = zone_of_variable("Europe/Berlim", None);
        assert_eq!(zone, TimeZone::UTC);
        assert!(problem.is_some_and(|problem| problem.starts_with("TZ: \"Europe/Berlim\" is not a time zone, so ")));
    }

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
