import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.function.*;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;

/** Kafka's Java client: every codec, both kinds of groups, transactions, administration. The argument is the broker. */
public class Clients {
    static final int COUNT = 400;
    static String broker;

    public static void main(String[] arguments) throws Exception {
        broker = arguments[0];
        ExecutorService watch = Executors.newSingleThreadExecutor(task -> { Thread t = new Thread(task); t.setDaemon(true); return t; });
        watch.submit(() -> { Thread.sleep(150_000); System.err.println("it took too long"); System.exit(1); return null; });
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", broker))) {
            step("codecs", () -> codecs(admin));
            step("a classic group", () -> group(admin, "classic"));
            step("a consumer group", () -> group(admin, "consumer"));
            step("transactions", () -> transactions(admin));
            step("administration", () -> administration(admin));
        }
        System.out.println("ok");
        System.exit(0);
    }

    interface Step { void run() throws Exception; }

    static void step(String name, Step step) {
        try {
            step.run();
        } catch (Throwable error) {
            System.err.println(name + ": " + error);
            error.printStackTrace();
            System.exit(1);
        }
    }

    static void check(boolean truth, String words) {
        if (!truth) throw new AssertionError(words);
    }

    static void equal(Object expected, Object got, String what) {
        check(expected.equals(got), what + ": expected " + expected + ", got " + got);
    }

    static Map<String, Object> config(Object... more) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", broker));
        for (int i = 0; i < more.length; i += 2) config.put((String) more[i], more[i + 1]);
        return config;
    }

    static KafkaProducer<String, String> producer(Object... more) {
        return new KafkaProducer<>(config(more), new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> consumer(Object... more) {
        Map<String, Object> config = config(more);
        config.putIfAbsent("auto.offset.reset", "earliest");
        config.put("enable.auto.commit", "false");
        return new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    }

    static void create(Admin admin, String topic, int partitions) throws Exception {
        admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all().get();
    }

    /** What a topic holds from the start to the end that an isolation level sees. */
    static List<String> values(String topic, int partitions, String isolation) {
        try (KafkaConsumer<String, String> consumer = consumer("isolation.level", isolation)) {
            List<TopicPartition> all = IntStream.range(0, partitions).mapToObj(p -> new TopicPartition(topic, p)).toList();
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> ends = consumer.endOffsets(all);
            List<String> values = new ArrayList<>();
            while (all.stream().anyMatch(p -> consumer.position(p) < ends.get(p)))
                consumer.poll(Duration.ofMillis(200)).forEach(record -> values.add(record.value()));
            return values;
        }
    }

    static void codecs(Admin admin) throws Exception {
        create(admin, "j-codecs", 3);
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            try (KafkaProducer<String, String> producer = producer("compression.type", codec, "linger.ms", 5)) {
                List<Future<RecordMetadata>> sent = new ArrayList<>();
                for (int n = 0; n < COUNT; n++) {
                    ProducerRecord<String, String> record = new ProducerRecord<>("j-codecs", "k" + n % 10, codec + "-" + n);
                    record.headers().add("codec", codec.getBytes());
                    sent.add(producer.send(record));
                }
                for (Future<RecordMetadata> future : sent) check(future.get().hasOffset(), "an offset");
            }
        }
        List<String> values = values("j-codecs", 3, "read_uncommitted");
        equal(5 * COUNT, values.size(), "records read");
        equal(5 * COUNT, new HashSet<>(values).size(), "different records");
    }

    static void group(Admin admin, String protocol) throws Exception {
        String topic = "j-" + protocol, group = "j-group-" + protocol;
        create(admin, topic, 4);
        try (KafkaProducer<String, String> producer = producer()) {
            for (int n = 0; n < COUNT; n++) producer.send(new ProducerRecord<>(topic, n % 4, "k", "v" + n));
        }
        Set<String> seen = ConcurrentHashMap.newKeySet();
        Set<Integer> first = new HashSet<>(), second = new HashSet<>();
        try (KafkaConsumer<String, String> a = consumer("group.id", group, "group.protocol", protocol);
             KafkaConsumer<String, String> b = consumer("group.id", group, "group.protocol", protocol)) {
            a.subscribe(List.of(topic));
            long late = System.currentTimeMillis() + 60_000;
            while (seen.size() < COUNT) {
                check(System.currentTimeMillis() < late, "one member read " + seen.size());
                a.poll(Duration.ofMillis(100)).forEach(record -> seen.add(record.value()));
                a.commitSync();
            }
            equal(4, a.assignment().size(), "partitions of the only member");
            b.subscribe(List.of(topic));
            while (a.assignment().size() != 2 || b.assignment().size() != 2) {
                check(System.currentTimeMillis() < late, "shared as " + a.assignment() + " and " + b.assignment());
                check(a.poll(Duration.ofMillis(50)).isEmpty() && b.poll(Duration.ofMillis(50)).isEmpty(), "a committed record was read again");
            }
            a.assignment().forEach(p -> first.add(p.partition()));
            b.assignment().forEach(p -> second.add(p.partition()));
            check(Collections.disjoint(first, second), "a partition has two owners");
            ConsumerGroupDescription described = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
            equal(protocol, described.type().toString().toLowerCase(), "the group's type");
            equal(2, described.members().size(), "members");
        }
        long sum = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().values().stream().mapToLong(OffsetAndMetadata::offset).sum();
        equal((long) COUNT, sum, "committed offsets");
        admin.alterConsumerGroupOffsets(group, Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(7, "by hand"))).all().get();
        equal("by hand", admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(new TopicPartition(topic, 0)).metadata(), "metadata");
        admin.deleteConsumerGroupOffsets(group, Set.of(new TopicPartition(topic, 1))).all().get();
        equal(3, admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().size(), "offsets left");
        admin.deleteConsumerGroups(List.of(group)).all().get();
    }

    static void transactions(Admin admin) throws Exception {
        String topic = "j-transactions";
        create(admin, topic, 3);
        create(admin, "j-input", 1);
        List<String> kept = new ArrayList<>();
        TopicPartition input = new TopicPartition("j-input", 0);
        KafkaProducer<String, String> writer = producer("transactional.id", "j-writer", "linger.ms", 1);
        writer.initTransactions();
        for (int n = 0; n < 20; n++) {
            boolean commit = n % 3 != 1;
            writer.beginTransaction();
            for (int part = 0; part < 5; part++) {
                String value = n + "-" + part;
                writer.send(new ProducerRecord<>(topic, part % 3, "k", value));
                if (commit) kept.add(value);
            }
            writer.sendOffsetsToTransaction(Map.of(input, new OffsetAndMetadata(n)), new ConsumerGroupMetadata("j-offsets"));
            if (commit) writer.commitTransaction(); else { writer.flush(); writer.abortTransaction(); }
        }
        List<String> read = values(topic, 3, "read_committed");
        equal(kept.stream().sorted().toList(), read.stream().sorted().toList(), "what read_committed sees");
        equal(100, values(topic, 3, "read_uncommitted").size(), "what read_uncommitted sees");
        equal(18L, admin.listConsumerGroupOffsets("j-offsets").partitionsToOffsetAndMetadata().get().get(input).offset(), "the offset of the last committed transaction");

        writer.beginTransaction();
        writer.send(new ProducerRecord<>(topic, 0, "k", "open")).get();
        equal(TransactionState.ONGOING, admin.describeTransactions(List.of("j-writer")).description("j-writer").get().state(), "the open transaction");
        check(admin.listTransactions().all().get().stream().anyMatch(listing -> listing.transactionalId().equals("j-writer")), "the transaction is listed");
        TopicPartition place = new TopicPartition(topic, 0);
        check(admin.describeProducers(List.of(place)).partitionResult(place).get().activeProducers().stream().anyMatch(p -> p.currentTransactionStartOffset().isPresent()), "its producer is seen");
        equal(kept.size(), values(topic, 3, "read_committed").size(), "what read_committed sees of an open one");
        try (KafkaProducer<String, String> successor = producer("transactional.id", "j-writer")) {
            successor.initTransactions();
            try {
                writer.send(new ProducerRecord<>(topic, 0, "k", "fenced"));
                writer.commitTransaction();
                throw new AssertionError("a fenced producer committed");
            } catch (ProducerFencedException | InvalidProducerEpochException fenced) {
                // As it must be.
            } catch (KafkaException wrapped) {
                check(wrapped.getCause() instanceof ProducerFencedException || wrapped.getCause() instanceof InvalidProducerEpochException, "fenced: " + wrapped);
            }
            writer.close(Duration.ZERO);
            successor.beginTransaction();
            successor.send(new ProducerRecord<>(topic, 0, "k", "of the successor"));
            successor.commitTransaction();
        }
        read = values(topic, 3, "read_committed");
        check(read.contains("of the successor") && !read.contains("open") && !read.contains("fenced"), "after fencing: " + read);
        admin.fenceProducers(List.of("j-writer")).all().get();
    }

    static void administration(Admin admin) throws Exception {
        String topic = "j-admin";
        admin.createTopics(List.of(new NewTopic(topic, 2, (short) 1).configs(Map.of("retention.ms", "100000")))).all().get();
        Uuid id = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).topicId();
        equal(topic, admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds().get().get(id).name(), "the topic by id");
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all().get();
        long late = System.currentTimeMillis() + 20_000;
        while (admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size() != 4)
            check(System.currentTimeMillis() < late, "four partitions");
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(
            new AlterConfigOp(new ConfigEntry("cleanup.policy", "compact"), AlterConfigOp.OpType.APPEND),
            new AlterConfigOp(new ConfigEntry("retention.ms", null), AlterConfigOp.OpType.DELETE)))).all().get();
        Supplier<Config> described = () -> {
            try { return admin.describeConfigs(List.of(resource)).all().get().get(resource); } catch (Exception error) { throw new RuntimeException(error); }
        };
        while (!described.get().get("retention.ms").isDefault()) check(System.currentTimeMillis() < late, "retention.ms is its default again");
        equal("delete,compact", described.get().get("cleanup.policy").value(), "cleanup.policy");
        admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry("cleanup.policy", "delete"), AlterConfigOp.OpType.SET)))).all().get();
        while (!described.get().get("cleanup.policy").value().equals("delete")) check(System.currentTimeMillis() < late, "cleanup.policy");
        TopicPartition place = new TopicPartition(topic, 0);
        try (KafkaProducer<String, String> producer = producer()) {
            for (int n = 0; n < 10; n++) producer.send(new ProducerRecord<>(topic, 0, 1000L + n + System.currentTimeMillis() / 2, "k", "v")).get();
        }
        equal(10L, offset(admin, place, OffsetSpec.latest()), "the end");
        equal(9L, offset(admin, place, OffsetSpec.maxTimestamp()), "the largest time");
        equal(6L, admin.deleteRecords(Map.of(place, RecordsToDelete.beforeOffset(6))).lowWatermarks().get(place).get().lowWatermark(), "the new start");
        equal(6L, offset(admin, place, OffsetSpec.earliest()), "the start");
        equal(1, admin.describeCluster().nodes().get().size(), "nodes");
        int node = admin.describeCluster().controller().get().id();
        check(admin.describeLogDirs(List.of(node)).allDescriptions().get().get(node).values().stream().anyMatch(dir -> dir.replicaInfos().containsKey(place)), "the directory of a partition");
        check(!admin.describeFeatures().featureMetadata().get().finalizedFeatures().isEmpty(), "features");
        check(admin.describeMetadataQuorum().quorumInfo().get().voters().size() == 1, "one voter");
        check(admin.listPartitionReassignments().reassignments().get().isEmpty(), "no reassignment");
        try { admin.electLeaders(ElectionType.PREFERRED, Set.of(place)).partitions().get().get(place).ifPresent(error -> check(error instanceof ElectionNotNeededException, "an election: " + error)); } catch (ExecutionException error) { check(error.getCause() instanceof ElectionNotNeededException, "an election: " + error); }
        for (Class<? extends Exception> expected : List.of(TopicExistsException.class)) {
            try {
                admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get();
                throw new AssertionError("the topic was made again");
            } catch (ExecutionException error) { check(expected.isInstance(error.getCause()), "made again: " + error); }
        }
        admin.deleteTopics(List.of(topic)).all().get();
    }

    static long offset(Admin admin, TopicPartition place, OffsetSpec spec) throws Exception {
        return admin.listOffsets(Map.of(place, spec)).partitionResult(place).get().offset();
    }
}
