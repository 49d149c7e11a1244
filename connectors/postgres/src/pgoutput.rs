//! The messages of Postgres's `pgoutput` plug-in, protocol 1: WAL bytes in, borrowed messages out.
//!
//! - PURE, and never panics: every length is checked against the bytes that are there.
//! - Nothing is copied: names, tuples and values are slices of the input.
//!
//! References: PostgreSQL documentation, "Logical Replication Message Formats".
#![deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::panic)]

use crate::lsn::Lsn;

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PgOutputError {
    /// Fewer bytes than the field needs.
    #[error("{field} needs {needed} bytes but only {remaining} remain in the message")]
    Truncated {
        /// The field that was being read.
        field: &'static str,
        /// How many bytes it needs.
        needed: usize,
        /// How many there are.
        remaining: usize,
    },
    /// A count or length below zero.
    #[error("{field} is {value}, expected 0 or more")]
    Negative {
        /// The field.
        field: &'static str,
        /// What came.
        value: i64,
    },
    /// A tag that protocol 1 does not have.
    #[error("unknown {what} tag {tag:#04x}")]
    UnknownTag {
        /// Of what.
        what: &'static str,
        /// What came.
        tag: u8,
    },
    /// Text that is not UTF-8.
    #[error("{field} is not valid UTF-8")]
    NotUtf8 {
        /// The field.
        field: &'static str,
    },
    /// Bytes were left over.
    #[error("{remaining} bytes remain after the message")]
    Trailing {
        /// How many.
        remaining: usize,
    },
}

/// Which columns of the old row a table's updates and deletes carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaIdentity {
    /// The primary key, if there is one.
    Default,
    /// Nothing.
    Nothing,
    /// The whole row.
    Full,
    /// The columns of an index.
    Index,
}

/// A column of a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column<'a> {
    /// Part of the replica identity.
    pub key: bool,
    /// Its name.
    pub name: &'a str,
    /// The OID of its type.
    pub type_oid: u32,
    /// Its type modifier, -1 for none.
    pub type_modifier: i32,
}

/// What a table looks like from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation<'a> {
    /// Its OID.
    pub oid: u32,
    /// Its schema; empty means `pg_catalog`.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its replica identity.
    pub replica_identity: ReplicaIdentity,
    /// Its columns in order.
    pub columns: Vec<Column<'a>>,
}

/// The old row of an update or delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldTuple<'a> {
    /// Only the columns of the replica identity; the others are null.
    Key(Tuple<'a>),
    /// The whole row.
    Full(Tuple<'a>),
}

impl<'a> OldTuple<'a> {
    /// The columns, whichever they are.
    pub fn tuple(self) -> Tuple<'a> {
        let (OldTuple::Key(tuple) | OldTuple::Full(tuple)) = self;
        tuple
    }
}

/// A row: its columns are read while they are walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple<'a> {
    count: usize,
    body: &'a [u8],
}

/// One column of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TupleValue<'a> {
    /// Null.
    Null,
    /// A TOASTed value that the change left as it was and that was not sent.
    Unchanged,
    /// The text of the value.
    Text(&'a [u8]),
}

impl<'a> Tuple<'a> {
    /// How many columns there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The columns in order. A tuple was checked when its message was parsed.
    pub fn values(&self) -> TupleValues<'a> {
        TupleValues { left: self.count, reader: Reader { bytes: self.body } }
    }
}

/// Walks the columns of a row.
#[derive(Debug, Clone)]
pub struct TupleValues<'a> {
    left: usize,
    reader: Reader<'a>,
}

impl<'a> Iterator for TupleValues<'a> {
    type Item = TupleValue<'a>;

    fn next(&mut self) -> Option<TupleValue<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.reader.tuple_value().ok()
    }
}

