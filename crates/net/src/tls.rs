//! TLS for SIP (RFC 3261 §26.3.1): our certificate, and whom we trust when we open a connection.

use std::{
    fs, io,
    io::Write as _,
    net::IpAddr,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType, date_time_ymd};
use thiserror::Error;
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        self, ClientConfig, RootCertStore, ServerConfig,
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

/// Why a certificate or a key cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read, or has nothing of what it should have in it.
    #[error("{} holds no {wanted} in PEM form ({why})", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Certificate or private key.
        wanted: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The key is not that of the certificate, or of a kind that is not supported.
    #[error("{} is not the key of {} ({why})", .key.display(), .certificate.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The self-signed certificate cannot be made or kept.
    #[error("a self-signed certificate cannot be kept in {} ({why})", .file.display())]
    Keep {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// Our certificate with its key.
#[derive(Clone)]
pub struct Identity {
    config: Arc<ServerConfig>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

impl Identity {
    /// Reads a chain of certificates, ours first, and its key.
    ///
    /// # Errors
    /// [`TlsError`], with the file.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = certificates(certificate)?;
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::File {
            file: key.to_owned(),
            wanted: "private key",
            why: error.to_string(),
        })?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(chain, private)
            });
        let config = config.map_err(|error| TlsError::Pair {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            why: error.to_string(),
        })?;
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// Makes a self-signed certificate for these addresses and keeps it in two new files, the key readable by us alone.
    ///
    /// # Errors
    /// [`TlsError`], with the file; an existing file is never overwritten.
    pub fn make(certificate: &Path, key: &Path, addresses: &[IpAddr]) -> Result<(), TlsError> {
        let failed = |file: &Path, why: String| TlsError::Keep {
            file: file.to_owned(),
            why,
        };
        let made = KeyPair::generate().and_then(|pair| {
            let signed = self_signed(addresses).self_signed(&pair)?;
            Ok((pair, signed))
        });
        let (pair, signed) = made.map_err(|error| failed(certificate, error.to_string()))?;
        keep(key, 0o600, &pair.serialize_pem()).map_err(|error| failed(key, error.to_string()))?;
        keep(certificate, 0o644, &signed.pem())
            .map_err(|error| failed(certificate, error.to_string()))
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

/// Whose certificates are believed when we open a connection.
#[derive(Clone)]
pub struct Trust {
    config: Arc<ClientConfig>,
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trust")
    }
}

impl Trust {
    /// Reads the certificates of authorities.
    ///
    /// # Errors
    /// [`TlsError`], with the file.
    pub fn load(authorities: &Path) -> Result<Self, TlsError> {
        let failed = |error: rustls::Error| TlsError::File {
            file: authorities.to_owned(),
            wanted: "usable certificate",
            why: error.to_string(),
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(authorities)? {
            roots.add(certificate).map_err(failed)?;
        }
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            config: Arc::new(config),
        })
    }

    pub(crate) fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.config))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |why: String| TlsError::File {
        file: file.to_owned(),
        wanted: "certificate",
        why,
    };
    let chain = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(error.to_string()))?;
    if chain.is_empty() {
        return Err(failed("the file has none".to_owned()));
    }
    Ok(chain)
}

fn self_signed(addresses: &[IpAddr]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "Ringbook");
    params.subject_alt_names = addresses.iter().copied().map(SanType::IpAddress).collect();
    // Telephones without a battery wake up with an old date, and some cannot read years after 2049.
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params
}

fn keep(file: &Path, mode: u32, text: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_made_certificate_can_be_loaded_its_key_is_ours_alone_and_neither_is_made_twice() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("a/c.pem"), folder.path().join("a/k.pem"));
        let addresses = ["192.0.2.1".parse().unwrap()];
        Identity::make(&certificate, &key, &addresses).unwrap();
        Identity::load(&certificate, &key).unwrap();
        Trust::load(&certificate).unwrap();
        let mode = fs::metadata(&key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let before = fs::read(&key).unwrap();
        Identity::make(&certificate, &key, &addresses).unwrap_err();
        assert_eq!(fs::read(&key).unwrap(), before);
    }

    #[test]
    fn what_is_wrong_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        for name in ["a", "b"] {
            let certificate = file(&format!("{name}.pem"));
            Identity::make(&certificate, &file(&format!("{name}.key")), &[]).unwrap();
        }
        let error = |certificate: &str, key: &str| {
            let error = Identity::load(&file(certificate), &file(key)).unwrap_err();
            error.to_string()
        };
        assert!(error("none.pem", "a.key").contains("none.pem holds no certificate"));
        assert!(error("a.pem", "a.pem").contains("a.pem holds no private key"));
        assert!(error("a.key", "a.key").contains("a.key holds no certificate"));
        assert!(error("a.pem", "b.key").contains("b.key is not the key of"));
    }
}
