//! HTTP to Elasticsearch, over the official client's transport: prebuilt bytes out, status and bytes in.
//!
//! - Plain `application/json`: Elasticsearch 7 to 9 and OpenSearch take it. No product check.
//! - Nodes take turns; where one can't be reached the others are tried at once. Waiting and retrying is the caller's business.

use std::time::Duration;

use aquifer_connect_api::ConnectError;
use bytes::Bytes;
use elasticsearch::auth::Credentials;
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::Method;
use elasticsearch::http::headers::HeaderMap;
use elasticsearch::http::transport::{
    MultiNodeConnectionPool, SingleNodeConnectionPool, Transport, TransportBuilder,
};
use url::Url;

use crate::config::Connection;

/// A connection to a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    transport: Transport,
    nodes: usize,
}

/// An answer, of any status.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl Reply {
    /// True for 200 to 299.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The reason of an error: its type and text, or the start of the body.
    pub(crate) fn reason(&self) -> String {
        let parsed: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        let error = parsed.as_ref().and_then(|body| body.get("error"));
        let text = |key| error.and_then(|error| error.get(key)).and_then(|v| v.as_str());
        match (text("type"), text("reason")) {
            (Some(kind), Some(reason)) => format!("status {}, {kind}: {reason}", self.status),
            _ => {
                let body = String::from_utf8_lossy(&self.body);
                let start: String = body.chars().take(REASON_CHARS_MAX).collect();
                format!("status {}, {start}", self.status)
            }
        }
    }

    /// True for an error of that type.
    pub(crate) fn is_error(&self, kind: &str) -> bool {
        let parsed: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        let error = parsed.as_ref().and_then(|body| body.get("error"));
        error.and_then(|error| error.get("type")).and_then(|v| v.as_str()) == Some(kind)
    }
}

/// How much of an unknown answer a message shows.
const REASON_CHARS_MAX: usize = 300;

/// No answer came.
#[derive(Debug, thiserror::Error)]
#[error("no answer from Elasticsearch: {reason}")]
pub(crate) struct Away {
    reason: String,
    /// True when the time was up: the request may have been carried out.
    pub(crate) timed_out: bool,
}

impl Client {
    /// Makes a client; asks nobody.
    pub(crate) async fn new(connection: &Connection) -> Result<Self, ConnectError> {
        let urls: Result<Vec<Url>, _> =
            connection.urls.iter().map(|url| Url::parse(url.trim())).collect();
        let urls = urls.map_err(|error| ConnectError::config("connection.url").caused_by(error))?;
        let nodes = urls.len();
        let builder = match urls.as_slice() {
            [url] => TransportBuilder::new(SingleNodeConnectionPool::new(url.clone())),
            _ => TransportBuilder::new(MultiNodeConnectionPool::round_robin(urls, None)),
        };
        let mut builder = builder.disable_proxy().request_body_compression(connection.compression);
        if let Some((user, password)) = &connection.credentials {
            builder = builder.auth(Credentials::Basic(user.clone(), password.clone()));
        }
        if let Some(path) = &connection.truststore_pem {
            let pem = tokio::fs::read(path).await.map_err(|error| {
                ConnectError::config(format!("can't read the trust store {path}")).caused_by(error)
            })?;
            let certificate = Certificate::from_pem(&pem).map_err(|error| {
                ConnectError::config(format!("{path} holds no PEM certificate")).caused_by(error)
            })?;
            builder = builder.cert_validation(CertificateValidation::Full(certificate));
        }
        let transport = builder.build().map_err(|error| {
            ConnectError::config("the connection can't be set up").caused_by(error.to_string())
        })?;
        Ok(Self { transport, nodes })
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        timeout: Duration,
    ) -> Result<Reply, Away> {
        let mut attempt = 1;
        loop {
            match self.send_once(method, path, body.clone(), timeout).await {
                Err(away) if !away.timed_out && attempt < self.nodes => attempt += 1,
                answer => return answer,
            }
        }
    }

    async fn send_once(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        timeout: Duration,
    ) -> Result<Reply, Away> {
        let none = None::<&()>;
        let sent = self.transport.send(method, path, HeaderMap::new(), none, body, Some(timeout));
        let response = sent
            .await
            .map_err(|error| Away { timed_out: error.is_timeout(), reason: reason(&error) })?;
        let status = response.status_code().as_u16();
        let body = response
            .bytes()
            .await
            .map_err(|error| Away { timed_out: error.is_timeout(), reason: reason(&error) })?;
        Ok(Reply { status, body })
    }
}

// reqwest hides the cause (connection refused, certificate unknown) below its own text.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// An index's name as a part of a path.
pub(crate) fn path_segment(index: &str) -> String {
    url::form_urlencoded::byte_serialize(index.as_bytes()).collect()
}
