//! The calls, over every address of the list in turn.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::RegistryError;
use crate::cache::Cache;

/// Answers remembered of each kind.
const ENTRIES_MAX: usize = 4096;
/// An answer larger than this is refused: no schema is.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// How long one address may take to answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Where the registry is and how to log in there.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// Base addresses, e.g. `http://127.0.0.1:8081`, tried in turn.
    pub urls: Vec<String>,
    /// User and password of basic authentication.
    pub basic_auth: Option<(String, String)>,
}

/// A reference to another subject's schema.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reference {
    /// The name that the schema uses.
    pub name: String,
    /// The subject that holds it.
    pub subject: String,
    /// Its version there.
    pub version: i32,
}

/// A schema as the registry holds it, with the texts that it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredSchema {
    /// Its id.
    pub id: u32,
    /// `AVRO`, `JSON` or `PROTOBUF`.
    pub schema_type: String,
    /// Its text.
    pub text: String,
    /// Referenced schemas, name and text, each behind those that it refers to itself.
    pub references: Vec<(String, String)>,
}

/// A client; cheap to share, one for all tasks.
#[derive(Debug)]
pub struct RegistryClient {
    http: reqwest::Client,
    options: RegistryOptions,
    by_id: Cache<u32, Arc<RegisteredSchema>>,
    ids: Cache<(String, String), u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SchemaBody<'a> {
    schema: &'a str,
    #[serde(skip_serializing_if = "is_avro")]
    schema_type: &'a str,
    #[serde(skip_serializing_if = "<[Reference]>::is_empty")]
    references: &'a [Reference],
}

fn is_avro(schema_type: &&str) -> bool {
    *schema_type == "AVRO"
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SchemaAnswer {
    #[serde(default)]
    id: u32,
    schema: String,
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Deserialize)]
struct IdAnswer {
    id: u32,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error_code: Option<i64>,
    message: Option<String>,
}

