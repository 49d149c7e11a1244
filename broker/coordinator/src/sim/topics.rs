//! The metadata machine under random commands and crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aquifer_broker_protocol::primitive::Uuid;

use super::{Dice, Host};
use crate::TopicMachine;
use crate::group::id::TopicName;
use crate::topic::TopicError;
use crate::topic::command::*;
use crate::topic::image::ConfigResource;

/// What clients were told, and so must never be lost.
#[derive(Default)]
struct Told {
    topics: BTreeMap<TopicName, Uuid>,
    next_producer_id: i64,
    generation: i32,
}

fn run(seed: u64) {
    let mut dice = Dice(seed);
    let mut host = Host::new(|| TopicMachine::new(1));
    let mut told = Told { generation: -1, ..Told::default() };
    let mut used_ids = BTreeSet::new();
    for _ in 0..300 {
        match dice.below(10) {
            0..=5 => host.ask(0, &command(&mut dice)),
            6 | 7 => {
                let upto = usize::try_from(dice.below(host.log.len() as u64 + 1)).unwrap();
                for (_, reply) in host.sync(upto) {
                    hear(reply, &mut told, &mut used_ids);
                }
            }
            8 => {
                for (_, reply) in host.sync(usize::MAX) {
                    hear(reply, &mut told, &mut used_ids);
                }
            }
            _ => {
                host.crash();
                check(&host, &told);
            }
        }
        assert_eq!(host.replayed(host.log.len()).image(), host.machine.image(), "replay differs");
    }
    for (_, reply) in host.sync(usize::MAX) {
        hear(reply, &mut told, &mut used_ids);
    }
    host.crash();
    check(&host, &told);
}

fn command(dice: &mut Dice) -> TopicCommand {
    let name = TopicName::from(["a", "b", "c.d", "c_d"][usize::try_from(dice.below(4)).unwrap()]);
    match dice.below(8) {
        0 | 1 => {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&dice.next().to_be_bytes());
            let mode = if dice.one_in(5) { RunMode::ValidateOnly } else { RunMode::Apply };
            TopicCommand::Create(CreateTopic {
                name,
                topic_id: Uuid(id),
                partition_count: i32::try_from(dice.below(4)).unwrap(),
                configs: vec![(Arc::from("k"), Arc::from("v"))],
                mode,
                existing: if dice.one_in(2) { Existing::IsAnError } else { Existing::IsTheAnswer },
            })
        }
        2 => TopicCommand::Delete(TopicRef::Name(name)),
        3 => TopicCommand::AlterConfigs(AlterConfigs {
            resource: match dice.below(3) {
                0 => ConfigResource::Broker(Arc::from("1")),
                1 => ConfigResource::Group(Arc::from("g")),
                _ => ConfigResource::Topic(name),
            },
            changes: vec![(
                Arc::from("k"),
                ConfigChange::Set(Arc::from(dice.below(3).to_string())),
            )],
            replaces_all: dice.one_in(2),
            mode: RunMode::Apply,
        }),
        4 => TopicCommand::AllocateProducerIds,
        5 => TopicCommand::AddPartitions(AddPartitions {
            topic: name,
            partition_count: i32::try_from(dice.below(6)).unwrap(),
            assigned: None,
            mode: RunMode::Apply,
        }),
        6 => TopicCommand::FinalizeFeatures(vec![(
            Arc::from("f"),
            i16::try_from(dice.below(3)).unwrap(),
        )]),
        _ => TopicCommand::BeginGeneration { incarnation: Uuid([1; 16]) },
    }
}

fn hear(reply: TopicReply, told: &mut Told, used_ids: &mut BTreeSet<Uuid>) {
    match reply {
        // A validated topic has an id too, which never appears again: only remember those that stay.
        TopicReply::Created(Ok(created)) => {
            told.topics.insert(created.name, created.topic_id);
            used_ids.insert(created.topic_id);
        }
        TopicReply::Deleted(Ok(id)) => told.topics.retain(|_, known| *known != id),
        TopicReply::ProducerIds(block) => {
            assert!(
                block.first >= told.next_producer_id,
                "producer id {} was given out twice",
                block.first
            );
            told.next_producer_id = block.first + block.length;
        }
        TopicReply::Generation(generation) => {
            assert!(generation > told.generation, "generation {generation} began twice");
            told.generation = generation;
        }
        TopicReply::Created(Err(error))
        | TopicReply::Deleted(Err(error))
        | TopicReply::PartitionsAdded(Err(error))
        | TopicReply::ConfigsAltered(Err(error)) => {
            assert!(!matches!(error, TopicError::InvalidName(_)), "{error}");
        }
        TopicReply::ConfigsAltered(Ok(()))
        | TopicReply::PartitionsAdded(Ok(()))
        | TopicReply::FeaturesFinalized => {}
    }
}

fn check(host: &Host<TopicMachine>, told: &Told) {
    let image = host.machine.image();
    assert!(
        image.next_producer_id >= told.next_producer_id,
        "producer ids would be given out again"
    );
    assert!(image.generation >= told.generation, "a generation was forgotten");
    assert!(!(image.topic("c.d").is_some() && image.topic("c_d").is_some()), "names collide");
    for topic in image.topics() {
        let by_id = image.topic_by_id(&topic.id).map(|known| &known.name);
        assert_eq!(by_id, Some(&topic.name));
    }
}

#[test]
fn metadata_survives_crashes_at_any_point() {
    for seed in 0..100 {
        let outcome = std::panic::catch_unwind(|| run(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
