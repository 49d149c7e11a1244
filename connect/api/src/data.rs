//! The data model: a schema, shared by all records of its kind, and a value that is walked beside it.
//!
//! - A struct's value is positional: `Value::Struct(values)` has exactly one value for each field of the schema, in its order.
//! - Strings and bytes are slices of the buffer they arrived in: cloning a value never copies text.
//! - A logical type is its schema's name over the encoded value, as in Kafka Connect's wire formats: a `Decimal` is `Bytes`, a
//!   `Date` an `Int32` of days, a `Timestamp` an `Int64` of milliseconds. No value here has a type of its own for them.
//! - A value without a schema (JSON without schemas) is made of `Map` with string keys, `Array`, `Int64`, `Float64`, `Bool`, `String`, `Null`.
//!
//! References: Kafka's `org.apache.kafka.connect.data`.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;

/// A schema as it is passed around: shared, compared by pointer first.
pub type SchemaRef = Arc<Schema>;

/// What a schema describes.
#[derive(Debug, Clone, PartialEq)]
pub enum SchemaKind {
    /// 8-bit signed integer.
    Int8,
    /// 16-bit signed integer.
    Int16,
    /// 32-bit signed integer.
    Int32,
    /// 64-bit signed integer.
    Int64,
    /// 32-bit IEEE 754 number.
    Float32,
    /// 64-bit IEEE 754 number.
    Float64,
    /// True or false.
    Boolean,
    /// UTF-8 text.
    String,
    /// Any bytes.
    Bytes,
    /// A list of values of one schema.
    Array(SchemaRef),
    /// Key schema and value schema.
    Map(SchemaRef, SchemaRef),
    /// Named fields in their order.
    Struct(Vec<Field>),
}

impl SchemaKind {
    /// The name that Kafka Connect's JSON gives the type: `int8` … `struct`.
    pub fn name(&self) -> &'static str {
        match self {
            SchemaKind::Int8 => "int8",
            SchemaKind::Int16 => "int16",
            SchemaKind::Int32 => "int32",
            SchemaKind::Int64 => "int64",
            SchemaKind::Float32 => "float",
            SchemaKind::Float64 => "double",
            SchemaKind::Boolean => "boolean",
            SchemaKind::String => "string",
            SchemaKind::Bytes => "bytes",
            SchemaKind::Array(_) => "array",
            SchemaKind::Map(..) => "map",
            SchemaKind::Struct(_) => "struct",
        }
    }
}

/// A field of a struct schema; its position in the schema is its position in the value.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The field's name, unique within the struct.
    pub name: ByteString,
    /// The schema of its values.
    pub schema: SchemaRef,
}

/// A type with its name, version, documentation, parameters and default.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// What it describes.
    pub kind: SchemaKind,
    /// True where `Value::Null` is allowed.
    pub optional: bool,
    /// The schema's full name, e.g. `io.debezium.time.MicroTimestamp`; a struct's record name.
    pub name: Option<ByteString>,
    /// The version of the schema as its author counts it.
    pub version: Option<i32>,
    /// Documentation for people.
    pub doc: Option<ByteString>,
    /// Parameters in their order, e.g. `scale` of a decimal.
    pub parameters: Vec<(ByteString, ByteString)>,
    /// The default value, of this schema.
    pub default: Option<Value>,
}

impl Schema {
    /// The value of a parameter.
    pub fn parameter(&self, key: &str) -> Option<&str> {
        self.parameters.iter().find(|(k, _)| k == key).map(|(_, v)| &**v)
    }

    /// The fields of a struct; of anything else, none.
    pub fn fields(&self) -> &[Field] {
        if let SchemaKind::Struct(fields) = &self.kind { fields } else { &[] }
    }

    /// The position and the field of that name.
    pub fn field(&self, name: &str) -> Option<(usize, &Field)> {
        self.fields().iter().enumerate().find(|(_, field)| field.name == name)
    }

