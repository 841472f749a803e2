//! YAML files: parsed to a tree with positions, decoded by tables of keys, with every problem of a file reported at its position.
//!
//! The configuration file and the definitions of mail systems are both read in this way.

mod decoder;
mod explanation;
pub(crate) mod map;
mod node;
pub(crate) mod problem;
pub(crate) mod schema;
pub(crate) mod text;
mod unquoted_reference;
mod write;

pub(crate) use decoder::{Decoder, NoReferences, Positions, References, find_choice, is_true};
pub(crate) use map::{Item, Location, Map};
pub(crate) use node::{Key, Node, Value, parse, parse_without_aliases};
pub use problem::{Problem, Problems};
pub(crate) use write::{Written, quoted, write};
