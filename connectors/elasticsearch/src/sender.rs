//! The background of a task: starts bulk requests, and sees each to its end.
//!
//! - A request is sent at once when none is in flight (after `linger.ms`); else records gather until they fill one.
//! - What fails for want of Elasticsearch is sent again, alone, until it is taken; its neighbours are finished meanwhile.
//! - Before each sending the task asks whether it still owns the partitions: a late write must not undo another task's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aquifer_connect_api::{ConnectError, SinkContext};
use bytes::Bytes;
use elasticsearch::http::Method;
use tokio::task::JoinSet;

use crate::bulk::{
    ItemReply, Verdict, append_fields, read_bulk, read_multi_get, verdict, write_multi_get,
};
use crate::client::{Away, Client, Reply};
use crate::config::{OnMalformed, Sending};
use crate::queue::{BulkBounds, Item};
use crate::state::{Errant, Shared};

mod backoff;

use backoff::Backoff;

/// Only what is read of a reply is asked for.
const BULK_PATH: &str = "_bulk?filter_path=errors,items.*.status,items.*.error";

/// Sends what is queued.
pub(crate) struct Sender {
    pub(crate) shared: Arc<Shared>,
    pub(crate) client: Client,
    pub(crate) context: Arc<dyn SinkContext>,
    pub(crate) sending: Sending,
}

/// How often a request is sent as it is before it is halved.
const WHOLE_ATTEMPTS_MAX: u32 = 3;

enum Work {
    Bulk,
    Report,
}

/// How a sending ended.
enum Sent {
    Replied(Vec<ItemReply>),
    TooLarge(String),
    Again { reason: String, timed_out: bool, rejected: bool },
    Denied(String),
}

impl Sender {
    /// Runs until it is aborted; aborting it ends its requests too.
    pub(crate) async fn drive(self: Arc<Self>) {
        let bounds = BulkBounds {
            records_max: self.sending.batch_records_max,
            bytes_max: self.sending.bulk_bytes_max,
        };
        let mut running = JoinSet::new();
        let mut bulks = 0;
        loop {
            for errant in self.shared.take_errants() {
                let sender = self.clone();
                running.spawn(async move {
                    sender.report(errant).await;
                    Work::Report
                });
            }
            let linger = self.sending.linger;
            if bulks == 0 && !linger.is_zero() && self.shared.wants_company(bounds) {
                tokio::time::sleep(linger).await;
            }
            while let Some(items) = self.shared.next_bulk(bulks, bounds) {
                bulks += 1;
                let sender = self.clone();
                running.spawn(async move {
                    sender.deliver(items).await;
                    Work::Bulk
                });
            }
            tokio::select! {
                () = self.shared.work.notified() => {}
                Some(ended) = running.join_next() => match ended {
                    Ok(Work::Bulk) => bulks -= 1,
                    Ok(Work::Report) => {}
                    Err(error) => {
                        let text = "a bulk request ended in a fault of this connector";
                        self.shared.fail(&ConnectError::fatal(text).caused_by(error));
                    }
                },
            }
        }
    }

    /// Sees items to their end: written, at fault, or no longer ours.
    async fn deliver(&self, items: Vec<Item>) {
        let mut backoff = Backoff::new(self.sending.retry_backoff);
        let mut timeout = self.sending.request_timeout;
        // A request that is too large is sent in parts, one after the other, which keeps the order of a document.
        let mut parts = vec![items];
        let mut part_records_max = usize::MAX;
        while let Some(part) = parts.pop() {
            let owns = |partition: &_| self.context.owns(partition);
            let mut items = self.shared.keep_current(part, owns);
            if items.is_empty() {
                continue;
            }
            if items.len() > part_records_max {
                parts.push(items.split_off(part_records_max));
            }
            match self.send(&mut items, timeout).await {
                Sent::Replied(replies) => {
                    let again = self.settle(items, replies);
                    if let Some((items, reason)) = again {
                        parts.push(items);
                        backoff.wait(&reason).await;
                    } else {
                        backoff.reset();
                    }
                }
                Sent::Again { reason, timed_out, rejected } => {
                    // What is too much for the server's memory or for the time stays too much: it is tried in halves.
                    if (timed_out || rejected) && backoff.attempts() >= WHOLE_ATTEMPTS_MAX {
                        part_records_max = (items.len() / 2).max(1);
                    }
                    parts.push(items);
                    if timed_out {
                        timeout = (timeout * 2).min(self.sending.flush_timeout);
                    }
                    if rejected {
                        self.shared.slow_down();
                    }
                    backoff.wait(&reason).await;
                }
                Sent::TooLarge(reason) if items.len() == 1 => {
                    let errant = |item| errant(item, reason.clone(), true);
                    self.shared.add_errants(items.into_iter().map(errant).collect());
                }
                Sent::TooLarge(_) => {
                    part_records_max = (items.len() / 2).max(1);
                    parts.push(items);
                }
                Sent::Denied(reason) => {
                    return self.shared.fail(&ConnectError::fatal(reason));
                }
            }
        }
    }

    async fn send(&self, items: &mut [Item], timeout: Duration) -> Sent {
        if let Err(sent) = self.fill_unavailable(items, timeout).await {
            return sent;
        }
        let bytes = items.iter().map(|item| item.payload.len()).sum();
        let mut body = Vec::with_capacity(bytes);
        items.iter().for_each(|item| body.extend_from_slice(&item.payload));
        let reply = match self.call(BULK_PATH, body.into(), timeout).await {
            Ok(reply) => reply,
            Err(sent) => return sent,
        };
        match read_bulk(&reply.body, items.len()) {
            Ok(replies) => Sent::Replied(replies),
            Err(error) => {
                let reason = ConnectError::retriable(error.to_string()).caused_by(error).trace();
                Sent::Again { reason, timed_out: false, rejected: false }
            }
        }
    }

