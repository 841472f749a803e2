//! Loads a definition once.

use super::limits::DEFINITION_BYTES_MAX;
use super::memory::Memory;
use super::schema::DEFINITION;
use super::system;
use crate::source::Source;
use crate::yaml::{self, Decoder, Item, NoReferences, Positions, Problem, Problems, Value};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The largest number of definitions that a process loads. Each one stays in memory.
pub const DEFINITIONS_MAX: usize = 1000;

/// The definitions that have been loaded, by their text.
static LOADED: LazyLock<Mutex<HashMap<Box<str>, &'static Source>>> = LazyLock::new(Mutex::default);

/// The name and the text of a file.
type NamedText = (Box<str>, Box<str>);

/// The problems of definitions whose keys are valid, but contradict each other. Such texts stay in memory.
static CONTRADICTORY: LazyLock<Mutex<HashMap<NamedText, Problems>>> = LazyLock::new(Mutex::default);

/// Loads the definition in a text. Problems refer to the text by the name `file`. Equal texts are the same definition.
///
/// # Errors
/// Returns every problem of the text.
pub fn load(text: &str, file: &str) -> Result<&'static Source, Problems> {
    if text.len() > DEFINITION_BYTES_MAX {
        return Err(Problems::of_file(file, None, format!("exceeds the limit of {DEFINITION_BYTES_MAX} bytes")));
    }
    if let Some(source) = LOADED.lock().get(text) {
        return Ok(source);
    }
    let node = yaml::parse(text).map_err(|error| {
        let path = String::new();
        Problems::new(vec![Problem { file: file.to_owned(), line: error.line, column: error.column, path, message: error.message }])
    })?;
    if matches!(node.value, Value::Nothing) {
        return Err(Problems::of_file(file, None, "is empty; it needs name and parts".to_owned()));
    }
    let decode = |memory| {
        let mut decoder = Decoder::new(file, &NoReferences, Positions::Columns);
        let map = decoder.map(&Item::root(&node), DEFINITION);
        let source = map.and_then(|map| system::decode(&mut decoder, memory, map));
        match source {
            Some(source) if decoder.problems.is_empty() => Ok(source),
            _ => Err(Problems::new(decoder.problems)),
        }
    };
    decode(Memory::Discard)?;
    // The lock is held, so that two threads do not keep the same definition twice.
    let mut loaded = LOADED.lock();
    if let Some(source) = loaded.get(text) {
        return Ok(source);
    }
    let mut contradictory = CONTRADICTORY.lock();
    let key = (file.into(), text.into());
    if let Some(problems) = contradictory.get(&key) {
        return Err(problems.clone());
    }
    if loaded.len() + contradictory.len() >= DEFINITIONS_MAX {
        let message = format!("{DEFINITIONS_MAX} versions of definitions have been loaded since the start; restart Postmeter to load more");
        return Err(Problems::of_file(file, None, message));
    }
    match decode(Memory::Keep) {
        Ok(source) => {
            let source: &'static Source = Box::leak(Box::new(source));
            loaded.insert(text.into(), source);
            Ok(source)
        }
        Err(problems) => {
            contradictory.insert(key, problems.clone());
            Err(problems)
        }
    }
}

/// Returns the text that a definition was loaded from.
#[must_use]
pub fn text_of(source: &'static Source) -> Option<String> {
    LOADED.lock().iter().find(|(_, loaded)| std::ptr::eq(**loaded, source)).map(|(text, _)| text.to_string())
}
