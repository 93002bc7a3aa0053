//! TLS at the client's end: whom to trust, the handshake, and in words why it failed.
//!
//! The bytes beneath are left to the stream it is given; the bytes above to its caller.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};

use crate::complaint::{Complaint, Exit};

/// Whose certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The issuers that this system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others).
    #[default]
    System,
    /// The certificates in a PEM file (RFC 7468), and no others.
    File(PathBuf),
    /// Anybody's; what the check would have said is still reported.
    Anyone,
}

/// What a handshake agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secured {
    /// `TLSv1_3`.
    pub version: String,
    /// `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// Why the certificate would have been refused, had [`Trust::Anyone`] not been asked for.
    pub excused: Option<String>,
}

/// A client's side of TLS, made once per run.
#[derive(Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    excused: Arc<Mutex<Option<String>>>,
}

impl Tls {
    /// Reads the certificates to trust. Errors: a file that cannot be read or holds none.
    pub fn new(trust: &Trust) -> Result<Tls, Complaint> {
        let roots = match trust {
            Trust::System => system()?,
            Trust::File(path) => file(path)?,
            // Without any, every certificate would fail the check, which is all the same here.
            Trust::Anyone => system().unwrap_or_else(|_| RootCertStore::empty()),
        };
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?;
        let excused = Arc::default();
        let mut config = match trust {
            Trust::System | Trust::File(_) => builder.with_root_certificates(roots),
            Trust::Anyone => {
                let judge = WebPkiServerVerifier::builder_with_provider(
                    Arc::new(roots),
                    Arc::clone(&provider),
                );
                let lenient =
                    Lenient { judge: judge.build().ok(), provider, excused: Arc::clone(&excused) };
                builder.dangerous().with_custom_certificate_verifier(Arc::new(lenient))
            }
        }
        .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls { config: Arc::new(config), excused })
    }

    /// Shakes hands over `stream` with the server called `name`.
    pub async fn handshake<S>(
        &self,
        name: ServerName<'static>,
        stream: S,
    ) -> io::Result<(TlsStream<S>, Secured)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await?;
        let session = stream.get_ref().1;
        let version = session.protocol_version().map(|version| format!("{version:?}"));
        let cipher = session.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
        let excused = self.excused.lock().unwrap_or_else(PoisonError::into_inner).take();
        let secured = Secured {
            version: version.unwrap_or_default(),
            cipher: cipher.unwrap_or_default(),
            excused,
        };
        Ok((stream, secured))
    }
}

fn unusable(error: &Error) -> Complaint {
    Complaint::new(Exit::Impossible, format!("TLS cannot be set up: {error}"), "")
}

fn system() -> Result<RootCertStore, Complaint> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(Complaint::new(
            Exit::Impossible,
            format!("this system trusts no certificate issuer{why}"),
            "Install its ca-certificates package, or name a file with --cacert FILE.",
        ));
    }
    Ok(roots)
}

