//! What every request and answer has in common: media types, JSON bodies, parameters, the shape of an error.

use std::collections::HashMap;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::ApiError;

/// The media types that are spoken, best first.
const MEDIA_TYPES: [&str; 3] = [
    "application/vnd.schemaregistry.v1+json",
    "application/vnd.schemaregistry+json",
    "application/json",
];

/// A JSON answer.
pub(super) struct Answer<T>(pub(super) T);

/// What a handler answers.
pub(super) type Reply<T> = Result<Answer<T>, ApiError>;

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => body.into_response(),
            Err(err) => ApiError::Store(err.to_string()).into_response(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, error_code) = self.code();
        let body = serde_json::json!({"error_code": error_code, "message": self.to_string()});
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, body.to_string()).into_response()
    }
}

/// Chooses the media type of the answer, before the request is looked at.
pub(super) async fn negotiate(request: Request, next: Next) -> Response {
    let chosen = accepted(request.headers());
    let mut response = match chosen {
        Some(_) => next.run(request).await,
        None => ApiError::NotAcceptable.into_response(),
    };
    let media_type = HeaderValue::from_static(chosen.unwrap_or(MEDIA_TYPES[0]));
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// The best of our media types that the client takes; any if it does not say.
fn accepted(headers: &HeaderMap) -> Option<&'static str> {
    let mut ranges = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim())
        .filter(|range| !range.is_empty())
        .peekable();
    if ranges.peek().is_none() {
        return Some(MEDIA_TYPES[0]);
    }
    let ranges: Vec<&str> = ranges.collect();
    MEDIA_TYPES.into_iter().find(|media_type| {
        ranges.iter().any(|range| {
            matches!(*range, "*/*" | "application/*") || range.eq_ignore_ascii_case(media_type)
        })
    })
}

/// A JSON body in one of our media types; `application/octet-stream` stands for none given.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let media_type = request.headers().get(CONTENT_TYPE).map(|value| {
            let value = value.to_str().unwrap_or_default();
            value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
        });
        match media_type.as_deref() {
            None | Some("" | "application/octet-stream") => {}
            Some(media_type) if MEDIA_TYPES.contains(&media_type) => {}
            Some(_) => return Err(ApiError::UnsupportedMediaType),
        }
        let bytes = axum::body::Bytes::from_request(request, state).await.map_err(|rejection| {
            match rejection.into_response().status() {
                StatusCode::PAYLOAD_TOO_LARGE => ApiError::BodyTooLarge,
                _ => ApiError::Malformed("the request body could not be read".to_owned()),
            }
        })?;
        object(&bytes).map(Body)
    }
}

/// Reads a body that must be an object; of a member that is given twice the last counts.
pub(super) fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::Missing("request body"));
    }
    let malformed = |err: serde_json::Error| ApiError::Malformed(err.to_string());
    match serde_json::from_slice(bytes).map_err(malformed)? {
        object @ Value::Object(_) => serde_json::from_value(object).map_err(malformed),
        Value::Null => Err(ApiError::Missing("request body")),
        _ => Err(ApiError::Malformed("the request body must be a JSON object".to_owned())),
    }
}

/// Parts of the path, decoded.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(path)| Self(path))
            .map_err(|err| ApiError::Malformed(err.body_text()))
    }
}

/// The same request for the path without slashes at its end, as JAX-RS sees it.
pub(super) fn without_trailing_slash(mut request: Request) -> Request {
    let uri = request.uri();
    let path = uri.path().trim_end_matches('/');
    if path.len() == uri.path().len() || path.is_empty() {
        return request;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    if let Ok(uri) = format!("{path}{query}").parse() {
        *request.uri_mut() = uri;
    }
    request
}

/// The query's parameters; the last of a repeated one counts.
#[derive(Default)]
pub(super) struct Query(HashMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        axum::extract::Query::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Query(parameters)| Self(parameters))
            .map_err(|err| ApiError::Malformed(err.to_string()))
    }
}

impl Query {
    /// A text, if given.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether a switch is on: anything but `true` is off.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.text(name) {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| ApiError::NoSuchResource),
        }
    }

    /// The part of a list that `offset` and `limit` ask for; `most` is the longest part.
    pub(super) fn page<T>(&self, list: Vec<T>, most: usize) -> Result<Vec<T>, ApiError> {
        let number = |name| Ok(self.number(name)?.and_then(|value| usize::try_from(value).ok()));
        let offset = number("offset")?.unwrap_or(0);
        let limit = number("limit")?.filter(|limit| (1..=most).contains(limit)).unwrap_or(most);
        Ok(list.into_iter().skip(offset).take(limit).collect())
    }
}

/// A version in a path: a number, or the latest as none.
pub(super) fn version(text: &str) -> Result<Option<i32>, ApiError> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("latest") || text == "-1" {
        return Ok(None);
    }
    let version = text.parse().ok().filter(|version| *version > 0);
    version.map(Some).ok_or_else(|| ApiError::InvalidVersion(text.to_owned()))
}

/// An id in a path; what is no number names no resource.
pub(super) fn id(text: &str) -> Result<i32, ApiError> {
    text.parse().map_err(|_| ApiError::NoSuchResource)
}

pub(super) async fn no_such_resource() -> ApiError {
    ApiError::NoSuchResource
}

pub(super) async fn method_not_allowed() -> ApiError {
    ApiError::MethodNotAllowed
}

/// Runs what may take a while, such as parsing, off the reactor.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(err) => Err(ApiError::Store(err.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_is_in_the_best_media_type_the_client_takes() {
        for (accept, expected) in [
            (None, Some(MEDIA_TYPES[0])),
            (Some("*/*"), Some(MEDIA_TYPES[0])),
            (Some("application/json"), Some(MEDIA_TYPES[2])),
            (
                Some("application/json; q=0.5, application/vnd.schemaregistry+json"),
                Some(MEDIA_TYPES[1]),
            ),
            (Some("text/html"), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(accepted(&headers), expected, "{accept:?}");
        }
    }

    #[test]
    fn body_is_an_object_and_the_last_of_two_members_counts() {
        let read = |text: &str| object::<HashMap<String, i32>>(text.as_bytes());
        assert_eq!(read(r#"{"a":1,"a":2}"#), Ok(HashMap::from([("a".to_owned(), 2)])));
        for text in ["", " ", "null"] {
            assert_eq!(read(text), Err(ApiError::Missing("request body")), "{text:?}");
        }
        for text in ["[]", "1", "{", r#"{"a":"x"}"#] {
            assert!(matches!(read(text), Err(ApiError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn slashes_at_the_end_of_a_path_do_not_count() {
        for (uri, expected) in [
            ("/subjects/", "/subjects"),
            ("/subjects//?deleted=true", "/subjects?deleted=true"),
            ("/subjects/a%2F", "/subjects/a%2F"),
            ("/", "/"),
        ] {
            let request = Request::builder().uri(uri).body(axum::body::Body::empty()).unwrap();
            assert_eq!(without_trailing_slash(request).uri(), expected);
        }
    }

    #[test]
    fn versions_are_numbers_from_one_or_latest() {
        assert_eq!(version("3"), Ok(Some(3)));
        assert_eq!(version(" LATEST "), Ok(None));
        assert_eq!(version("-1"), Ok(None));
        for text in ["0", "-2", "x", "2147483648", ""] {
            assert_eq!(version(text), Err(ApiError::InvalidVersion(text.to_owned())));
        }
    }
}
