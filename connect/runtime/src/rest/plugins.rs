//! `/connector-plugins`: what there is, which keys it has, and what is wrong with a config.

use aquifer_connect_api::config::{ConfigDef, ConfigKey};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use serde_json::{Value, json};

use super::RestState;
use super::connectors::{object, read_config};
use super::error::ApiError;
use crate::config::connector::def;
use crate::config::validation::{Entry, Report, shown};
use crate::header;

/// GET /connector-plugins
pub(crate) async fn list(State(state): State<RestState>, RawQuery(query): RawQuery) -> Json<Value> {
    let plugins = &state.context.plugins;
    let mut all: Vec<Value> = plugins
        .connectors()
        .map(|plugin| {
            let connector = plugin.connector();
            json!({ "class": connector.class(), "type": plugin.kind_name(), "version": connector.version() })
        })
        .collect();
    let every = query.is_some_and(|query| {
        query.split('&').any(|pair| pair.eq_ignore_ascii_case("connectorsOnly=false"))
    });
    if every {
        let entry = |class: &str, kind: &str| json!({ "class": class, "type": kind, "version": env!("CARGO_PKG_VERSION") });
        all.extend(plugins.transforms.iter().map(|plugin| entry(plugin.class, "transformation")));
        all.extend(plugins.converters.iter().map(|plugin| entry(plugin.class, "converter")));
        all.extend(header::CLASSES.iter().map(|(class, _)| entry(class, "header_converter")));
    }
    Json(Value::Array(all))
}

/// GET /connector-plugins/{plugin}/config
pub(crate) async fn config(
    State(state): State<RestState>,
    Path(class): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let plugins = &state.context.plugins;
    if let Some(plugin) = plugins.connector(&class) {
        let own = definitions(plugin.connector().config_def());
        let common = definitions(def(plugin.kind()));
        return Ok(Json(own.into_iter().chain(common).collect()));
    }
    let found = plugins.transform(&class).map(|plugin| (plugin.config_def)());
    let found = found.or_else(|| plugins.converter(&class).map(|plugin| (plugin.config_def)()));
    if header::CLASSES.iter().any(|(known, _)| *known == class) {
        return Ok(Json(json!([])));
    }
    let missing = || ApiError::not_found(format!("Unknown plugin {class}."));
    Ok(Json(Value::Array(definitions(found.ok_or_else(missing)?))))
}

/// PUT /connector-plugins/{plugin}/config/validate
pub(crate) async fn validate(
    State(state): State<RestState>,
    Path(class): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let config = read_config(&object(&body)?)?;
    if let Some(included) = config.get("connector.class") {
        let named = |class: &str| {
            state.context.plugins.connector(class).map(|plugin| plugin.connector().class())
        };
        if *included != class && (named(included).is_none() || named(included) != named(&class)) {
            return Err(ApiError::bad_request(format!(
                "Included connector type {included} does not match request type {class}"
            )));
        }
    }
    Ok(Json(report_body(&state.validated(&config).await?)))
}

fn definitions(def: &ConfigDef) -> Vec<Value> {
    let mut orders = Orders::default();
    def.keys.iter().map(|key| definition(key.name, key, orders.next(key.group))).collect()
}

/// Counts the keys of each group.
#[derive(Default)]
struct Orders(Vec<(&'static str, i64)>);

impl Orders {
    fn next(&mut self, group: &'static str) -> i64 {
        if group.is_empty() {
            return -1;
        }
        match self.0.iter_mut().find(|(name, _)| *name == group) {
            Some((_, order)) => {
                *order += 1;
                *order
            }
            None => {
                self.0.push((group, 1));
                1
            }
        }
    }
}

fn definition(name: &str, key: &ConfigKey, order: i64) -> Value {
    let display = if key.display_name.is_empty() { name } else { key.display_name };
    json!({
        "name": name,
        "type": key.kind.name(),
        "required": key.required,
        "default_value": key.default.map(|default| shown(key, default)),
        "importance": key.importance.name(),
        "documentation": key.doc,
        "group": if key.group.is_empty() { None } else { Some(key.group) },
        "order_in_group": order,
        "width": "NONE",
        "display_name": display,
        "dependents": [],
    })
}

fn report_body(report: &Report) -> Value {
    let mut orders = Orders::default();
    let mut groups: Vec<&str> = Vec::new();
    let configs: Vec<Value> = report
        .entries
        .iter()
        .map(|entry| {
            let group = entry.key.as_ref().map_or("", |key| key.group);
            if !group.is_empty() && !groups.contains(&group) {
                groups.push(group);
            }
            entry_body(entry, &mut orders)
        })
        .collect();
    json!({
        "name": report.class,
        "error_count": report.error_count(),
        "groups": groups,
        "configs": configs,
    })
}

fn entry_body(entry: &Entry, orders: &mut Orders) -> Value {
    let order = entry.key.as_ref().map_or(-1, |key| orders.next(key.group));
    let value = match &entry.key {
        Some(key) => entry.value.as_ref().map(|value| shown(key, value)),
        None => entry.value.clone(),
    };
    json!({
        "definition": entry.key.as_ref().map(|key| definition(&entry.name, key, order)),
        "value": {
            "name": entry.name,
            "value": value,
            "recommended_values": [],
            "errors": entry.errors,
            "visible": true,
        },
    })
}

#[cfg(test)]
mod tests {
    use aquifer_connect_api::config::{ConfigType, Importance};

    use super::*;

    #[test]
    fn report_has_the_shape_of_kafka_connect_and_hides_secrets() {
        let key =
            ConfigKey::optional("a.pass", ConfigType::Password, None, Importance::Low, "Doc.");
        let entry = Entry {
            name: "x.a.pass".to_owned(),
            key: Some(key.group("G").display("Pass")),
            value: Some("hunter2".to_owned()),
            errors: vec!["wrong".to_owned()],
        };
        let report = Report { class: "C".to_owned(), entries: vec![entry], ..Report::default() };
        let expected = concat!(
            r#"{"name":"C","error_count":1,"groups":["G"],"configs":[{"definition":{"name":"x.a.pass","type":"PASSWORD","#,
            r#""required":false,"default_value":null,"importance":"LOW","documentation":"Doc.","group":"G","order_in_group":1,"#,
            r#""width":"NONE","display_name":"Pass","dependents":[]},"value":{"name":"x.a.pass","value":"[hidden]","#,
            r#""recommended_values":[],"errors":["wrong"],"visible":true}}]}"#,
        );
        assert_eq!(report_body(&report).to_string(), expected);
    }
}
