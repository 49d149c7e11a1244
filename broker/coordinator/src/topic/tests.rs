//! What the metadata machine decides, and that its log gives the same image.

use super::*;
use crate::machine::take_decision;

struct World {
    machine: TopicMachine,
    log: Vec<EncodedRecord>,
}

impl World {
    fn new() -> Self {
        let mut world = Self { machine: TopicMachine::new(1), log: Vec::new() };
        world.ask(&TopicCommand::BeginGeneration { incarnation: Uuid([7; 16]) });
        world
    }

    fn ask(&mut self, command: &TopicCommand) -> TopicReply {
        let decision = self.machine.decide(Timestamp(0), RequestId(0), command);
        let (records, replies) = take_decision(&mut self.machine, decision);
        self.log.extend(records.iter().map(TopicMachine::encode));
        let mut replayed = TopicMachine::new(1);
        for record in &self.log {
            if let Some(record) = TopicMachine::decode(None, record.value.as_deref()).unwrap() {
                replayed.apply(&record);
            }
        }
        assert_eq!(replayed.image(), self.machine.image(), "replaying the log gives another image");
        replies.into_iter().next().unwrap().1
    }

    fn create(
        &mut self,
        name: &str,
        id: u8,
        partition_count: i32,
    ) -> Result<CreatedTopic, TopicError> {
        self.create_with(name, id, partition_count, RunMode::Apply, Existing::IsAnError)
    }

    fn create_with(
        &mut self,
        name: &str,
        id: u8,
        partition_count: i32,
        mode: RunMode,
        existing: Existing,
    ) -> Result<CreatedTopic, TopicError> {
        let create = CreateTopic {
            name: TopicName::from(name),
            topic_id: Uuid([id; 16]),
            partition_count,
            configs: vec![(Arc::from("cleanup.policy"), Arc::from("delete"))],
            mode,
            existing,
        };
        match self.ask(&TopicCommand::Create(create)) {
            TopicReply::Created(result) => result,
            other => panic!("{other:?}"),
        }
    }

    fn alter(&mut self, changes: &[(&str, ConfigChange)], replaces_all: bool) -> Vec<String> {
        let alter = AlterConfigs {
            resource: ConfigResource::Topic(TopicName::from("t")),
            changes: changes
                .iter()
                .map(|(name, change)| (Arc::from(*name), change.clone()))
                .collect(),
            replaces_all,
            mode: RunMode::Apply,
        };
        assert_eq!(
            self.ask(&TopicCommand::AlterConfigs(alter)),
            TopicReply::ConfigsAltered(Ok(()))
        );
        let image = self.machine.image();
        image
            .topic("t")
            .unwrap()
            .configs
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }
}

#[test]
fn a_topic_is_created_with_its_partitions_and_configs() {
    let mut world = World::new();
    assert_eq!(world.create("t", 1, 3).unwrap().partition_count, 3);
    let image = world.machine.image();
    let topic = image.topic("t").unwrap();
    assert_eq!((topic.partition_count(), topic.config("cleanup.policy")), (3, Some("delete")));
    assert_eq!(image.topic_by_id(&Uuid([1; 16])).unwrap().name, TopicName::from("t"));
    assert!(topic.has_partition(2) && !topic.has_partition(3) && !topic.has_partition(-1));
}

#[test]
fn what_cannot_be_a_topic_is_refused() {
    let mut world = World::new();
    world.create("a.b", 1, 1).unwrap();
    let mut check = |name: &str, partition_count, code| {
        assert_eq!(
            world.create(name, 2, partition_count).unwrap_err().code(),
            code,
            "{name} {partition_count}"
        );
    };
    use aquifer_broker_protocol::ErrorCode;
    check("a.b", 1, ErrorCode::TopicAlreadyExists);
    check("a_b", 1, ErrorCode::InvalidTopicException);
    check("a/b", 1, ErrorCode::InvalidTopicException);
    check("c", 0, ErrorCode::InvalidPartitions);
    check("c", 10_001, ErrorCode::PolicyViolation);
}

#[test]
fn validating_creates_nothing_and_ensuring_creates_once() {
    let mut world = World::new();
    world.create_with("t", 1, 1, RunMode::ValidateOnly, Existing::IsAnError).unwrap();
    assert!(world.machine.image().topic("t").is_none());
    let first = world.create_with("t", 2, 1, RunMode::Apply, Existing::IsTheAnswer).unwrap();
    let again = world.create_with("t", 3, 9, RunMode::Apply, Existing::IsTheAnswer).unwrap();
    assert_eq!(first, again);
}

#[test]
fn a_deleted_topic_can_be_made_anew_with_another_id() {
    let mut world = World::new();
    world.create("t", 1, 1).unwrap();
    let by_id = TopicCommand::Delete(TopicRef::Id(Uuid([1; 16])));
    assert_eq!(world.ask(&by_id), TopicReply::Deleted(Ok(Uuid([1; 16]))));
    assert_eq!(
        world.ask(&by_id),
        TopicReply::Deleted(Err(TopicError::UnknownTopicId(Uuid([1; 16]))))
    );
    let by_name = TopicCommand::Delete(TopicRef::Name(TopicName::from("t")));
    assert_eq!(world.ask(&by_name), TopicReply::Deleted(Err(TopicError::NotHosted)));
    assert_eq!(world.create("t", 2, 1).unwrap().topic_id, Uuid([2; 16]));
}

