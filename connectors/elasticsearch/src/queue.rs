//! PURE: items that wait to be sent, and the order of those of one document.
//!
//! - No two requests in flight hold items of one document: while one is out, the next ones of its id wait behind it.
//! - Within one request a document's items stand in their order, if they have versions and need nothing of the stored document.
//!   Else one request holds one of them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use aquifer_connect_api::{ByteString, Original};

use crate::bulk::Operation;
use crate::offset::Mark;

/// A document: its index and id.
pub(crate) type DocumentKey = (Arc<str>, Arc<str>);

/// A record on its way to Elasticsearch.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// The document, where order matters: `None` for an id that no other record has.
    pub(crate) document: Option<DocumentKey>,
    pub(crate) operation: Operation,
    pub(crate) version: Option<i64>,
    /// Its lines of the body.
    pub(crate) payload: Vec<u8>,
    /// Fields to be taken from the stored document before it is sent.
    pub(crate) unavailable: Vec<ByteString>,
    pub(crate) mark: Mark,
    pub(crate) original: Arc<Original>,
}

impl Item {
    /// True when it may follow another item of its document within one request.
    fn may_follow(&self) -> bool {
        self.version.is_some() && self.unavailable.is_empty()
    }

    /// What it costs to keep it.
    fn bytes(&self) -> usize {
        self.payload.len() + ITEM_BYTES
    }
}

/// About what an item takes beside its payload.
const ITEM_BYTES: usize = 200;

/// The bounds of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BulkBounds {
    pub(crate) records_max: usize,
    pub(crate) bytes_max: usize,
}

/// Items that wait, and the documents that are out.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    ready: VecDeque<Item>,
    ready_bytes: usize,
    /// Every document that has an item in `ready` or out, with the items that come after.
    documents: HashMap<DocumentKey, Document>,
    records: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Document {
    out: usize,
    waiting: VecDeque<Item>,
}

impl Queue {
    /// Adds an item at the end.
    pub(crate) fn push(&mut self, item: Item) {
        self.records += 1;
        self.bytes += item.bytes();
        let Some(key) = &item.document else { return self.make_ready(item) };
        match self.documents.get_mut(key) {
            Some(document) => document.waiting.push_back(item),
            None => {
                self.documents.insert(key.clone(), Document::default());
                self.make_ready(item);
            }
        }
    }

    fn make_ready(&mut self, item: Item) {
        self.ready_bytes += item.payload.len();
        self.ready.push_back(item);
    }

    /// How many records are held, waiting or out, and their bytes.
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.records, self.bytes)
    }

    /// True when something can be sent.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// True when a whole request can be filled.
    pub(crate) fn is_full(&self, bounds: BulkBounds) -> bool {
        self.ready.len() >= bounds.records_max || self.ready_bytes >= bounds.bytes_max
    }

    /// Takes the items of one request.
    pub(crate) fn take(&mut self, bounds: BulkBounds) -> Vec<Item> {
        let mut taken: Vec<Item> = Vec::new();
        let mut bytes = 0;
        let fits = |taken: &[Item], bytes: usize, item: &Item| {
            taken.is_empty()
                || (taken.len() < bounds.records_max
                    && bytes + item.payload.len() <= bounds.bytes_max)
        };
        while let Some(item) = self.ready.pop_front_if(|item| fits(&taken, bytes, item)) {
            self.ready_bytes -= item.payload.len();
            bytes += item.payload.len();
            let document = item.document.clone();
            let followers_allowed = item.version.is_some();
            taken.push(item);
            let Some(document) = document.and_then(|key| self.documents.get_mut(&key)) else {
                continue;
            };
            document.out += 1;
            while followers_allowed
                && let Some(next) = document
                    .waiting
                    .pop_front_if(|next| next.may_follow() && fits(&taken, bytes, next))
            {
                bytes += next.payload.len();
                document.out += 1;
                taken.push(next);
            }
        }
        taken
    }

    /// An item that was taken is finished with; the next of its document becomes ready when all that were out are back.
    pub(crate) fn release(&mut self, item: &Item) {
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(item.bytes());
        let Some(key) = &item.document else { return };
        let Some(document) = self.documents.get_mut(key) else { return };
        document.out = document.out.saturating_sub(1);
        if document.out > 0 {
            return;
        }
        match document.waiting.pop_front() {
            Some(next) => self.make_ready(next),
            None => drop(self.documents.remove(key)),
        }
    }
}

#[cfg(test)]
mod tests;
