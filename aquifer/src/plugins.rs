//! The table of plugins: every connector, converter and transform that a config can name. One line each, here or in the crate's own table.

use std::sync::Arc;

use aquifer_connect_runtime::Plugins;
use aquifer_connectors_elasticsearch::ElasticsearchSinkConnector;
use aquifer_connectors_files::{FileStreamSink, FileStreamSource};
use aquifer_connectors_postgres::PostgresConnector;

/// All of them.
pub(crate) fn table() -> Plugins {
    Plugins {
        sources: vec![Arc::new(FileStreamSource), Arc::new(PostgresConnector)],
        sinks: vec![Arc::new(ElasticsearchSinkConnector), Arc::new(FileStreamSink)],
        transforms: aquifer_connect_transforms::TABLE.to_vec(),
        converters: aquifer_connect_converters::TABLE.to_vec(),
    }
}
