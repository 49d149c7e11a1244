//! Order per document, bounds, and that nothing stays behind.

use super::*;
use crate::offset::Tracker;
use aquifer_connect_api::TopicPartition;
use proptest::prelude::*;

fn item(offset: i64, id: Option<&str>, version: Option<i64>, unavailable: bool) -> Item {
    let original = Original {
        topic: "t".into(),
        partition: 0,
        offset,
        timestamp_ms: None,
        key: None,
        value: None,
        headers: Vec::new(),
    };
    let partition = TopicPartition { topic: "t".into(), partition: 0 };
    Item {
        document: id.map(|id| ("i".into(), id.into())),
        operation: Operation::Index,
        version,
        payload: vec![b'x'; 10],
        unavailable: if unavailable { vec!["f".into()] } else { Vec::new() },
        mark: Tracker::default().take(&partition, offset).unwrap(),
        original: Arc::new(original),
    }
}

fn offsets(items: &[Item]) -> Vec<i64> {
    items.iter().map(|item| item.original.offset).collect()
}

const WIDE: BulkBounds = BulkBounds { records_max: 100, bytes_max: 1000 };

#[test]
fn a_document_that_is_out_holds_its_next_items_back() {
    let mut queue = Queue::default();
    queue.push(item(0, Some("a"), Some(0), false));
    let first = queue.take(WIDE);
    queue.push(item(1, Some("a"), Some(1), false));
    queue.push(item(2, Some("b"), Some(2), false));
    assert_eq!(offsets(&queue.take(WIDE)), [2]);
    queue.release(&first[0]);
    assert_eq!(offsets(&queue.take(WIDE)), [1]);
}

#[test]
fn versioned_items_of_a_document_share_a_request_and_others_do_not() {
    let mut queue = Queue::default();
    (0..3).for_each(|offset| queue.push(item(offset, Some("a"), Some(offset), false)));
    assert_eq!(offsets(&queue.take(WIDE)), [0, 1, 2]);
    let mut queue = Queue::default();
    (0..2).for_each(|offset| queue.push(item(offset, Some("a"), None, false)));
    assert_eq!(offsets(&queue.take(WIDE)), [0]);
    let mut queue = Queue::default();
    queue.push(item(0, Some("a"), Some(0), false));
    queue.push(item(1, Some("a"), Some(1), true));
    let first = queue.take(WIDE);
    assert_eq!(offsets(&first), [0], "what needs the stored document waits until it is stored");
    queue.release(&first[0]);
    assert_eq!(offsets(&queue.take(WIDE)), [1]);
}

#[test]
fn a_request_keeps_its_bounds_but_takes_one_record_of_any_size() {
    let mut queue = Queue::default();
    (0..5).for_each(|offset| queue.push(item(offset, None, None, false)));
    let bounds = |records_max, bytes_max| BulkBounds { records_max, bytes_max };
    assert!(queue.is_full(bounds(5, 1000)) && queue.is_full(bounds(6, 50)));
    assert!(!queue.is_full(bounds(6, 51)));
    assert_eq!(offsets(&queue.take(bounds(2, 1000))), [0, 1]);
    assert_eq!(offsets(&queue.take(bounds(9, 20))), [2, 3]);
    assert_eq!(offsets(&queue.take(bounds(9, 1))), [4]);
    assert!(queue.take(WIDE).is_empty());
}

proptest! {
    #[test]
    fn prop_each_document_keeps_its_order_and_nothing_stays(
        steps in proptest::collection::vec((0..4_u8, 0..4_u8, any::<bool>(), any::<bool>()), 1..200),
        records_max in 1..5_usize,
    ) {
        let mut queue = Queue::default();
        let mut out: Vec<Vec<Item>> = Vec::new();
        let mut seen: HashMap<DocumentKey, i64> = HashMap::new();
        let bounds = BulkBounds { records_max, bytes_max: 1000 };
        let mut take = |queue: &mut Queue, out: &mut Vec<Vec<Item>>| {
            let items = queue.take(bounds);
            for item in &items {
                let key = item.document.clone().unwrap();
                assert!(!out.iter().flatten().any(|other| other.document == item.document), "two requests hold {key:?}");
                assert!(seen.insert(key, item.original.offset).is_none_or(|last| last < item.original.offset));
            }
            if !items.is_empty() {
                out.push(items);
            }
        };
        let pushed = i64::try_from(steps.len()).unwrap();
        for (offset, (what, id, versioned, unavailable)) in (0..).zip(steps) {
            let id = id.to_string();
            queue.push(item(offset, Some(&id), versioned.then_some(offset), unavailable && versioned));
            if what == 1 {
                take(&mut queue, &mut out);
            } else if what == 2 && !out.is_empty() {
                out.remove(0).iter().for_each(|item| queue.release(item));
            }
        }
        let mut rounds = 0;
        while queue.held().0 > 0 {
            take(&mut queue, &mut out);
            out.drain(..).flatten().for_each(|item| queue.release(&item));
            rounds += 1;
            prop_assert!(rounds <= pushed, "an item stays behind");
        }
        prop_assert_eq!(queue.held(), (0, 0));
        prop_assert!(queue.documents.is_empty() && queue.ready_bytes == 0);
    }
}
