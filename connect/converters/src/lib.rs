//! Converters between Connect's data and bytes in topics, one file each, and the table of them.
//!
//! - Names and options are Kafka's and Confluent's.
//! - A schema is compiled once into a plan; a record is a walk over it. Strings and bytes that are read stay slices of the record.

mod avro;
mod byte_array;
mod json;
mod string;

use aquifer_connect_api::ConverterPlugin;

/// Every converter that a config can name.
pub static TABLE: &[ConverterPlugin] = &[
    ConverterPlugin {
        class: "io.confluent.connect.avro.AvroConverter",
        config_def: avro::config_def,
        new: avro::new,
    },
    ConverterPlugin {
        class: "org.apache.kafka.connect.converters.ByteArrayConverter",
        config_def: byte_array::config_def,
        new: byte_array::new,
    },
    ConverterPlugin {
        class: "org.apache.kafka.connect.json.JsonConverter",
        config_def: json::config_def,
        new: json::new,
    },
    ConverterPlugin {
        class: "org.apache.kafka.connect.storage.StringConverter",
        config_def: string::config_def,
        new: string::new,
    },
];
