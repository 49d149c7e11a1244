//! The connectors, transforms and converters that the program was built with, and how configs name them.

use std::sync::Arc;

use aquifer_connect_api::{
    Connector, ConnectorKind, ConverterPlugin, SinkConnector, SourceConnector, TransformPlugin,
};

/// Everything that a config may name. Filled in one place, by the program.
#[derive(Default)]
pub struct Plugins {
    /// Connectors into topics.
    pub sources: Vec<Arc<dyn SourceConnector>>,
    /// Connectors out of topics.
    pub sinks: Vec<Arc<dyn SinkConnector>>,
    /// Single message transforms.
    pub transforms: Vec<TransformPlugin>,
    /// Converters of keys and values.
    pub converters: Vec<ConverterPlugin>,
}

/// A connector, whichever way it moves data.
#[derive(Clone)]
pub(crate) enum ConnectorPlugin {
    Source(Arc<dyn SourceConnector>),
    Sink(Arc<dyn SinkConnector>),
}

impl ConnectorPlugin {
    /// What every connector is.
    pub(crate) fn connector(&self) -> &dyn Connector {
        match self {
            ConnectorPlugin::Source(source) => source.as_ref(),
            ConnectorPlugin::Sink(sink) => sink.as_ref(),
        }
    }

    /// Which way it moves data.
    pub(crate) fn kind(&self) -> ConnectorKind {
        match self {
            ConnectorPlugin::Source(_) => ConnectorKind::Source,
            ConnectorPlugin::Sink(_) => ConnectorKind::Sink,
        }
    }

    /// `source` or `sink`.
    pub(crate) fn kind_name(&self) -> &'static str {
        match self {
            ConnectorPlugin::Source(_) => "source",
            ConnectorPlugin::Sink(_) => "sink",
        }
    }
}

impl Plugins {
    /// Every connector, sinks first, as Connect lists them.
    pub(crate) fn connectors(&self) -> impl Iterator<Item = ConnectorPlugin> {
        let sinks = self.sinks.iter().cloned().map(ConnectorPlugin::Sink);
        sinks.chain(self.sources.iter().cloned().map(ConnectorPlugin::Source))
    }

    /// The connector of that class: its full name, an alias, its last part, or that without `Connector`.
    pub(crate) fn connector(&self, class: &str) -> Option<ConnectorPlugin> {
        self.connectors().find(|plugin| {
            let connector = plugin.connector();
            named(connector.class(), class, "Connector")
                || connector.aliases().iter().any(|alias| named(alias, class, "Connector"))
        })
    }

    /// The transform of that class.
    pub(crate) fn transform(&self, class: &str) -> Option<&TransformPlugin> {
        self.transforms.iter().find(|plugin| named(plugin.class, class, ""))
    }

    /// The converter of that class.
    pub(crate) fn converter(&self, class: &str) -> Option<&ConverterPlugin> {
        self.converters.iter().find(|plugin| named(plugin.class, class, "Converter"))
    }

    /// Connect's words for a class that nobody knows.
    pub(crate) fn unknown_connector(&self, class: &str) -> String {
        let available: Vec<String> = self
            .connectors()
            .map(|plugin| {
                let (name, version) = (plugin.connector().class(), plugin.connector().version());
                let kind = plugin.kind_name();
                format!(
                    "PluginDesc{{klass=class {name}, name='{name}', version='{version}', encodedVersion={version}, \
                     type={kind}, typeName='{kind}', location='classpath'}}"
                )
            })
            .collect();
        format!(
            "Failed to find any class that implements Connector and which name matches {class}, available connectors are: {}",
            available.join(", ")
        )
    }
}

/// Whether a config's `given` means the class: in full, its last part, or that without the suffix.
fn named(class: &str, given: &str, suffix: &str) -> bool {
    let simple = class.rsplit('.').next().unwrap_or(class);
    let pruned = simple.strip_suffix(suffix).filter(|pruned| !pruned.is_empty());
    given == class || given == simple || pruned == Some(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_may_be_named_in_full_or_in_short() {
        let check = |given: &str, expected: bool| {
            let class = "org.apache.kafka.connect.file.FileStreamSourceConnector";
            assert_eq!(named(class, given, "Connector"), expected, "{given}");
        };
        check("org.apache.kafka.connect.file.FileStreamSourceConnector", true);
        check("FileStreamSourceConnector", true);
        check("FileStreamSource", true);
        check("FileStream", false);
        check("", false);
    }
}
