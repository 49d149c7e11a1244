"""kafka-python: admin, every codec, a group, transactions. argv is the broker."""
import sys, time
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.structs import OffsetAndMetadata

broker = sys.argv[1]
COUNT = 100
admin = KafkaAdminClient(bootstrap_servers=broker)
admin.create_topics([NewTopic("kp-codecs", 3, 1), NewTopic("kp-transactions", 1, 1)])
codecs = [None, "gzip", "snappy", "lz4", "zstd"]
for codec in codecs:
    producer = KafkaProducer(bootstrap_servers=broker, compression_type=codec, acks="all", enable_idempotence=True)
    sent = [producer.send("kp-codecs", key=str(n).encode(), value=f"{codec}-{n}".encode(), headers=[("n", str(n).encode())]) for n in range(COUNT)]
    producer.flush(30)
    assert all(future.get(30).offset >= 0 for future in sent)
    producer.close()

def read(wanted, topic, **more):
    consumer = KafkaConsumer(topic, bootstrap_servers=broker, auto_offset_reset="earliest", enable_auto_commit=False, **more)
    values, late, after = [], time.monotonic() + 60, None
    # A second longer than needed, to see that nothing follows.
    while after is None or time.monotonic() < after:
        assert time.monotonic() < late, f"{len(values)} of {wanted} from {topic}"
        for records in consumer.poll(200).values():
            values += [record.value.decode() for record in records]
        if len(values) >= wanted and after is None:
            after = time.monotonic() + 1
    if "group_id" in more:
        consumer.commit()
    consumer.close()
    assert len(values) == wanted, (len(values), wanted)
    return values

values = read(COUNT * len(codecs), "kp-codecs", group_id="kp-group")
assert set(values) == {f"{codec}-{n}" for codec in codecs for n in range(COUNT)}
check = KafkaConsumer(bootstrap_servers=broker, group_id="kp-group")
assert sum(check.committed(TopicPartition("kp-codecs", p)) or 0 for p in range(3)) == COUNT * len(codecs)
parts = [TopicPartition("kp-codecs", p) for p in range(3)]
assert sum(check.end_offsets(parts).values()) == COUNT * len(codecs)
check.close()

writer = KafkaProducer(bootstrap_servers=broker, transactional_id="kp-writer")
writer.init_transactions()
for n in range(10):
    writer.begin_transaction()
    for part in range(4):
        writer.send("kp-transactions", f"{'kept' if n % 2 else 'dropped'}-{n}-{part}".encode())
    if n % 2:
        writer.commit_transaction()
    else:
        writer.flush()
        writer.abort_transaction()
writer.close()
kept = read(20, "kp-transactions", group_id="kp-committed", isolation_level="read_committed")
assert kept == [f"kept-{n}-{part}" for n in range(10) if n % 2 for part in range(4)], kept
read(40, "kp-transactions", group_id="kp-all", isolation_level="read_uncommitted")
admin.delete_topics(["kp-codecs"])
admin.close()
print("ok")
