//! Names of the logical types that Kafka Connect and Debezium put on schemas, and their builders.
//!
//! References: Kafka's `org.apache.kafka.connect.data.{Decimal,Date,Time,Timestamp}`; Debezium 3.3, data types of the Postgres connector.

use crate::SchemaBuilder;

/// Unscaled two's-complement big-endian bytes; parameter `scale`.
pub const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
/// Days since the epoch, int32.
pub const DATE: &str = "org.apache.kafka.connect.data.Date";
/// Milliseconds since midnight, int32.
pub const TIME: &str = "org.apache.kafka.connect.data.Time";
/// Milliseconds since the epoch, int64.
pub const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";

/// Debezium: days since the epoch, int32.
pub const DEBEZIUM_DATE: &str = "io.debezium.time.Date";
/// Debezium: milliseconds since midnight, int32.
pub const DEBEZIUM_TIME: &str = "io.debezium.time.Time";
/// Debezium: microseconds since midnight, int64.
pub const DEBEZIUM_MICRO_TIME: &str = "io.debezium.time.MicroTime";
/// Debezium: nanoseconds since midnight, int64.
pub const DEBEZIUM_NANO_TIME: &str = "io.debezium.time.NanoTime";
/// Debezium: milliseconds since the epoch without a zone, int64.
pub const DEBEZIUM_TIMESTAMP: &str = "io.debezium.time.Timestamp";
/// Debezium: microseconds since the epoch without a zone, int64.
pub const DEBEZIUM_MICRO_TIMESTAMP: &str = "io.debezium.time.MicroTimestamp";
/// Debezium: nanoseconds since the epoch without a zone, int64.
pub const DEBEZIUM_NANO_TIMESTAMP: &str = "io.debezium.time.NanoTimestamp";
/// Debezium: ISO 8601 with a zone, string.
pub const DEBEZIUM_ZONED_TIMESTAMP: &str = "io.debezium.time.ZonedTimestamp";
/// Debezium: ISO 8601 time with a zone, string.
pub const DEBEZIUM_ZONED_TIME: &str = "io.debezium.time.ZonedTime";
/// Debezium: microseconds of a duration, int64.
pub const DEBEZIUM_MICRO_DURATION: &str = "io.debezium.time.MicroDuration";
/// Debezium: ISO 8601 duration, string.
pub const DEBEZIUM_INTERVAL: &str = "io.debezium.time.Interval";
/// Debezium: struct of `scale` int32 and `value` bytes, for a decimal without a fixed scale.
pub const DEBEZIUM_VARIABLE_SCALE_DECIMAL: &str = "io.debezium.data.VariableScaleDecimal";
/// Debezium: JSON text.
pub const DEBEZIUM_JSON: &str = "io.debezium.data.Json";
/// Debezium: UUID text.
pub const DEBEZIUM_UUID: &str = "io.debezium.data.Uuid";
/// Debezium: XML text.
pub const DEBEZIUM_XML: &str = "io.debezium.data.Xml";
/// Debezium: one of `allowed`, a comma-separated parameter.
pub const DEBEZIUM_ENUM: &str = "io.debezium.data.Enum";
/// Debezium: little-endian bits; parameter `length`.
pub const DEBEZIUM_BITS: &str = "io.debezium.data.Bits";

/// A decimal of that scale.
pub fn decimal(scale: i32) -> SchemaBuilder {
    SchemaBuilder::bytes().name(DECIMAL).version(1).parameter("scale", scale.to_string())
}
