//! `[sip] tls_…`: the certificate for SIP over TLS, given or made by ourselves.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use net::tls::{Identity, TlsError, Trust};
use toml::Spanned;

use super::{ConfigError, Sip, Source};

/// Where the certificate that we make ourselves is kept, seen from the working directory.
const OWN_CERTIFICATE: &str = "tls/certificate.pem";
/// Where its key is kept.
const OWN_KEY: &str = "tls/key.pem";

/// The checked certificate files.
#[derive(Debug, Default)]
pub(crate) struct Tls {
    /// None for one that we make ourselves.
    given: Option<Identity>,
    /// Whose certificates are believed.
    pub trust: Option<Trust>,
}

impl Tls {
    /// The given certificate; else our own, made for these addresses at the first start.
    ///
    /// # Errors
    /// Our own cannot be made, kept or read again.
    pub(crate) fn identity(&self, addresses: &[IpAddr]) -> Result<Identity> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let (certificate, key) = (Path::new(OWN_CERTIFICATE), Path::new(OWN_KEY));
        match (certificate.exists(), key.exists()) {
            (true, true) => {}
            (false, false) => {
                Identity::make(certificate, key, addresses).context(
                    "set [sip] tls_certificate and tls_key, or let the daemon write here",
                )?;
                let (certificate, key) = (certificate.display(), key.display());
                tracing::info!(%certificate, %key, "a self-signed certificate for SIP over TLS is made: telephones must be told to accept it");
            }
            (true, false) => bail!(
                "{OWN_CERTIFICATE} has lost its key {OWN_KEY}; restore it, or remove the certificate"
            ),
            (false, true) => bail!(
                "{OWN_KEY} has lost its certificate {OWN_CERTIFICATE}; restore it, or remove the key"
            ),
        }
        Ok(Identity::load(certificate, key)?)
    }
}

impl Source<'_> {
    pub(super) fn tls(self, sip: &Sip) -> Result<Tls, ConfigError> {
        let given = match (&sip.tls_certificate, &sip.tls_key) {
            (Some(certificate), Some(key)) => {
                let loaded = Identity::load(certificate.get_ref(), key.get_ref());
                Some(loaded.map_err(|error| self.unusable(certificate, key, &error))?)
            }
            (Some(alone), None) => {
                return Err(self.alone(alone, "tls_certificate without tls_key"));
            }
            (None, Some(alone)) => {
                return Err(self.alone(alone, "tls_key without tls_certificate"));
            }
            (None, None) => None,
        };
        let trust = sip.tls_authorities.as_ref().map(|file| {
            Trust::load(file.get_ref()).map_err(|error| self.unusable(file, file, &error))
        });
        Ok(Tls {
            given,
            trust: trust.transpose()?,
        })
    }

    fn alone(self, value: &Spanned<PathBuf>, what: &str) -> ConfigError {
        let remedy = "set both, or neither for a certificate made by the daemon";
        self.wrong(value.span().start, what.to_owned(), remedy)
    }

    fn unusable(
        self,
        certificate: &Spanned<PathBuf>,
        key: &Spanned<PathBuf>,
        error: &TlsError,
    ) -> ConfigError {
        let at = match error {
            TlsError::File { file, .. } if file == key.get_ref() => key,
            TlsError::Pair { .. } => key,
            _ => certificate,
        };
        let remedy = "name PEM files that belong together and that the daemon may read";
        self.wrong(at.span().start, error.to_string(), remedy)
    }
}
