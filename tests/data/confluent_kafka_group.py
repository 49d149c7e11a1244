"""A group of consumers that come and go while a producer writes: everything is read, in order per key. argv is the broker."""
import sys, threading
from collections import defaultdict
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

broker = sys.argv[1]
COUNT, KEYS = 2000, 20
admin = AdminClient({"bootstrap.servers": broker})
for future in admin.create_topics([NewTopic("events", 6)]).values():
    future.result(30)

def config(**more):
    return {"bootstrap.servers": broker, "group.id": "g", "auto.offset.reset": "earliest", "enable.auto.commit": False, "session.timeout.ms": 10000, **more}

lock, seen, stop = threading.Lock(), defaultdict(list), threading.Event()

def read(rounds, strategy):
    consumer = Consumer(config(**{"partition.assignment.strategy": strategy}))
    consumer.subscribe(["events"])
    idle = 0
    while not stop.is_set() and rounds:
        message = consumer.poll(0.5)
        if message is None:
            continue
        assert not message.error(), message.error()
        with lock:
            seen[message.key()].append(int(message.value()))
        consumer.commit(message=message, asynchronous=False)
        rounds -= 1
    consumer.close()

producer = Producer({"bootstrap.servers": broker, "enable.idempotence": True, "linger.ms": 2})
# Two that stay, one that leaves after a while and one that comes then.
readers = [threading.Thread(target=read, args=(10**9, "range")) for _ in range(2)] + [threading.Thread(target=read, args=(100, "range"))]
for reader in readers:
    reader.start()
for n in range(COUNT):
    producer.produce("events", key=str(n % KEYS), value=str(n))
    producer.poll(0)
assert producer.flush(60) == 0
readers[2].join(120)
late = threading.Thread(target=read, args=(10**9, "range"))
late.start()
deadline = threading.Event()
for _ in range(240):
    with lock:
        distinct = sum(len(set(values)) for values in seen.values())
    if distinct == COUNT:
        break
    deadline.wait(0.5)
stop.set()
for reader in readers + [late]:
    reader.join(60)
assert distinct == COUNT, distinct
for key, values in seen.items():
    first = list(dict.fromkeys(values))
    assert first == sorted(first), (key, first[:50])
total = 0
for partition in Consumer(config()).committed([TopicPartition("events", p) for p in range(6)], timeout=30):
    total += max(partition.offset, 0)
assert total == COUNT, total
print("ok")
