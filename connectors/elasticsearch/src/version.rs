//! PURE: how the documents of an index are versioned, and the version of a record.
//!
//! - Decided by the first record of an index, kept in its mapping, and never again record by record: numbers of two kinds don't compare.
//! - A record that lacks what its index decided is at fault; one of another epoch stops the task, because no order is known.

use aquifer_connect_api::{ConnectError, Headers, VERSION_EPOCH_HEADER, VERSION_HEADER};
use serde_json::{Value as Json, json};

/// What the versions of an index are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Versions {
    /// The number in a header; for the source's own header, valid within an epoch.
    Header { name: String, epoch: Option<String> },
    /// The record's offset.
    Offset,
    /// None: documents are merged in the order of their topic.
    None,
}

impl Versions {
    /// What a first record decides: the configured header, else the source's, else the offset.
    pub(crate) fn decide(configured: Option<&str>, headers: &Headers) -> Self {
        if let Some(name) = configured {
            return Versions::Header { name: name.to_owned(), epoch: None };
        }
        if headers.last(VERSION_HEADER).is_none() {
            return Versions::Offset;
        }
        Versions::Header { name: VERSION_HEADER.to_owned(), epoch: epoch(headers) }
    }

    /// As it stands in `_meta`.
    pub(crate) fn to_meta(&self) -> Json {
        match self {
            Versions::Header { name, epoch: None } => json!({"versions": "header", "header": name}),
            Versions::Header { name, epoch: Some(epoch) } => {
                json!({"versions": "header", "header": name, "version_epoch": epoch})
            }
            Versions::Offset => json!({"versions": "offset"}),
            Versions::None => json!({"versions": "none"}),
        }
    }

    /// Reads `_meta`.
    pub(crate) fn from_meta(meta: &Json) -> Result<Self, String> {
        let text = |key| meta.get(key).and_then(Json::as_str).map(str::to_owned);
        match (text("versions").as_deref(), text("header")) {
            (Some("offset"), _) => Ok(Versions::Offset),
            (Some("none"), _) => Ok(Versions::None),
            (Some("header"), Some(name)) => {
                Ok(Versions::Header { name, epoch: text("version_epoch") })
            }
            _ => Err(format!(
                "`versions` should be `header`, `offset` or `none`, but `_meta` has {meta}"
            )),
        }
    }

    /// The version of a record.
    pub(crate) fn of(
        &self,
        index: &str,
        headers: &Headers,
        offset: i64,
    ) -> Result<Option<i64>, ConnectError> {
        let (name, decided) = match self {
            Versions::None => return Ok(None),
            Versions::Offset => return Ok(Some(offset)),
            Versions::Header { name, epoch } => (name, epoch),
        };
        let Some(header) = headers.last(name) else {
            return Err(ConnectError::record(format!(
                "the index {index} takes its versions from the header {name}, and the record has none"
            )));
        };
        if name == VERSION_HEADER {
            check_epoch(index, decided.as_deref(), epoch(headers).as_deref())?;
        }
        let text = header.value.as_str();
        let number = text.map_or(header.value.as_i64(), |text| text.trim().parse().ok());
        number.filter(|number| *number >= 0).map(Some).ok_or_else(|| {
            ConnectError::record(format!(
                "the header {name} should be a whole number of at least 0, but is {}",
                header.value.as_str().unwrap_or(header.value.type_name())
            ))
        })
    }
}

fn epoch(headers: &Headers) -> Option<String> {
    headers.last(VERSION_EPOCH_HEADER)?.value.as_str().map(str::to_owned)
}

fn check_epoch(
    index: &str,
    decided: Option<&str>,
    found: Option<&str>,
) -> Result<(), ConnectError> {
    match (decided, found) {
        (decided, found) if decided == found => Ok(()),
        (Some(decided), None) => Err(ConnectError::record(format!(
            "the index {index} was built from the version epoch {decided}, and the record names none"
        ))),
        (decided, found) => Err(ConnectError::fatal(format!(
            "the index {index} was built from the version epoch {}, but the record is of {}: versions of two epochs have no order. \
             Choose: let the source take a new snapshot, delete the index and restart this connector; \
             or send the topic to another index (a RegexRouter transform, or topic.to.external.resource.mapping) and move readers there",
            decided.unwrap_or("(none)"),
            found.unwrap_or("(none)"),
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aquifer_connect_api::{ErrorKind, Value};

    fn headers(entries: &[(&str, Value)]) -> Headers {
        let mut headers = Headers::default();
        entries.iter().for_each(|(key, value)| headers.add(*key, None, value.clone()));
        headers
    }

    #[test]
    fn the_first_record_decides() {
        let check = |configured, entries: &[(&str, Value)], expected: Json| {
            let versions = Versions::decide(configured, &headers(entries));
            assert_eq!(versions.to_meta(), expected);
            assert_eq!(Versions::from_meta(&expected), Ok(versions));
        };
        check(None, &[], json!({"versions": "offset"}));
        let own = [(VERSION_HEADER, Value::Int64(7)), (VERSION_EPOCH_HEADER, Value::string("a/1"))];
        let meta = json!({"versions": "header", "header": "__version", "version_epoch": "a/1"});
        check(None, &own, meta);
        check(Some("v"), &own, json!({"versions": "header", "header": "v"}));
        assert!(Versions::from_meta(&json!({"versions": "guess"})).is_err());
    }

    #[test]
    fn a_record_has_the_version_that_its_index_decided() {
        let check = |versions: &Versions, entries: &[(&str, Value)], expected| {
            let version = versions.of("i", &headers(entries), 5);
            assert_eq!(version.map_err(|error| error.kind()), expected, "{entries:?}");
        };
        let header = Versions::Header { name: VERSION_HEADER.into(), epoch: Some("a".into()) };
        let epoch = |text: &str| (VERSION_EPOCH_HEADER, Value::string(text));
        let version = |value| (VERSION_HEADER, value);
        check(&Versions::Offset, &[version(Value::Int64(9))], Ok(Some(5)));
        check(&Versions::None, &[], Ok(None));
        check(&header, &[version(Value::Int64(9)), epoch("a")], Ok(Some(9)));
        check(&header, &[version(Value::string("12")), epoch("a")], Ok(Some(12)));
        check(&header, &[version(Value::Int8(3)), epoch("a")], Ok(Some(3)));
        check(&header, &[], Err(ErrorKind::Record));
        check(&header, &[version(Value::Int64(9))], Err(ErrorKind::Record));
        check(&header, &[version(Value::Int64(-1)), epoch("a")], Err(ErrorKind::Record));
        check(&header, &[version(Value::string("x")), epoch("a")], Err(ErrorKind::Record));
        check(&header, &[version(Value::Int64(9)), epoch("b")], Err(ErrorKind::Fatal));
    }
}
