//! The unit of a family, in the formats that have one.

use super::page_family::PageFamily;
use crate::model::FamilyType;

/// Returns the unit of a family, if its name ends in it, as OpenMetrics requires. `name` is the name without `_total`, `kind` the type on
/// the page.
pub(super) fn unit_in_name<'a>(family: &PageFamily<'a>, name: &str, kind: FamilyType) -> Option<&'a str> {
    let unit = Some(family.unit).filter(|unit| !unit.is_empty())?;
    let is_unit = unit.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let can_have_unit = !matches!(kind, FamilyType::Info | FamilyType::StateSet);
    let base = name.strip_suffix(unit).filter(|base| is_unit && can_have_unit && base.len() > 1 && base.ends_with('_'));
    base.map(|_| unit)
}
