//! Common parts of all network clients and servers, without any knowledge of mail: TLS, backoff, redaction, printable text, changed files,
//! problems that are logged once.

mod backoff;
mod checked_file;
mod denied_access;
mod encodings;
mod file_stamp;
mod file_thread;
mod headers;
mod hex;
mod html_entities;
mod limited_read;
mod line_limit;
mod lock_file;
mod log_once;
mod masked_url;
mod printable;
mod private_file;
pub(crate) mod quarantine;
mod quota;
mod recent;
mod redact;
mod regular_file;
mod root_cause;
mod tls;

pub(crate) use backoff::{Backoff, random_share};
pub use checked_file::FileFault;
pub(crate) use checked_file::{seal, unseal};
pub(crate) use denied_access::explain_denied_access;
pub(crate) use file_stamp::FileStamps;
pub use file_stamp::{CHECK_INTERVAL, FileStamp, FileWatch};
pub(crate) use file_thread::FileThread;
pub use file_thread::UnresponsiveFile;
pub(crate) use headers::{GZIP_CODINGS, RETRY_AFTER_MAX, content_codings, retry_after, secret_header};
pub(crate) use hex::hex;
pub(crate) use limited_read::{read_if_exists, read_limited};
pub(crate) use line_limit::LineLimit;
pub(crate) use lock_file::LockFile;
pub(crate) use log_once::{Episode, LoggedSet, ProblemLog, RECOVERY};
pub use masked_url::masked_url;
pub use printable::{Escaped, is_unprintable, on_one_line, shorten};
pub(crate) use private_file::remove_unfinished_replacement;
pub use private_file::{
    PRIVATE_DIRECTORY_MODE, PRIVATE_FILE_MODE, create_private_directory, replace_private_file, replace_unsynced_file, sync_directory,
};
pub(crate) use quota::Quota;
pub(crate) use recent::Recent;
pub use redact::Redactor;
pub(crate) use regular_file::open_regular_file;
pub(crate) use root_cause::{AUTHORITY_AS_SERVER, is_authority_as_server, root_cause, stable_cause};
pub(crate) use tls::{ClientTls, TlsFileError, TlsFiles, UnusableTls, install_crypto_provider};