#[test]
fn configs_are_set_dropped_extended_and_replaced() {
    let mut world = World::new();
    world.create("t", 1, 1).unwrap();
    let (text, list) = (|value: &str| Arc::<str>::from(value), Arc::<str>::from("delete"));
    let append = ConfigChange::Append { value: text("compact"), default: Arc::clone(&list) };
    assert_eq!(
        world.alter(&[("cleanup.policy", append)], false),
        ["cleanup.policy=delete,compact"]
    );
    let subtract = ConfigChange::Subtract { value: text("delete"), default: list };
    assert_eq!(world.alter(&[("cleanup.policy", subtract)], false), ["cleanup.policy=compact"]);
    let set = ConfigChange::Set(text("1"));
    assert_eq!(
        world.alter(&[("retention.ms", set.clone())], false),
        ["cleanup.policy=compact", "retention.ms=1"]
    );
    assert_eq!(world.alter(&[("segment.ms", set)], true), ["segment.ms=1"]);
    assert_eq!(world.alter(&[("segment.ms", ConfigChange::Delete)], false), Vec::<String>::new());
}

#[test]
fn partitions_are_added_behind_those_that_are_there() {
    let mut world = World::new();
    world.create("t", 1, 2).unwrap();
    let mut add = |partition_count, assigned, mode| {
        let topic = TopicName::from("t");
        let add = AddPartitions { topic, partition_count, assigned, mode };
        match world.ask(&TopicCommand::AddPartitions(add)) {
            TopicReply::PartitionsAdded(result) => {
                let topic = world.machine.image().topic("t").unwrap();
                let indexes: Vec<_> = topic.partitions.iter().map(|known| known.index).collect();
                assert_eq!(indexes, (0..topic.partition_count()).collect::<Vec<_>>());
                result.map(|()| topic.partition_count()).map_err(|error| error.to_string())
            }
            other => panic!("{other:?}"),
        }
    };
    let refused = |text: &str| Err(text.to_owned());
    assert_eq!(add(2, None, RunMode::Apply), refused("Topic already has 2 partition(s)."));
    assert_eq!(
        add(1, None, RunMode::Apply),
        refused("The topic t currently has 2 partition(s); 1 would not be an increase.")
    );
    assert_eq!(
        add(4, Some(1), RunMode::Apply),
        refused(
            "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified."
        )
    );
    assert!(add(10_001, None, RunMode::Apply).is_err());
    assert_eq!(add(5, None, RunMode::ValidateOnly), Ok(2));
    assert_eq!(add(5, Some(3), RunMode::Apply), Ok(5));
}

#[test]
fn brokers_and_groups_have_configs_of_their_own_until_the_last_one_goes() {
    let mut world = World::new();
    for resource in [
        ConfigResource::Broker(Arc::from("")),
        ConfigResource::Broker(Arc::from("1")),
        ConfigResource::Group(Arc::from("1")),
    ] {
        let mut alter = |change| {
            let alter = AlterConfigs {
                resource: resource.clone(),
                changes: vec![(Arc::from("k"), change)],
                replaces_all: false,
                mode: RunMode::Apply,
            };
            let reply = world.ask(&TopicCommand::AlterConfigs(alter));
            assert_eq!(reply, TopicReply::ConfigsAltered(Ok(())));
            let configs = world.machine.image().configs(&resource);
            configs.and_then(|configs| configs.get("k").map(|value| value.to_string()))
        };
        assert_eq!(alter(ConfigChange::Set(Arc::from("v"))), Some("v".to_owned()));
        assert_eq!(alter(ConfigChange::Delete), None);
        assert_eq!(world.machine.image().configs(&resource), None);
    }
}

#[test]
fn a_feature_keeps_its_level_and_level_zero_is_remembered() {
    let mut world = World::new();
    let level = |world: &World| world.machine.image().features.get("f").copied();
    let mut finalize = |wanted| {
        let command = TopicCommand::FinalizeFeatures(vec![(Arc::from("f"), wanted)]);
        assert_eq!(world.ask(&command), TopicReply::FeaturesFinalized);
        level(&world)
    };
    assert_eq!(finalize(2), Some(2));
    assert_eq!(finalize(0), Some(0));
}

#[test]
fn producer_ids_are_given_out_once() {
    let mut world = World::new();
    let block = |first| TopicReply::ProducerIds(ProducerIdBlock { first, length: 1000 });
    assert_eq!(world.ask(&TopicCommand::AllocateProducerIds), block(0));
    assert_eq!(world.ask(&TopicCommand::AllocateProducerIds), block(1000));
}

#[test]
fn a_generation_follows_the_one_before() {
    let mut world = World::new();
    assert_eq!(world.machine.image().generation, 0);
    let begin = TopicCommand::BeginGeneration { incarnation: Uuid([8; 16]) };
    assert_eq!(world.ask(&begin), TopicReply::Generation(1));
}

#[test]
fn records_have_krafts_bytes() {
    let record = MetadataRecord::Topic { name: TopicName::from("t"), topic_id: Uuid([9; 16]) };
    let mut expected = vec![1, 2, 0, 2, b't'];
    expected.extend([9; 16]);
    expected.push(0);
    assert_eq!(metadata::encode(&record), expected);
}

#[test]
fn unused_records_are_skipped_and_broken_ones_refused() {
    assert_eq!(metadata::decode(&[1, 20, 0, 0]), Ok(None));
    assert!(metadata::decode(&[1, 2, 1, 0]).is_err());
    assert!(metadata::decode(&[2, 2, 0, 0]).is_err());
    assert!(metadata::decode(&[1, 2, 0, 9]).is_err());
    assert!(metadata::decode(&[]).is_err());
}
