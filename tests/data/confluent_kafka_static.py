"""A static member that restarts takes its partitions over at once and nobody is rebalanced. argv is the broker."""
import sys, time
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

broker = sys.argv[1]
admin = AdminClient({"bootstrap.servers": broker})
for future in admin.create_topics([NewTopic("static", 4)]).values():
    future.result(30)
assigned = {"one": [], "two": []}

def member(name):
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "s", "group.instance.id": name, "auto.offset.reset": "earliest",
                         "enable.auto.commit": False, "session.timeout.ms": 30000, "partition.assignment.strategy": "range"})
    consumer.subscribe(["static"], on_assign=lambda _, partitions: assigned[name].append(sorted(p.partition for p in partitions)))
    return consumer

def poll_until(consumers, condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, (what, assigned)
        for consumer in consumers:
            consumer.poll(0.1)

one, two = member("one"), member("two")
settled = lambda: assigned["one"] and assigned["two"] and sorted(assigned["one"][-1] + assigned["two"][-1]) == [0, 1, 2, 3]
poll_until([one, two], settled, "both members have their share")
before, rounds = assigned["one"][-1], len(assigned["two"])

one.close()  # a static member does not leave when it closes
began = time.monotonic()
one = member("one")
count = len(assigned["one"])
poll_until([one, two], lambda: len(assigned["one"]) > count, "the member is back")
took = time.monotonic() - began
assert assigned["one"][-1] == before, (before, assigned)
assert took < 15, f"it took {took} s, which is half of the session timeout"

producer = Producer({"bootstrap.servers": broker})
for n in range(100):
    producer.produce("static", str(n), partition=n % 4)
assert producer.flush(30) == 0
read = set()
def drain():
    for consumer in (one, two):
        message = consumer.poll(0.1)
        if message is not None and not message.error():
            read.add(message.value())
    return len(read) == 100
poll_until([], drain, "everything is read")
assert len(assigned["two"]) == rounds, ("the other member was rebalanced", assigned)
print("ok")
