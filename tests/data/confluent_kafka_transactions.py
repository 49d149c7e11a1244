"""librdkafka's transactions: committed, aborted, with offsets, fenced. argv is the broker."""
import sys
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

broker = sys.argv[1]
admin = AdminClient({"bootstrap.servers": broker})
for future in admin.create_topics([NewTopic("py-in", 1), NewTopic("py-out", 3)]).values():
    future.result(30)
source = Producer({"bootstrap.servers": broker})
for n in range(60):
    source.produce("py-in", value=str(n))
assert source.flush(30) == 0

def consumer(group, isolation):
    return Consumer({"bootstrap.servers": broker, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False, "isolation.level": isolation, "enable.partition.eof": True})

def read(isolation, parts=3):
    reader, values, ends = consumer("none", isolation), [], 0
    reader.assign([TopicPartition("py-out", p, 0) for p in range(parts)])
    while ends < parts:
        message = reader.poll(30)
        assert message is not None, "nothing came"
        if message.error():
            ends += 1
        else:
            values.append(message.value().decode())
    reader.close()
    return values

def transactional():
    producer = Producer({"bootstrap.servers": broker, "transactional.id": "py-writer", "transaction.timeout.ms": 30000})
    producer.init_transactions(60)
    return producer

# Read, change, write: ten records a transaction; every third is aborted and its input read again.
reader, writer = consumer("py-readers", "read_committed"), transactional()
reader.subscribe(["py-in"])
done = turn = 0
while done < 60:
    batch = [message for message in reader.consume(10, 30) if not message.error()]
    if not batch:
        continue
    writer.begin_transaction()
    for message in batch:
        writer.produce("py-out", key=message.value(), value=b"out-" + message.value())
    position = [TopicPartition("py-in", 0, batch[-1].offset() + 1)]
    writer.send_offsets_to_transaction(position, reader.consumer_group_metadata(), 30)
    turn += 1
    if turn % 3 == 2:
        # What is still on its way when a transaction is aborted is never sent.
        writer.flush(30)
        writer.abort_transaction(30)
        reader.seek(TopicPartition("py-in", 0, batch[0].offset()))
    else:
        writer.commit_transaction(30)
        done = batch[-1].offset() + 1
assert reader.committed([TopicPartition("py-in", 0)], 30)[0].offset == 60
reader.close()
values = read("read_committed")
assert sorted(values) == sorted(f"out-{n}" for n in range(60)), sorted(values)
assert len(read("read_uncommitted")) > 60, "the aborted ones are still there for those who want them"

# A successor with the same id ends the open transaction and fences its owner.
writer.begin_transaction()
writer.produce("py-out", value="open")
writer.flush(30)
successor = transactional()
try:
    writer.commit_transaction(30)
    sys.exit("a fenced producer committed")
except KafkaException as error:
    assert error.args[0].fatal() or error.args[0].txn_requires_abort(), error
successor.begin_transaction()
successor.produce("py-out", value="of the successor")
successor.commit_transaction(30)
values = read("read_committed")
assert "of the successor" in values and "open" not in values, values
print("ok")