/// A message of protocol 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// A transaction begins; its changes follow, then its commit.
    Begin {
        /// Where its commit record starts.
        commit_lsn: Lsn,
        /// Microseconds since 2000-01-01.
        commit_time: i64,
        /// Its id.
        xid: u32,
    },
    /// The transaction ends.
    Commit {
        /// Where its commit record starts.
        commit_lsn: Lsn,
        /// Where its commit record ends.
        end_lsn: Lsn,
        /// Microseconds since 2000-01-01.
        commit_time: i64,
    },
    /// The transaction came from another server.
    Origin {
        /// Where it was committed there.
        lsn: Lsn,
        /// The server's name.
        name: &'a str,
    },
    /// A table.
    Relation(Relation<'a>),
    /// A type that is not built in.
    Type {
        /// Its OID.
        oid: u32,
        /// Its schema.
        namespace: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// A row was inserted.
    Insert {
        /// Into which table.
        relation: u32,
        /// The row.
        new: Tuple<'a>,
    },
    /// A row was updated.
    Update {
        /// Of which table.
        relation: u32,
        /// The row before, where it was sent.
        old: Option<OldTuple<'a>>,
        /// The row.
        new: Tuple<'a>,
    },
    /// A row was deleted.
    Delete {
        /// From which table.
        relation: u32,
        /// The row before.
        old: OldTuple<'a>,
    },
    /// Tables were emptied.
    Truncate {
        /// Bit 0 CASCADE, bit 1 RESTART IDENTITY.
        options: u8,
        /// The tables.
        relations: Vec<u32>,
    },
    /// A message of `pg_logical_emit_message`.
    Logical {
        /// Whether it belongs to a transaction.
        transactional: bool,
        /// Its position.
        lsn: Lsn,
        /// Its prefix.
        prefix: &'a str,
        /// Its content.
        content: &'a [u8],
    },
}

impl<'a> Message<'a> {
    /// Reads one whole message.
    pub fn parse(bytes: &'a [u8]) -> Result<Message<'a>, PgOutputError> {
        let mut reader = Reader { bytes };
        let tag = reader.u8("message")?;
        let message = match tag {
            b'B' => Message::Begin {
                commit_lsn: reader.lsn("final LSN")?,
                commit_time: reader.i64("commit time")?,
                xid: reader.u32("transaction id")?,
            },
            b'C' => {
                reader.u8("flags")?;
                Message::Commit {
                    commit_lsn: reader.lsn("commit LSN")?,
                    end_lsn: reader.lsn("end LSN")?,
                    commit_time: reader.i64("commit time")?,
                }
            }
            b'O' => {
                Message::Origin { lsn: reader.lsn("origin LSN")?, name: reader.text("origin")? }
            }
            b'R' => Message::Relation(reader.relation()?),
            b'Y' => Message::Type {
                oid: reader.u32("type")?,
                namespace: reader.text("type schema")?,
                name: reader.text("type name")?,
            },
            b'I' => {
                let relation = reader.u32("relation")?;
                reader.expect(b'N', "new tuple")?;
                Message::Insert { relation, new: reader.tuple()? }
            }
            b'U' => {
                let relation = reader.u32("relation")?;
                let tag = reader.u8("tuple")?;
                if tag == b'N' {
                    Message::Update { relation, old: None, new: reader.tuple()? }
                } else {
                    let old = Some(reader.old_tuple(tag)?);
                    reader.expect(b'N', "new tuple")?;
                    Message::Update { relation, old, new: reader.tuple()? }
                }
            }
            b'D' => {
                let relation = reader.u32("relation")?;
                let tag = reader.u8("tuple")?;
                Message::Delete { relation, old: reader.old_tuple(tag)? }
            }
            b'T' => {
                let count = reader.count32("number of relations")?;
                let options = reader.u8("options")?;
                reader.has("relations", count.saturating_mul(4))?;
                let relations =
                    (0..count).map(|_| reader.u32("relation")).collect::<Result<_, _>>()?;
                Message::Truncate { options, relations }
            }
            b'M' => {
                let transactional = reader.u8("flags")? & 1 == 1;
                let lsn = reader.lsn("message LSN")?;
                let prefix = reader.text("message prefix")?;
                let length = reader.count32("message length")?;
                let content = reader.take("message content", length)?;
                Message::Logical { transactional, lsn, prefix, content }
            }
            tag => return Err(PgOutputError::UnknownTag { what: "message", tag }),
        };
        match reader.bytes.len() {
            0 => Ok(message),
            remaining => Err(PgOutputError::Trailing { remaining }),
        }
    }
}

#[derive(Debug, Clone)]
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn has(&self, field: &'static str, needed: usize) -> Result<(), PgOutputError> {
        if self.bytes.len() < needed {
            return Err(PgOutputError::Truncated { field, needed, remaining: self.bytes.len() });
        }
        Ok(())
    }

    fn take(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], PgOutputError> {
        let remaining = self.bytes.len();
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(PgOutputError::Truncated {
            field,
            needed: count,
            remaining,
        })?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], PgOutputError> {
        let remaining = self.bytes.len();
        let (taken, rest) = self
            .bytes
            .split_first_chunk::<N>()
            .ok_or(PgOutputError::Truncated { field, needed: N, remaining })?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn u8(&mut self, field: &'static str) -> Result<u8, PgOutputError> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    fn u32(&mut self, field: &'static str) -> Result<u32, PgOutputError> {
        self.array(field).map(u32::from_be_bytes)
    }

    fn i64(&mut self, field: &'static str) -> Result<i64, PgOutputError> {
        self.array(field).map(i64::from_be_bytes)
    }

    fn lsn(&mut self, field: &'static str) -> Result<Lsn, PgOutputError> {
        self.array(field).map(|bytes| Lsn(u64::from_be_bytes(bytes)))
    }

    fn count16(&mut self, field: &'static str) -> Result<usize, PgOutputError> {
        let value = i16::from_be_bytes(self.array(field)?);
        usize::try_from(value)
            .map_err(|_| PgOutputError::Negative { field, value: i64::from(value) })
    }

    fn count32(&mut self, field: &'static str) -> Result<usize, PgOutputError> {
        let value = i32::from_be_bytes(self.array(field)?);
        usize::try_from(value)
            .map_err(|_| PgOutputError::Negative { field, value: i64::from(value) })
    }

    fn text(&mut self, field: &'static str) -> Result<&'a str, PgOutputError> {
        let remaining = self.bytes.len();
        let end = self.bytes.iter().position(|byte| *byte == 0);
        let needed = remaining.saturating_add(1);
        let end = end.ok_or(PgOutputError::Truncated { field, needed, remaining })?;
        let text = self.take(field, end)?;
        self.u8(field)?;
        std::str::from_utf8(text).map_err(|_| PgOutputError::NotUtf8 { field })
    }

    fn expect(&mut self, tag: u8, what: &'static str) -> Result<(), PgOutputError> {
        match self.u8(what)? {
            came if came == tag => Ok(()),
            tag => Err(PgOutputError::UnknownTag { what, tag }),
        }
    }

    fn relation(&mut self) -> Result<Relation<'a>, PgOutputError> {
        let oid = self.u32("relation")?;
        let namespace = self.text("relation schema")?;
        let name = self.text("relation name")?;
        let replica_identity = match self.u8("replica identity")? {
            b'd' => ReplicaIdentity::Default,
            b'n' => ReplicaIdentity::Nothing,
            b'f' => ReplicaIdentity::Full,
            b'i' => ReplicaIdentity::Index,
            tag => return Err(PgOutputError::UnknownTag { what: "replica identity", tag }),
        };
        let count = self.count16("number of columns")?;
        let column = |_| {
            Ok(Column {
                key: self.u8("column flags")? & 1 == 1,
                name: self.text("column name")?,
                type_oid: self.u32("column type")?,
                type_modifier: i32::from_be_bytes(self.array("column type modifier")?),
            })
        };
        let columns = (0..count).map(column).collect::<Result<_, _>>()?;
        Ok(Relation { oid, namespace, name, replica_identity, columns })
    }

    fn old_tuple(&mut self, tag: u8) -> Result<OldTuple<'a>, PgOutputError> {
        match tag {
            b'K' => self.tuple().map(OldTuple::Key),
            b'O' => self.tuple().map(OldTuple::Full),
            tag => Err(PgOutputError::UnknownTag { what: "old tuple", tag }),
        }
    }

    /// Walks the tuple once, so that reading its values later can't fail.
    fn tuple(&mut self) -> Result<Tuple<'a>, PgOutputError> {
        let count = self.count16("number of tuple columns")?;
        let start = self.bytes;
        for _ in 0..count {
            self.tuple_value()?;
        }
        let length = start.len().saturating_sub(self.bytes.len());
        let (body, _) = start.split_at_checked(length).unwrap_or((start, &[]));
        Ok(Tuple { count, body })
    }

    fn tuple_value(&mut self) -> Result<TupleValue<'a>, PgOutputError> {
        match self.u8("tuple column")? {
            b'n' => Ok(TupleValue::Null),
            b'u' => Ok(TupleValue::Unchanged),
            b't' => {
                let length = self.count32("column length")?;
                self.take("column value", length).map(TupleValue::Text)
            }
            tag => Err(PgOutputError::UnknownTag { what: "tuple column", tag }),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
