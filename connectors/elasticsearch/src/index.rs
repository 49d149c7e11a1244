//! The indexes that a task writes to: created, adopted and grown before their first document is sent.
//!
//! - An index that is missing is created with the mapping of the first record's schema and with how its versions are decided.
//! - An index that others made is adopted: its mapping stays, our decision is added to its `_meta`.
//! - A mapping that Elasticsearch does not let grow is logged and left: each document's own reply then tells.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aquifer_connect_api::ConnectError;
use bytes::Bytes;
use elasticsearch::http::Method;
use serde_json::{Map, Value, json};

use crate::client::{Client, Reply, path_segment};
use crate::config::{Creation, Writing};
use crate::mapping::{self, Mapped};
use crate::version::Versions;

/// What is known of the indexes.
pub(crate) struct Indexes {
    client: Client,
    timeout: Duration,
    known: HashMap<String, Known>,
}

/// An index that is ready.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) versions: Versions,
    pub(crate) properties: Arc<Map<String, Value>>,
}

/// What a record wants of its index.
pub(crate) struct Wanted<'a> {
    pub(crate) index: &'a str,
    pub(crate) creation: Creation,
    pub(crate) writing: Writing,
    /// What the record would decide.
    pub(crate) versions: Versions,
    pub(crate) properties: Map<String, Value>,
}

impl Indexes {
    /// Knows nothing yet. A change of metadata may take longer than a bulk, so it gets at least half a minute.
    pub(crate) fn new(client: Client, request_timeout: Duration) -> Self {
        let timeout = request_timeout.max(Duration::from_secs(30));
        Self { client, timeout, known: HashMap::new() }
    }

    /// Makes an index ready for what a record wants.
    pub(crate) async fn ensure(&mut self, wanted: &Wanted<'_>) -> Result<Known, ConnectError> {
        let index = wanted.index;
        let mut known = match self.known.get(index) {
            Some(known) => known.clone(),
            None => self.find_or_create(wanted).await?,
        };
        check_writing(index, wanted.writing, &known.versions)?;
        if let Some(added) = mapping::missing(&wanted.properties, &known.properties) {
            self.grow(index, &added).await?;
            mapping::merge(Arc::make_mut(&mut known.properties), &added);
        }
        self.known.insert(index.to_owned(), known.clone());
        Ok(known)
    }

    async fn find_or_create(&self, wanted: &Wanted<'_>) -> Result<Known, ConnectError> {
        let index = wanted.index;
        // A second round sees what another task has just created.
        for _ in 0..ROUNDS_MAX {
            if let Some(mapped) = self.find(index).await? {
                return self.adopt(wanted, mapped).await;
            }
            if wanted.creation == Creation::Forbidden {
                return Err(ConnectError::config(format!(
                    "topic.to.external.resource.mapping names {index}, which does not exist"
                )));
            }
            let body = mapping::create_body(&wanted.properties, &wanted.versions);
            let reply = self.call(Method::Put, &path_segment(index), Some(&body)).await?;
            if reply.is_success() {
                tracing::info!(index, versions = %wanted.versions.to_meta(), "created the index");
            } else if !reply.is_error("resource_already_exists_exception") {
                return Err(refusal(&format!("the index {index} can't be created"), &reply));
            }
        }
        Err(ConnectError::retriable(format!("the index {index} is created and deleted by turns")))
    }

    async fn find(&self, index: &str) -> Result<Option<Mapped>, ConnectError> {
        let path = format!("{}/_mapping", path_segment(index));
        let reply = self.call(Method::Get, &path, None).await?;
        if reply.status == 404 {
            return Ok(None);
        }
        let what = format!("the mapping of {index} can't be read");
        if !reply.is_success() {
            return Err(refusal(&what, &reply));
        }
        let body: Option<Value> = serde_json::from_slice(&reply.body).ok();
        let mapped = body.as_ref().and_then(Mapped::from_reply);
        mapped.map(Some).ok_or_else(|| refusal(&what, &reply))
    }

    async fn adopt(&self, wanted: &Wanted<'_>, mapped: Mapped) -> Result<Known, ConnectError> {
        let index = wanted.index;
        let versions = match mapped.versions() {
            Some(Ok(versions)) => versions,
            Some(Err(fault)) => {
                return Err(ConnectError::fatal(format!(
                    "`_meta.{}` of the index {index} can't be understood: {fault}",
                    mapping::META
                )));
            }
            None => {
                let path = format!("{}/_mapping", path_segment(&mapped.index));
                let body = mapped.decide_body(&wanted.versions);
                let reply = self.call(Method::Put, &path, Some(&body)).await?;
                if !reply.is_success() {
                    return Err(refusal(&format!("`_meta` of {index} can't be written"), &reply));
                }
                let path = format!("{}/_settings", path_segment(&mapped.index));
                let body = json!({"index": {"gc_deletes": mapping::GC_DELETES}});
                let reply = self.call(Method::Put, &path, Some(&body)).await?;
                if !reply.is_success() {
                    let reason = reply.reason();
                    tracing::warn!(index, reason, "index.gc_deletes keeps its value");
                }
                tracing::info!(index, versions = %wanted.versions.to_meta(), "adopted the index");
                wanted.versions.clone()
            }
        };
        Ok(Known { versions, properties: Arc::new(mapped.properties) })
    }

    async fn grow(&self, index: &str, added: &Map<String, Value>) -> Result<(), ConnectError> {
        let path = format!("{}/_mapping", path_segment(index));
        let reply = self.call(Method::Put, &path, Some(&json!({"properties": added}))).await?;
        let fields: Vec<&String> = added.keys().collect();
        if reply.is_success() {
            tracing::info!(index, ?fields, "added fields to the mapping");
        } else {
            let reason = reply.reason();
            tracing::warn!(index, ?fields, reason, "the mapping can't get the new fields");
        }
        Ok(())
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, ConnectError> {
        let body = body.map(|body| Bytes::from(body.to_string()));
        let reply = self
            .client
            .send(method, path, body, self.timeout)
            .await
            .map_err(|away| ConnectError::retriable(away.to_string()))?;
        match reply.status {
            429 | 500.. => Err(ConnectError::retriable(format!("{path}: {}", reply.reason()))),
            401 | 403 => Err(ConnectError::fatal(format!("{path}: {}", reply.reason()))),
            _ => Ok(reply),
        }
    }
}

/// How often another task may be quicker.
const ROUNDS_MAX: usize = 5;

fn refusal(what: &str, reply: &Reply) -> ConnectError {
    ConnectError::fatal(format!("{what}: {}", reply.reason()))
}

fn check_writing(index: &str, writing: Writing, versions: &Versions) -> Result<(), ConnectError> {
    match (writing, versions) {
        (Writing::Insert, Versions::None) => Err(ConnectError::config(format!(
            "the documents of {index} were written by write.method=upsert, without versions: use that, or another index"
        ))),
        (Writing::Upsert, Versions::Header { .. } | Versions::Offset) => {
            Err(ConnectError::config(format!(
                "the documents of {index} have versions, which write.method=upsert would spoil: use insert, or another index"
            )))
        }
        (Writing::Insert, Versions::Header { .. } | Versions::Offset)
        | (Writing::Upsert, Versions::None)
        | (Writing::ByOffset | Writing::Autogenerated, _) => Ok(()),
    }
}
