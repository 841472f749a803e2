//! The unit of a family, in the formats that have one.

use super::Section;
use crate::model::{FamilyType, SelectedFamily};

/// Returns the unit of a family, if its name ends in it, as OpenMetrics requires. `family` is the name without `_total`.
pub(super) fn unit_in_name<'a>(family: &str, kind: FamilyType, of_targets: &[(&Section, SelectedFamily<'a>)]) -> Option<&'a str> {
    let unit = of_targets.iter().map(|(_, family)| family.prometheus_unit()).find(|unit| !unit.is_empty())?;
    let is_unit = unit.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let can_have_unit = !matches!(kind, FamilyType::Info | FamilyType::StateSet);
    let base = family.strip_suffix(unit).filter(|base| is_unit && can_have_unit && base.len() > 1 && base.ends_with('_'));
    base.map(|_| unit)
}