impl RegistryClient {
    /// A client for those addresses; asks nothing yet.
    pub fn new(options: RegistryOptions) -> Result<Self, RegistryError> {
        if options.urls.is_empty() {
            return Err(RegistryError::Options("schema.registry.url names no address".to_owned()));
        }
        for url in &options.urls {
            let known =
                reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
            if !known {
                return Err(RegistryError::Options(format!(
                    "schema.registry.url: {url} is not an http or https address"
                )));
            }
        }
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| RegistryError::Options(error.to_string()))?;
        Ok(Self { http, options, by_id: Cache::new(ENTRIES_MAX), ids: Cache::new(ENTRIES_MAX) })
    }

    /// The schema of an id, with its references.
    pub async fn schema_by_id(&self, id: u32) -> Result<Arc<RegisteredSchema>, RegistryError> {
        if let Some(schema) = self.by_id.get(&id) {
            return Ok(schema);
        }
        let answer: SchemaAnswer =
            self.call(reqwest::Method::GET, &format!("/schemas/ids/{id}"), None).await?;
        let references = self.resolve(answer.references).await?;
        let schema_type = answer.schema_type.unwrap_or_else(|| "AVRO".to_owned());
        let schema =
            Arc::new(RegisteredSchema { id, schema_type, text: answer.schema, references });
        self.by_id.put(id, Arc::clone(&schema));
        Ok(schema)
    }

    /// Registers a schema under a subject, or finds it there; answers its id.
    pub async fn register(
        &self,
        subject: &str,
        schema_type: &str,
        text: &str,
        references: &[Reference],
    ) -> Result<u32, RegistryError> {
        self.id_of(
            &format!("/subjects/{}/versions", encoded(subject)),
            subject,
            schema_type,
            text,
            references,
        )
        .await
    }

    /// The id of a schema that a subject has already.
    pub async fn lookup(
        &self,
        subject: &str,
        schema_type: &str,
        text: &str,
        references: &[Reference],
    ) -> Result<u32, RegistryError> {
        self.id_of(
            &format!("/subjects/{}", encoded(subject)),
            subject,
            schema_type,
            text,
            references,
        )
        .await
    }

    /// The newest version's schema of a subject and its id; never from memory.
    pub async fn latest(&self, subject: &str) -> Result<Arc<RegisteredSchema>, RegistryError> {
        let path = format!("/subjects/{}/versions/latest", encoded(subject));
        let answer: SchemaAnswer = self.call(reqwest::Method::GET, &path, None).await?;
        self.schema_by_id(answer.id).await
    }

    async fn id_of(
        &self,
        path: &str,
        subject: &str,
        schema_type: &str,
        text: &str,
        references: &[Reference],
    ) -> Result<u32, RegistryError> {
        let key = (subject.to_owned(), text.to_owned());
        if let Some(id) = self.ids.get(&key) {
            return Ok(id);
        }
        let body = SchemaBody { schema: text, schema_type, references };
        let answer: IdAnswer = self.call(reqwest::Method::POST, path, Some(&body)).await?;
        self.ids.put(key, answer.id);
        Ok(answer.id)
    }

    /// The texts of references and of theirs, each once, depth first.
    async fn resolve(
        &self,
        references: Vec<Reference>,
    ) -> Result<Vec<(String, String)>, RegistryError> {
        let mut resolved: Vec<(String, String)> = Vec::new();
        // A reference is pushed twice: to be opened, then, behind all of its own, to be kept.
        let mut open: Vec<(Reference, Option<String>)> =
            references.into_iter().rev().map(|reference| (reference, None)).collect();
        while let Some((reference, text)) = open.pop() {
            if resolved.iter().any(|(name, _)| *name == reference.name) {
                continue;
            }
            if let Some(text) = text {
                resolved.push((reference.name, text));
                continue;
            }
            let path = format!(
                "/subjects/{}/versions/{}?deleted=true",
                encoded(&reference.subject),
                reference.version
            );
            let answer: SchemaAnswer = self.call(reqwest::Method::GET, &path, None).await?;
            open.push((reference, Some(answer.schema)));
            open.extend(answer.references.into_iter().rev().map(|reference| (reference, None)));
        }
        Ok(resolved)
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&SchemaBody<'_>>,
    ) -> Result<T, RegistryError> {
        let mut last = None;
        for url in &self.options.urls {
            match self.call_one(url, &method, path, body).await {
                Err(error) if error.retriable() => last = Some(error),
                done => return done,
            }
        }
        Err(last.unwrap_or_else(|| {
            RegistryError::Options("schema.registry.url names no address".to_owned())
        }))
    }

    async fn call_one<T: serde::de::DeserializeOwned>(
        &self,
        url: &str,
        method: &reqwest::Method,
        path: &str,
        body: Option<&SchemaBody<'_>>,
    ) -> Result<T, RegistryError> {
        let request_name = || format!("{method} {path}");
        let unreachable =
            |source| RegistryError::Unreachable { urls: self.options.urls.join(","), source };
        let mut request =
            self.http.request(method.clone(), format!("{}{path}", url.trim_end_matches('/')));
        if let Some((user, password)) = &self.options.basic_auth {
            request = request.basic_auth(user, Some(password));
        }
        // Before `json`, which sets a content type of its own where none is there.
        request = request
            .header("content-type", "application/vnd.schemaregistry.v1+json")
            .header("accept", "application/vnd.schemaregistry.v1+json, application/json");
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                let message = format!("the answer is larger than {ANSWER_BYTES_MAX} bytes");
                return Err(RegistryError::Refused { code: 0, request: request_name(), message });
            }
            bytes.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return serde_json::from_slice(&bytes)
                .map_err(|source| RegistryError::Answer { request: request_name(), source });
        }
        let answer: ErrorAnswer = serde_json::from_slice(&bytes)
            .unwrap_or(ErrorAnswer { error_code: None, message: None });
        let message = answer
            .message
            .unwrap_or_else(|| String::from_utf8_lossy(&bytes).chars().take(500).collect());
        if status.is_server_error() || status.as_u16() == 429 {
            return Err(RegistryError::Unavailable {
                status: status.as_u16(),
                request: request_name(),
                message,
            });
        }
        let code = answer.error_code.unwrap_or_else(|| i64::from(status.as_u16()));
        Err(RegistryError::Refused { code, request: request_name(), message })
    }
}

/// A subject as one segment of a path.
fn encoded(subject: &str) -> String {
    let mut out = String::with_capacity(subject.len());
    for byte in subject.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte))
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_one_segment_of_the_path() {
        assert_eq!(encoded("shop.public.a/b-value"), "shop.public.a%2Fb-value");
        assert_eq!(encoded("ü:."), "%C3%BC%3A.");
    }

    #[test]
    fn an_address_that_is_no_url_is_refused() {
        let new = |url: &str| {
            RegistryClient::new(RegistryOptions { urls: vec![url.to_owned()], basic_auth: None })
        };
        assert!(new("localhost:8081").unwrap_err().to_string().contains("localhost:8081"));
        assert!(!new("nope").unwrap_err().retriable());
    }
}
