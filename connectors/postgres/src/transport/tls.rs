//! TLS as libpq's `sslmode` has it, with rustls over ring.

use std::sync::Arc;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Socket;
use crate::error::PgError;
use crate::settings::{Endpoint, SslMode};

/// Asks the server for TLS and shakes hands.
pub(super) async fn start(
    mut socket: TcpStream,
    endpoint: &Endpoint,
) -> Result<Box<dyn Socket>, PgError> {
    let failed = |error: std::io::Error| PgError::Connection {
        address: format!("{}:{}", endpoint.host, endpoint.port),
        source: error,
    };
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    socket.write_all(&request).await.map_err(failed)?;
    match socket.read_u8().await.map_err(failed)? {
        b'S' => {}
        b'N' => return Err(PgError::Tls("the server does not offer it".to_owned())),
        other => return Err(PgError::Protocol(format!("answer {other:#04x} to a TLS request"))),
    }
    let name = ServerName::try_from(endpoint.host.clone())
        .map_err(|_| PgError::Tls(format!("{} is no name for a certificate", endpoint.host)))?;
    let connector = TlsConnector::from(Arc::new(config(endpoint)?));
    let socket = connector.connect(name, socket).await;
    Ok(Box::new(socket.map_err(|error| PgError::Tls(error.to_string()))?))
}

fn config(endpoint: &Endpoint) -> Result<ClientConfig, PgError> {
    let tls = |error: &dyn std::fmt::Display| PgError::Tls(error.to_string());
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| tls(&error))?;
    // libpq: with a root certificate at hand, `require` verifies the chain too.
    let check = match endpoint.ssl_mode {
        SslMode::VerifyFull => Check::Full,
        SslMode::VerifyCa => Check::Chain,
        SslMode::Require if endpoint.ssl_root_cert.is_some() => Check::Chain,
        SslMode::Require | SslMode::Prefer | SslMode::Allow | SslMode::Disable => Check::Nothing,
    };
    let inner = match check {
        Check::Nothing => None,
        Check::Chain | Check::Full => {
            let roots = Arc::new(roots(endpoint)?);
            let verifier =
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
            Some(verifier.map_err(|error| tls(&error))?)
        }
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Verifier {
        check,
        inner,
        provider,
    }));
    let Some(cert) = &endpoint.ssl_cert else { return Ok(builder.with_no_client_auth()) };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| PgError::Tls(format!("database.sslcert {cert}: {error}")))?;
    let key = endpoint.ssl_key.as_deref().unwrap_or(cert);
    builder.with_client_auth_cert(chain, read_key(key)?).map_err(|error| tls(&error))
}

fn roots(endpoint: &Endpoint) -> Result<RootCertStore, PgError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = &endpoint.ssl_root_cert else {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(roots);
    };
    let wrong = |error: &dyn std::fmt::Display| {
        PgError::Tls(format!("database.sslrootcert {path}: {error}"))
    };
    for cert in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
        roots.add(cert.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
    }
    Ok(roots)
}

/// PEM, or PKCS #8 in DER as the JDBC driver has it.
fn read_key(path: &str) -> Result<PrivateKeyDer<'static>, PgError> {
    if let Ok(key) = PrivateKeyDer::from_pem_file(path) {
        return Ok(key);
    }
    let wrong =
        |error: &dyn std::fmt::Display| PgError::Tls(format!("database.sslkey {path}: {error}"));
    let der = std::fs::read(path).map_err(|error| wrong(&error))?;
    PrivateKeyDer::try_from(der).map_err(|error| wrong(&error))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// Encrypts, trusts anybody: libpq's `require`.
    Nothing,
    /// The chain, not the name: `verify-ca`.
    Chain,
    /// Chain and name: `verify-full`.
    Full,
}

#[derive(Debug)]
struct Verifier {
    check: Check,
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        let result =
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match result {
            // webpki checks the chain before the name, so only the name was wrong.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.check == Check::Chain => Ok(ServerCertVerified::assertion()),
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
