//! The settings of the configuration file that apply to the targets of lists outside it.

use super::decode::Decoder;
use super::map::{Item, Location, Map};
use super::schema::TARGET;
use super::yaml::Node;
use super::{Environment, Problem, Problems, Target};
use crate::source::SystemList;
use std::sync::Arc;

/// The settings of the configuration file that apply to the targets of other lists.
pub(super) struct TargetListContext {
    file: Arc<str>,
    defaults: Option<Node>,
    defaults_line: Option<usize>,
    environment: Environment,
    systems: SystemList,
    has_state_dir: bool,
    logs_url_is_unknown: bool,
}

impl TargetListContext {
    pub(super) fn new(decoder: &Decoder<'_>, defaults: Option<&Item<'_>>) -> Arc<Self> {
        Arc::new(Self {
            file: decoder.file.into(),
            defaults: defaults.map(|item| item.node.clone()),
            defaults_line: defaults.and_then(|item| item.location.line),
            environment: decoder.environment.clone(),
            systems: decoder.systems.clone(),
            has_state_dir: decoder.has_state_dir,
            logs_url_is_unknown: decoder.logs_url_is_unknown,
        })
    }

    /// Decodes a list. `file` is its name in problems. The second value is the warnings.
    ///
    /// # Errors
    /// Returns every problem of the list.
    pub(super) fn decode(
        &self,
        file: &str,
        decode: impl FnOnce(&mut Decoder<'_>, &Self) -> Option<Vec<Target>>,
    ) -> Result<(Vec<Target>, Vec<Problem>), Problems> {
        let mut decoder = Decoder::new(file, &self.environment, self.systems.clone());
        (decoder.has_state_dir, decoder.logs_url_is_unknown) = (self.has_state_dir, self.logs_url_is_unknown);
        let targets = decode(&mut decoder, self);
        let (problems, warnings) = decoder.into_findings();
        match targets {
            Some(targets) if problems.is_empty() => Ok((targets, warnings)),
            _ => Err(Problems::new(problems)),
        }
    }

    /// Decodes the `defaults` of the configuration file.
    pub(super) fn defaults(&self, decoder: &mut Decoder<'_>) -> Option<Map<'_>> {
        let node = self.defaults.as_ref()?;
        let location = Location { path: "defaults".to_owned(), line: self.defaults_line, column: None, file: Some(self.file.clone()) };
        decoder.map(&Item { location, node, inherited: false }, TARGET)
    }
}