fn file(path: &Path) -> Result<RootCertStore, Complaint> {
    let refused = |why: String| {
        Complaint::new(
            Exit::Environment,
            format!("read certificates {}: {why}", path.display()),
            "--cacert takes a PEM file: lines from BEGIN CERTIFICATE to END CERTIFICATE.",
        )
    };
    let bytes =
        std::fs::read(path).map_err(|error| refused(stentor_os::failure::describe(&error)))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        roots.add(certificate).map_err(|error| refused(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(refused("no certificate in it".to_owned()));
    }
    Ok(roots)
}

/// Checks a certificate, notes the finding, and takes it whatever it was.
///
/// The signature of the handshake is still checked: the server must hold the certificate's key.
#[derive(Debug)]
struct Lenient {
    judge: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    excused: Arc<Mutex<Option<String>>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let finding = match &self.judge {
            None => Some("this system trusts no certificate issuer".to_owned()),
            Some(judge) => match judge.verify_server_cert(leaf, chain, name, ocsp, now) {
                Ok(_) => None,
                Err(Error::InvalidCertificate(error)) => Some(certificate(&error)),
                #[allow(clippy::wildcard_enum_match_arm, reason = "rustls may add errors")]
                Err(error) => Some(error.to_string()),
            },
        };
        *self.excused.lock().unwrap_or_else(PoisonError::into_inner) = finding;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What TLS itself, not the kernel, found wrong; the words and the next step.
pub fn explain(error: &io::Error) -> Option<(String, &'static str)> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    #[allow(clippy::wildcard_enum_match_arm, reason = "rustls may add errors")]
    let (words, next) = match error {
        Error::InvalidCertificate(error) => {
            let untrusted = matches!(error, CertificateError::UnknownIssuer);
            let next = if authority(error) {
                "Make it with basicConstraints=CA:FALSE (openssl req -x509 makes authorities \
                 unless told otherwise); or --insecure takes any certificate."
            } else if untrusted {
                "--cacert FILE trusts the issuer in that file; --insecure takes any certificate, \
                 and then nobody vouches for the other end."
            } else {
                "--insecure takes any certificate, and then nobody vouches for the other end."
            };
            (certificate(error), next)
        }
        Error::InvalidMessage(_) => {
            ("what came back is not TLS".to_owned(), "If the port speaks plain HTTP, use http://.")
        }
        Error::AlertReceived(alert) => (format!("the server refused it ({alert:?})"), ""),
        other => (other.to_string(), ""),
    };
    Some((words, next))
}

/// Which check a certificate failed.
fn certificate(error: &CertificateError) -> String {
    let days = |late: u64, early: u64| late.saturating_sub(early) / 86_400;
    #[allow(clippy::wildcard_enum_match_arm, reason = "rustls may add errors")]
    match error {
        CertificateError::UnknownIssuer => {
            "the certificate was issued by nobody who is trusted here".to_owned()
        }
        CertificateError::ExpiredContext { time, not_after } => format!(
            "the certificate expired {} days ago",
            days(time.as_secs(), not_after.as_secs())
        ),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the certificate is not valid before {} days from now",
            days(not_before.as_secs(), time.as_secs()) + 1
        ),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let mut words = format!("the certificate is not for {}", expected.to_str());
            match presented.as_slice() {
                [] => words.push_str(": it names nobody"),
                names => {
                    // Each comes as DnsName("example.org").
                    let bare = |name: &String| name.split('"').nth(1).unwrap_or(name).to_owned();
                    let names: Vec<String> = names.iter().map(bare).collect();
                    let _ = write!(words, ": it names {}", names.join(", "));
                }
            }
            words
        }
        CertificateError::BadSignature => {
            "the certificate was not signed by the issuer it names".to_owned()
        }
        other if authority(other) => {
            "the certificate is an authority's own, and may not be a server's as well \
             (RFC 5280, section 4.2.1.9)"
                .to_owned()
        }
        CertificateError::Revoked => "the certificate was revoked".to_owned(),
        other => Error::InvalidCertificate(other.clone()).to_string(),
    }
}

/// Whether a certificate that signs others was offered as a server's own. The checker's own type
/// for it is behind two of rustls's, so its name is looked for.
fn authority(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(_))
        && format!("{error:?}").contains("CaUsedAsEndEntity")
}

/// Follows the records of a TLS stream in one direction, to name them (RFC 8446, section 5.1).
#[derive(Debug, Default)]
pub struct Records {
    header: [u8; 5],
    have: usize,
    left: usize,
}

impl Records {
    /// Takes the next bytes and names the records that begin or go on in them.
    pub fn feed(&mut self, bytes: &[u8]) -> String {
        let mut names: Vec<&'static str> = Vec::new();
        if self.left > 0 {
            names.push(self.name());
        }
        for byte in bytes {
            if self.left > 0 {
                self.left -= 1;
                continue;
            }
            if let Some(place) = self.header.get_mut(self.have) {
                *place = *byte;
                self.have += 1;
            }
            if self.have == self.header.len() {
                let [_, _, _, high, low] = self.header;
                self.left = usize::from(u16::from_be_bytes([high, low]));
                self.have = 0;
                if names.last() != Some(&self.name()) {
                    names.push(self.name());
                }
            }
        }
        match names.as_slice() {
            [] => "TLS".to_owned(),
            names => format!("TLS {}", names.join(", ")),
        }
    }

    fn name(&self) -> &'static str {
        match self.header.first() {
            Some(20) => "change_cipher_spec",
            Some(21) => "alert",
            Some(22) => "handshake",
            Some(23) => "data",
            Some(_) | None => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_named_however_they_are_cut() {
        let mut stream = vec![22, 3, 1, 0, 2, 9, 9];
        stream.extend([20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 3, 7, 7, 7]);
        assert_eq!(Records::default().feed(&stream), "TLS handshake, change_cipher_spec, data");
        let mut records = Records::default();
        let cut: Vec<String> = stream.chunks(6).map(|piece| records.feed(piece)).collect();
        let expected = [
            "TLS handshake",
            "TLS handshake, change_cipher_spec",
            "TLS change_cipher_spec, data",
            "TLS data",
        ];
        assert_eq!(cut, expected);
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let path = std::env::temp_dir().join(format!("stentor-no-pem-{}", std::process::id()));
        std::fs::write(&path, "not a certificate\n").unwrap();
        let complaint = Tls::new(&Trust::File(path.clone())).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(complaint.exit, Exit::Environment);
        assert!(complaint.what.ends_with("no certificate in it"), "{complaint}");
    }
}
