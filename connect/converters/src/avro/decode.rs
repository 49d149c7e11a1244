//! An Avro schema compiled to steps, and the walk that reads a value by them. Strings and bytes stay slices of the payload.

use std::sync::Arc;

use aquifer_connect_api::{ByteString, Value};
use bytes::Bytes;

/// Items of arrays and maps that take no bytes, in one payload: more are refused, since they would make a small payload large.
const EMPTY_ITEMS_MAX: usize = 1 << 16;

/// How values of one schema are read.
#[derive(Debug)]
pub(crate) enum Plan {
    /// No bytes.
    Null,
    /// One byte.
    Boolean,
    /// A zigzag integer read as 8, 16 or 32 bits.
    Int8,
    Int16,
    Int32,
    /// A zigzag integer.
    Long,
    Float,
    Double,
    Bytes,
    Fixed(usize),
    String,
    Enum(Vec<ByteString>),
    Array(Arc<Plan>),
    Map(Arc<Plan>),
    /// An array of key and value that was a map.
    Entries(Arc<Plan>, Arc<Plan>),
    Record(Vec<Arc<Plan>>),
    /// Null at that branch of two, else the other.
    Optional {
        null: usize,
        other: Arc<Plan>,
    },
    /// Null at that branch, if there is one; each other branch is a field of a struct.
    Union {
        branches: Vec<Option<(usize, Arc<Plan>)>>,
        fields: usize,
    },
}

impl Plan {
    /// The value that those bytes are, all of them.
    pub(crate) fn read(&self, payload: &Bytes) -> Result<Value, String> {
        let mut reader = Reader { payload, position: 0, empty_items: 0 };
        let value = reader.value(self)?;
        match payload.len() - reader.position {
            0 => Ok(value),
            rest => Err(format!("{rest} bytes are left behind the value")),
        }
    }
}

struct Reader<'a> {
    payload: &'a Bytes,
    position: usize,
    empty_items: usize,
}

impl Reader<'_> {
    fn value(&mut self, plan: &Plan) -> Result<Value, String> {
        Ok(match plan {
            Plan::Null => Value::Null,
            Plan::Boolean => match self.take(1)?.first() {
                Some(0) => Value::Bool(false),
                Some(1) => Value::Bool(true),
                other => return Err(format!("a boolean is 0 or 1, found {other:?}")),
            },
            Plan::Int8 => Value::Int8(self.int("int8")?),
            Plan::Int16 => Value::Int16(self.int("int16")?),
            Plan::Int32 => Value::Int32(self.int("int32")?),
            Plan::Long => Value::Int64(self.long()?),
            Plan::Float => Value::Float32(f32::from_le_bytes(self.array()?)),
            Plan::Double => Value::Float64(f64::from_le_bytes(self.array()?)),
            Plan::Bytes => {
                let length = self.length()?;
                Value::Bytes(self.take(length)?)
            }
            Plan::Fixed(size) => Value::Bytes(self.take(*size)?),
            Plan::String => Value::String(self.text()?),
            Plan::Enum(symbols) => {
                let index = self.long()?;
                let symbol = usize::try_from(index).ok().and_then(|index| symbols.get(index));
                Value::String(
                    symbol
                        .ok_or_else(|| {
                            format!("an enum of {} symbols has none at {index}", symbols.len())
                        })?
                        .clone(),
                )
            }
            Plan::Array(items) => {
                let mut values = Vec::new();
                self.blocks(|reader| {
                    values.push(reader.value(items)?);
                    Ok(())
                })?;
                Value::Array(values)
            }
            Plan::Map(plan) => {
                let mut entries = Vec::new();
                self.blocks(|reader| {
                    entries.push((Value::String(reader.text()?), reader.value(plan)?));
                    Ok(())
                })?;
                Value::Map(entries)
            }
            Plan::Entries(keys, values) => {
                let mut entries = Vec::new();
                self.blocks(|reader| {
                    entries.push((reader.value(keys)?, reader.value(values)?));
                    Ok(())
                })?;
                Value::Map(entries)
            }
            Plan::Record(fields) => Value::Struct(
                fields.iter().map(|field| self.value(field)).collect::<Result<_, _>>()?,
            ),
            Plan::Optional { null, other } => match self.branch(2)? {
                branch if branch == *null => Value::Null,
                _ => self.value(other)?,
            },
            Plan::Union { branches, fields } => {
                let branch = self.branch(branches.len())?;
                let Some(Some((field, plan))) = branches.get(branch) else {
                    return Ok(Value::Null);
                };
                let mut values = vec![Value::Null; *fields];
                if let Some(value) = values.get_mut(*field) {
                    *value = self.value(plan)?;
                }
                Value::Struct(values)
            }
        })
    }

    fn take(&mut self, length: usize) -> Result<Bytes, String> {
        let remain = self.payload.len() - self.position;
        if length > remain {
            return Err(format!(
                "{length} bytes are announced at byte {} but {remain} remain",
                self.position
            ));
        }
        let start = self.position;
        self.position += length;
        Ok(self.payload.slice(start..self.position))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let bytes = self.payload.get(self.position..).and_then(|rest| rest.first_chunk::<N>());
        let bytes = bytes.ok_or_else(|| {
            format!("{N} bytes are needed at byte {} but fewer remain", self.position)
        })?;
        self.position += N;
        Ok(*bytes)
    }

    fn long(&mut self) -> Result<i64, String> {
        let mut raw = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = *self
                .payload
                .get(self.position)
                .ok_or_else(|| format!("a number at byte {} is cut off", self.position))?;
            self.position += 1;
            raw |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
            if byte < 0x80 {
                #[allow(clippy::cast_possible_wrap, reason = "zigzag: the bits are the number")]
                return Ok((raw >> 1) as i64 ^ -((raw & 1) as i64));
            }
        }
        Err(format!("a number that ends at byte {} has more than 10 bytes", self.position))
    }

    fn int<T: TryFrom<i64>>(&mut self, name: &str) -> Result<T, String> {
        let value = self.long()?;
        T::try_from(value).map_err(|_| format!("{value} is no {name}"))
    }

    fn length(&mut self) -> Result<usize, String> {
        let length = self.long()?;
        usize::try_from(length).map_err(|_| format!("the length {length} is negative"))
    }

    fn text(&mut self) -> Result<ByteString, String> {
        let length = self.length()?;
        ByteString::try_from(self.take(length)?)
            .map_err(|_| format!("the text that ends at byte {} is not UTF-8", self.position))
    }

    fn branch(&mut self, count: usize) -> Result<usize, String> {
        let index = self.long()?;
        usize::try_from(index)
            .ok()
            .filter(|index| *index < count)
            .ok_or_else(|| format!("a union of {count} branches has none at {index}"))
    }

    fn blocks(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                // A negative count is followed by the block's size in bytes, which a reader of everything does not need.
                self.long()?;
            }
            for _ in 0..count.unsigned_abs() {
                let start = self.position;
                item(self)?;
                self.empty_items += usize::from(self.position == start);
                if self.empty_items > EMPTY_ITEMS_MAX {
                    return Err(format!("more than {EMPTY_ITEMS_MAX} items of no bytes"));
                }
            }
        }
    }
}
