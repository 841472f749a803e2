//! What every side of the network needs, and that knows nothing of mail: redaction, and text that is safe to print.

mod backoff;
mod encodings;
mod file_stamp;
mod html_entities;
mod log_once;
mod printable;
pub(crate) mod quarantine;
mod redact;

pub(crate) use backoff::{Backoff, random_share};
pub(crate) use file_stamp::FileStamps;
pub use file_stamp::{FileStamp, FileWatch, LOOK_INTERVAL};
pub(crate) use log_once::{LoggedSet, ProblemLog};
pub use printable::{Escaped, is_unprintable, on_one_line};
pub use redact::Redactor;
