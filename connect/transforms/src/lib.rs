//! Single message transforms, one file each, and the table of them.
//!
//! - Names and options are Kafka's and Debezium's. A class that works on keys and on values stands in the table twice, `$Key` and `$Value`.
//! - What a transform works out for a schema is kept by the schema's identity: a record costs a walk, not a look-up.
#![deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::panic)]

mod extract_field;
mod extract_new_record_state;
mod hoist_field;
mod insert_field;
mod java_regex;
mod part;
mod regex_router;
mod replace_field;
#[cfg(test)]
mod testing;
mod value_to_key;

use aquifer_connect_api::TransformPlugin;
use part::Part;

/// Every transform that a config can name.
pub static TABLE: &[TransformPlugin] = &[
    TransformPlugin {
        class: "io.debezium.transforms.ExtractNewRecordState",
        config_def: extract_new_record_state::config_def,
        new: extract_new_record_state::new,
    },
    TransformPlugin {
        class: "org.apache.kafka.connect.transforms.ExtractField$Key",
        config_def: extract_field::config_def,
        new: |config| extract_field::new(config, Part::Key),
    },
    TransformPlugin {
        class: "org.apache.kafka.connect.transforms.ExtractField$Value",
        config_def: extract_field::config_def,
        new: |config| extract_field::new(config, Part::Value),
    },
    TransformPlugin {
        class: "org.apache.kafka.connect.transforms.HoistField$Key",
        config_def: hoist_field::config_def,
        new: |config| hoist_field::new(config, Part::Key),
    },
    TransformPlugin {
        class: "org.apache.kafka.connect.transforms.HoistField$Value",
        config_def: hoist_field::config_def,
        new: |config| hoist_field::new(config, Part::Value),
    },
    TransformPlugin {
        class: "org.apache.kafka.connect.transforms.InsertField$Key",
        config_def: insert_field::config_def,
        new: |config| insert_field::new(config, Part::Key),
    },
    TransformPlugin {
        class: "org.apache.kafka.connect.transforms.InsertField$Value",
        config_def: insert_field::config_def,
        new: |config| insert_field::new(config, Part::Value),
    },
    TransformPlugin {
        class: "org.apache.kafka.connect.transforms.RegexRouter",
        config_def: regex_router::config_def,
        new: regex_router::new,
    },
    TransformPlugin {
        class: "org.apache.kafka.connect.transforms.ReplaceField$Key",
        config_def: replace_field::config_def,
        new: |config| replace_field::new(config, Part::Key),
    },
    TransformPlugin {
        class: "org.apache.kafka.connect.transforms.ReplaceField$Value",
        config_def: replace_field::config_def,
        new: |config| replace_field::new(config, Part::Value),
    },
    TransformPlugin {
        class: "org.apache.kafka.connect.transforms.ValueToKey",
        config_def: value_to_key::config_def,
        new: value_to_key::new,
    },
];