    /// Gives documents the fields that their source could not give, from what is stored. Earlier writes of them are finished.
    async fn fill_unavailable(&self, items: &mut [Item], timeout: Duration) -> Result<(), Sent> {
        let mut lacking: Vec<&mut Item> =
            items.iter_mut().filter(|item| !item.unavailable.is_empty()).collect();
        let asked = lacking.iter().filter_map(|item| {
            let (index, id) = item.document.as_ref()?;
            Some((&**index, &**id, item.unavailable.as_slice()))
        });
        if lacking.is_empty() {
            return Ok(());
        }
        let reply = self.call("_mget", write_multi_get(asked).into(), timeout).await?;
        let again = |reason| Sent::Again { reason, timed_out: false, rejected: false };
        let stored = read_multi_get(&reply.body, lacking.len()).map_err(|error| {
            again(ConnectError::retriable(error.to_string()).caused_by(error).trace())
        })?;
        for (item, stored) in lacking.iter_mut().zip(stored) {
            // Without a stored document the fields stay out: better no value than a wrong one.
            if let Some(stored) = stored.map_err(again)? {
                let fields = item
                    .unavailable
                    .iter()
                    .filter_map(|name| Some((&**name, stored.get(&**name)?.get())));
                append_fields(&mut item.payload, fields);
            }
            item.unavailable.clear();
        }
        Ok(())
    }

    async fn call(&self, path: &str, body: Bytes, timeout: Duration) -> Result<Reply, Sent> {
        let reply = self.client.send(Method::Post, path, Some(body), timeout).await;
        let reply = reply.map_err(|away: Away| Sent::Again {
            reason: away.to_string(),
            timed_out: away.timed_out,
            rejected: false,
        })?;
        if reply.is_success() {
            return Ok(reply);
        }
        let reason = reply.reason();
        Err(match reply.status {
            413 => Sent::TooLarge(reason),
            408 | 429 => Sent::Again { reason, timed_out: false, rejected: true },
            500.. => Sent::Again { reason, timed_out: false, rejected: false },
            _ => Sent::Denied(reason),
        })
    }

    /// Finishes what is finished and reports what is at fault; gives what has to be sent again, and why.
    fn settle(&self, items: Vec<Item>, replies: Vec<ItemReply>) -> Option<(Vec<Item>, String)> {
        let mut finished = Vec::with_capacity(items.len());
        let mut errants = Vec::new();
        let mut again = Vec::new();
        let mut first_reason = None;
        let mut is_rejected = false;
        for (item, reply) in items.into_iter().zip(replies) {
            match verdict(item.operation, item.version.is_some(), reply) {
                Verdict::Done | Verdict::Stale => finished.push(item),
                Verdict::Malformed(reason) => errants.push(errant(item, reason, true)),
                Verdict::Refused(reason) => errants.push(errant(item, reason, false)),
                Verdict::Denied(reason) => self.shared.fail(&ConnectError::fatal(reason)),
                Verdict::Retry(reason) => {
                    first_reason.get_or_insert(reason);
                    again.push(item);
                }
                Verdict::Rejected(reason) => {
                    is_rejected = true;
                    first_reason.get_or_insert(reason);
                    again.push(item);
                }
            }
        }
        drop_superseded(&mut again, &mut finished);
        self.shared.finish(&finished);
        self.shared.add_errants(errants);
        if is_rejected {
            self.shared.slow_down();
        } else {
            self.shared.speed_up();
        }
        (!again.is_empty()).then(|| (again, first_reason.unwrap_or_default()))
    }

    async fn report(&self, errant: Errant) {
        let Errant { item, error, is_malformed } = errant;
        let text = error.to_string();
        let reported = self.context.errant_records().report(&item.original, error).await;
        let original = &item.original;
        match (reported, self.sending.on_malformed) {
            (Ok(()), _) => {}
            (Err(_), OnMalformed::Warn) if is_malformed => {
                tracing::warn!(topic = %original.topic, partition = original.partition, offset = original.offset, reason = text, "skipped a malformed document");
            }
            (Err(_), OnMalformed::Ignore) if is_malformed => {
                tracing::debug!(topic = %original.topic, partition = original.partition, offset = original.offset, reason = text, "ignored a malformed document");
            }
            (Err(error), _) => return self.shared.fail(&error),
        }
        self.shared.finish(std::slice::from_ref(&item));
    }
}

fn errant(item: Item, reason: String, is_malformed: bool) -> Errant {
    let Item { original, .. } = &item;
    let error = ConnectError::record(format!(
        "Elasticsearch refused the document of {}-{} at offset {}: {reason}",
        original.topic, original.partition, original.offset
    ));
    Errant { item, error, is_malformed }
}

/// An item need not be sent again when a later one of its document, of the same version or a newer, was taken: sent after it, it would
/// be stale, or undo it where the versions are equal.
fn drop_superseded(again: &mut Vec<Item>, finished: &mut Vec<Item>) {
    if again.is_empty() {
        return;
    }
    let mut taken = HashMap::new();
    for item in finished.iter() {
        if let (Some(document), Some(version)) = (&item.document, item.version) {
            let newest = taken.entry(document.clone()).or_insert((version, item.original.offset));
            *newest = (*newest).max((version, item.original.offset));
        }
    }
    let is_superseded = |item: &mut Item| {
        let newest = item.document.as_ref().and_then(|document| taken.get(document));
        newest.zip(item.version).is_some_and(|((version, offset), own)| {
            (*version, *offset) > (own, item.original.offset)
        })
    };
    finished.extend(again.extract_if(.., is_superseded));
}