    /// This schema's name, if it has one, as text.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// Builds a schema; `SchemaBuilder::int32().optional().build()`.
#[derive(Debug, Clone)]
pub struct SchemaBuilder(Schema);

macro_rules! kinds {
    ($($(#[$doc:meta])* $method:ident => $kind:ident),* $(,)?) => {
        $($(#[$doc])* pub fn $method() -> SchemaBuilder { SchemaBuilder::of(SchemaKind::$kind) })*
    };
}

impl SchemaBuilder {
    kinds! {
        /// An 8-bit integer.
        int8 => Int8,
        /// A 16-bit integer.
        int16 => Int16,
        /// A 32-bit integer.
        int32 => Int32,
        /// A 64-bit integer.
        int64 => Int64,
        /// A 32-bit float.
        float32 => Float32,
        /// A 64-bit float.
        float64 => Float64,
        /// A boolean.
        boolean => Boolean,
        /// A string.
        string => String,
        /// Bytes.
        bytes => Bytes,
    }

    /// A required, unnamed schema of that kind.
    pub fn of(kind: SchemaKind) -> Self {
        SchemaBuilder(Schema {
            kind,
            optional: false,
            name: None,
            version: None,
            doc: None,
            parameters: Vec::new(),
            default: None,
        })
    }

    /// An array of that item schema.
    pub fn array(items: SchemaRef) -> Self {
        Self::of(SchemaKind::Array(items))
    }

    /// A map of those key and value schemas.
    pub fn map(keys: SchemaRef, values: SchemaRef) -> Self {
        Self::of(SchemaKind::Map(keys, values))
    }

    /// A struct without fields yet.
    pub fn structure() -> Self {
        Self::of(SchemaKind::Struct(Vec::new()))
    }

    /// Starts from a copy of a schema.
    pub fn from_schema(schema: &Schema) -> Self {
        SchemaBuilder(schema.clone())
    }

    /// Allows null.
    pub fn optional(mut self) -> Self {
        self.0.optional = true;
        self
    }

    /// Names the schema.
    pub fn name(mut self, name: impl Into<ByteString>) -> Self {
        self.0.name = Some(name.into());
        self
    }

    /// Sets the version.
    pub fn version(mut self, version: i32) -> Self {
        self.0.version = Some(version);
        self
    }

    /// Sets the documentation.
    pub fn doc(mut self, doc: impl Into<ByteString>) -> Self {
        self.0.doc = Some(doc.into());
        self
    }

    /// Adds a parameter.
    pub fn parameter(mut self, key: impl Into<ByteString>, value: impl Into<ByteString>) -> Self {
        self.0.parameters.push((key.into(), value.into()));
        self
    }

    /// Sets the default value.
    pub fn default_value(mut self, value: Value) -> Self {
        self.0.default = Some(value);
        self
    }

    /// Adds a field to a struct; on any other kind it changes nothing.
    pub fn field(mut self, name: impl Into<ByteString>, schema: SchemaRef) -> Self {
        if let SchemaKind::Struct(fields) = &mut self.0.kind {
            fields.push(Field { name: name.into(), schema });
        }
        self
    }

    /// The finished schema.
    pub fn build(self) -> SchemaRef {
        Arc::new(self.0)
    }
}

/// A value; its schema, where there is one, is walked beside it.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// Null, of any optional schema.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// 8 bits.
    Int8(i8),
    /// 16 bits.
    Int16(i16),
    /// 32 bits.
    Int32(i32),
    /// 64 bits.
    Int64(i64),
    /// A 32-bit float.
    Float32(f32),
    /// A 64-bit float.
    Float64(f64),
    /// Text.
    String(ByteString),
    /// Bytes.
    Bytes(Bytes),
    /// A list.
    Array(Vec<Value>),
    /// Entries in their order.
    Map(Vec<(Value, Value)>),
    /// One value for each field of the struct's schema, in its order.
    Struct(Vec<Value>),
}

impl Value {
    /// Text from anything that becomes a string slice.
    pub fn string(text: impl Into<ByteString>) -> Value {
        Value::String(text.into())
    }

    /// True for `Null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Value::String(text) = self { Some(text) } else { None }
    }

    /// Any integer, widened.
    pub fn as_i64(&self) -> Option<i64> {
        if let Value::Int8(v) = self {
            Some(i64::from(*v))
        } else if let Value::Int16(v) = self {
            Some(i64::from(*v))
        } else if let Value::Int32(v) = self {
            Some(i64::from(*v))
        } else if let Value::Int64(v) = self {
            Some(*v)
        } else {
            None
        }
    }

    /// The values of a struct.
    pub fn as_struct(&self) -> Option<&[Value]> {
        if let Value::Struct(values) = self { Some(values) } else { None }
    }

    /// The value under a string key of a schemaless map.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let Value::Map(entries) = self else { return None };
        entries.iter().find(|(k, _)| k.as_str() == Some(key)).map(|(_, v)| v)
    }

    /// What the value is, in words for an error.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Int8(_) => "int8",
            Value::Int16(_) => "int16",
            Value::Int32(_) => "int32",
            Value::Int64(_) => "int64",
            Value::Float32(_) => "float",
            Value::Float64(_) => "double",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Array(_) => "array",
            Value::Map(_) => "map",
            Value::Struct(_) => "struct",
        }
    }
}
