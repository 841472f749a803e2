//! Certificates that must be rejected, and their valid replacements.

use postmeter::simulate::Tls;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use std::path::Path;

/// Faults of a certificate.
pub const FAULTS: &[(&str, &str)] = &[
    ("wrong-certificate", "a certificate for another name"),
    ("unknown-authority", "a certificate of an untrusted authority"),
    ("expired-certificate", "a certificate that has expired"),
];

const NAME: &str = "127.0.0.1";

/// A certificate authority. Its certificate is `ca.pem` in the directory of the configuration.
pub struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    pub fn new(files: &Path) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        std::fs::write(files.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self(Issuer::new(params, key))
    }

    fn sign(&self, params: &CertificateParams) -> Tls {
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.0).unwrap();
        Tls { certificate: signed.pem().into(), key: key.serialize_pem().into() }
    }

    /// The certificate of a server with this fault.
    pub fn certificate(&self, fault: &str) -> Option<Tls> {
        let params = |name: &str| CertificateParams::new(vec![name.to_owned()]).unwrap();
        match fault {
            "wrong-certificate" => Some(self.sign(&params("mail.example.com"))),
            "unknown-authority" => {
                let other = tempfile::tempdir().unwrap();
                Some(Self::new(other.path()).sign(&params(NAME)))
            }
            "expired-certificate" => {
                let mut params = params(NAME);
                (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
                Some(self.sign(&params))
            }
            _ => None,
        }
    }

    /// The valid certificate of a server after this fault.
    pub fn repaired(&self, fault: &str) -> Option<Tls> {
        let is_of_tls = FAULTS.iter().any(|(name, _)| *name == fault);
        is_of_tls.then(|| self.sign(&CertificateParams::new(vec![NAME.to_owned()]).unwrap()))
    }
}
