//! From a frame to a running handler, and from its response to the pieces that are sent.

use std::sync::Arc;

use aquifer_broker_protocol::request_header::read_request_header;
use aquifer_broker_protocol::response_header::{encode_response, encode_unsupported_api_versions};
use aquifer_broker_protocol::{ApiKey, Message, ProtocolError, Segment};
use futures_util::future::BoxFuture;

use crate::connection::{Frame, Piece};
use crate::context::{NodeState, Peer, RequestContext};

/// What a request came to.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The reply; empty where none is sent.
    pub(crate) pieces: Vec<Piece>,
    /// Whether the connection is to be closed after it.
    pub(crate) close: bool,
}

/// Why a request ends its connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The header is not one of Kafka's, or names an API that is not served.
    #[error("malformed request: {0}")]
    Header(#[source] ProtocolError),
    /// The version is not served.
    #[error("{api_key:?} request of version {version}, served are {min} to {max}")]
    UnsupportedVersion {
        /// The API.
        api_key: ApiKey,
        /// The version asked for.
        version: i16,
        /// The first version served.
        min: i16,
        /// The last version served.
        max: i16,
    },
    /// The body is not what its version says.
    #[error("malformed {api_key:?} request of version {version}: {source}")]
    Body {
        /// The API.
        api_key: ApiKey,
        /// The version of the request.
        version: i16,
        /// What is wrong.
        source: ProtocolError,
    },
    /// The response has a value that its version cannot carry.
    #[error("could not write the {api_key:?} response of version {version}: {source}")]
    Response {
        /// The API.
        api_key: ApiKey,
        /// The version of the request.
        version: i16,
        /// What is wrong.
        source: ProtocolError,
    },
}

/// A request that runs.
pub(crate) type Running = BoxFuture<'static, Result<Finished, RequestError>>;

/// Reads the header of a request and hands the rest to its handler.
pub(crate) fn start(
    node: &Arc<NodeState>,
    peer: &Arc<Peer>,
    frame: Frame,
) -> Result<Running, RequestError> {
    let (header, body) = read_request_header(&frame.bytes).map_err(RequestError::Header)?;
    let api_key = header.api_key;
    let version = header.api_version;
    let correlation_id = header.correlation_id;
    if !header.is_supported() {
        if api_key == ApiKey::ApiVersions {
            return Ok(Box::pin(std::future::ready(unsupported_api_versions(correlation_id))));
        }
        let versions = api_key.versions();
        let (min, max) = (*versions.start(), *versions.end());
        return Err(RequestError::UnsupportedVersion { api_key, version, min, max });
    }
    let client_id = header.client_id.as_deref().unwrap_or_default().to_owned();
    let body = Frame { bytes: frame.bytes.slice_ref(body), permit: None };
    let body = Frame { permit: frame.permit, ..body };
    let ctx = RequestContext::new(node.clone(), peer.clone(), version, client_id, body);
    Ok(super::run(Request { api_key, correlation_id, ctx }))
}

fn unsupported_api_versions(correlation_id: i32) -> Result<Finished, RequestError> {
    let segments = encode_unsupported_api_versions(correlation_id).map_err(|source| {
        RequestError::Response { api_key: ApiKey::ApiVersions, version: 0, source }
    })?;
    Ok(Finished { pieces: pieces(segments, Vec::new()), close: false })
}

/// A request whose body is not read yet.
pub(crate) struct Request {
    pub(crate) api_key: ApiKey,
    pub(crate) correlation_id: i32,
    pub(crate) ctx: RequestContext,
}

impl Request {
    /// The error of a body that cannot be read.
    pub(crate) fn body_error(&self, source: ProtocolError) -> RequestError {
        RequestError::Body { api_key: self.api_key, version: self.ctx.api_version, source }
    }

    /// Writes the response.
    pub(crate) fn finish(&self, response: &impl Message) -> Result<Finished, RequestError> {
        let close = self.ctx.closes_connection();
        if self.ctx.withholds_reply() {
            return Ok(Finished { pieces: Vec::new(), close });
        }
        let version = self.ctx.api_version;
        let segments = encode_response(self.api_key, version, self.correlation_id, response)
            .map_err(|source| RequestError::Response { api_key: self.api_key, version, source })?;
        Ok(Finished { pieces: pieces(segments, self.ctx.take_file_ranges()), close })
    }
}

/// Puts the file ranges where the segments name them.
fn pieces(segments: Vec<Segment>, ranges: Vec<crate::partition::FileRange>) -> Vec<Piece> {
    let mut ranges: Vec<_> = ranges.into_iter().map(Some).collect();
    segments
        .into_iter()
        .filter_map(|segment| match segment {
            Segment::Bytes(bytes) => Some(Piece::Bytes(bytes)),
            Segment::External { id, .. } => {
                ranges.get_mut(id).and_then(Option::take).map(Piece::File)
            }
        })
        .collect()
}

/// Declares the table: `Key => module, Request;`, one API a line.
macro_rules! handlers {
    ($($key:ident => $module:ident, $request:ident;)*) => {
        /// Every API that has a handler, by key.
        pub(crate) fn served() -> impl Iterator<Item = ApiKey> {
            [$(ApiKey::$key),*].into_iter()
        }

        /// Runs the handler of a request.
        fn run(request: dispatch::Request) -> dispatch::Running {
            match request.api_key {
                $(ApiKey::$key => Box::pin(async move {
                    let body = <$request as aquifer_broker_protocol::Message>::read(
                        &request.ctx.body,
                        request.ctx.api_version,
                    )
                    .map_err(|source| request.body_error(source))?;
                    let response = $module::handle(&request.ctx, body).await;
                    request.finish(&response)
                }),)*
            }
        }
    };
}
pub(crate) use handlers;
