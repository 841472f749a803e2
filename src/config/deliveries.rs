//! The settings of delivery records that a mail system sends or writes to files: `parts: {deliveries: {...}}`.

use super::credentials;
use super::decode::Decoder;
use super::delivery_log::fields;
use super::map::Item;
use super::schema::DELIVERIES;
use super::{LogFiles, RecordDetail, Secret};
use crate::model::Field;
use crate::source::{Hook, HookCredential, SignatureScheme, Source, VerificationKey};

/// The name in `parts`.
pub(super) const PART: &str = "deliveries";

/// Settings of the delivery records that a mail system sends to the receiver.
#[derive(Clone, Debug)]
pub struct Deliveries {
    /// The mail system's requests.
    pub hook: &'static Hook,
    /// Keys `token` and `token_file`: the token of each request.
    pub token: Option<Secret>,
    /// Keys `username`, `password` and `password_file`: the user name and the password of each request.
    pub basic: Option<(String, Secret)>,
    /// Keys `signing_key` and `signing_key_file`: the key that verifies the signature of each request.
    pub signing_key: Option<Secret>,
    /// Key `log_files`: files from which records are read.
    pub log_files: Option<LogFiles>,
    /// Key `include`: fields to export in plain text although they can identify a person.
    pub include: Vec<Field>,
    /// Keys `by` and `groups_max`: how the metrics of the records are split.
    pub detail: RecordDetail,
}

impl Deliveries {
    /// Decodes `parts.deliveries`.
    pub(super) fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>, source: &Source, hook: &'static Hook) -> Option<Self> {
        let mut map = decoder.map(item, DELIVERIES)?;
        let own = credentials::decode(decoder, &mut map);
        let signing_key = credentials::secret_or_file(decoder, &mut map, "signing_key", "signing_key_file");
        let log_files = map.take("log_files");
        let reads_files = log_files.is_some();
        let log_files = log_files.and_then(|item| LogFiles::decode(decoder, &item, source, hook));
        let include = map.take("include").map(|item| fields(decoder, &item)).unwrap_or_default();
        let detail = RecordDetail::decode_keys(decoder, &mut map);
        decoder.finish(map);
        let has_credential = !own.is_empty() || signing_key.is_some();
        if !decoder.has_receiver && (has_credential || !reads_files) && !hook.authentication.is_empty() {
            decoder.report(&item.location, "needs receive at the top of the file: the address on which records are received");
        }
        if decoder.logs_url_is_unknown {
            let message = "needs an OTLP endpoint that ends in /v1/metrics: records are sent to /v1/logs next to it";
            decoder.report(&item.location, message);
        }
        if own.username.is_some() != own.password.is_some() {
            let missing = if own.username.is_some() { "password" } else { "username" };
            decoder.report(&item.location, format!("needs {missing} as well"));
        }
        let signing_key = signing_key.map(|(secret, location, value)| {
            let scheme = hook.signature.ok_or_else(|| format!("{} does not sign its requests; set token instead", source.name));
            if let Some(scheme) = decoder.ok_or_report(&location, scheme)
                && let Some(value) = value
            {
                decoder.ok_or_report(&location, VerificationKey::parse(scheme, &value).map(drop));
            }
            secret
        });
        let basic = own.username.zip(own.password);
        let deliveries = Self { hook, token: own.token, basic, signing_key, log_files, include, detail };
        if has_credential || !reads_files {
            deliveries.check(decoder, item, source);
        }
        Some(deliveries)
    }

    /// Returns `true` if the mail system may send records. Without a credential, they are read from files only.
    #[must_use]
    pub const fn accepts_requests(&self) -> bool {
        self.token.is_some() || self.basic.is_some() || self.signing_key.is_some()
    }

    /// Returns `true` if the headers of a request authenticate it, before its body is read.
    #[must_use]
    pub const fn has_header_credential(&self) -> bool {
        self.token.is_some() || self.basic.is_some()
    }

    /// Checks that requests are authenticated, by credentials that the mail system can send.
    fn check(&self, decoder: &mut Decoder<'_>, item: &Item<'_>, source: &Source) {
        let has = |credential: HookCredential| match credential {
            HookCredential::Token => self.token.is_some(),
            HookCredential::Basic => self.basic.is_some(),
            HookCredential::SigningKey => self.signing_key.is_some(),
        };
        let key = |credential: &HookCredential| match credential {
            HookCredential::Token => "token",
            HookCredential::Basic => "username and password",
            HookCredential::SigningKey => "signing_key",
        };
        let accepted = self.hook.authentication;
        let keys: Vec<&str> = accepted.iter().map(key).collect();
        if accepted.is_empty() {
            let key = self.hook.log_files.map_or("path", crate::source::LogFileFormat::key);
            decoder.report(&item.location, format!("{} sends no requests; set log_files: {{{key}: ...}}", source.name));
            return;
        }
        if !HookCredential::ALL.iter().any(|credential| has(*credential)) {
            decoder.report(&item.location, format!("every client could send records; set {}", keys.join(" or ")));
        }
        for credential in HookCredential::ALL.iter().filter(|credential| has(**credential) && !accepted.contains(credential)) {
            let message = format!("{} cannot send {}; set {}", source.name, key(credential), keys.join(" or "));
            decoder.report(&item.location, message);
        }
        // A signature that does not cover the body, or whose key others use as well, is not enough.
        if self.signing_key.is_some()
            && self.token.is_none()
            && self.basic.is_none()
            && self.hook.signature.is_some_and(SignatureScheme::needs_secret)
        {
            let others: Vec<&str> = accepted.iter().filter(|credential| **credential != HookCredential::SigningKey).map(key).collect();
            let message = format!("the signature alone does not protect the records; set {} as well", others.join(" or "));
            decoder.report(&item.location, message);
        }
    }
}
