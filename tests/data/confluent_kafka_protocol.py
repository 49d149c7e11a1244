"""librdkafka's consumers of KIP-848: members come and go, a pattern, static members. argv is the broker."""
import sys, time
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

broker = sys.argv[1]
COUNT = 400
admin = AdminClient({"bootstrap.servers": broker})
for future in admin.create_topics([NewTopic("kip-one", 4), NewTopic("kip-two", 2)]).values():
    future.result(30)
producer = Producer({"bootstrap.servers": broker})
for n in range(COUNT):
    producer.produce("kip-one", key=str(n), value=str(n))
assert producer.flush(30) == 0

def member(group, **more):
    return Consumer({"bootstrap.servers": broker, "group.id": group, "group.protocol": "consumer", "auto.offset.reset": "earliest", "enable.auto.commit": False, **more})

seen = set()
def turn(*members):
    for each in members:
        message = each.poll(0.05)
        if message is not None:
            assert not message.error(), message.error()
            seen.add(message.value())
            each.commit(message=message, asynchronous=False)

def wait(what, condition, *members):
    late = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < late, f"{what}: {[each.assignment() for each in members]}, {len(seen)} seen"
        turn(*members)

first, second = member("kip"), member("kip")
first.subscribe(["kip-one"])
wait("everything is read", lambda: len(seen) == COUNT, first)
assert len(first.assignment()) == 4, first.assignment()
second.subscribe(["kip-one"])
wait("two share", lambda: len(first.assignment()) == 2 == len(second.assignment()), first, second)
both = first.assignment() + second.assignment()
assert len({part.partition for part in both}) == 4, both
description = admin.describe_consumer_groups(["kip"])["kip"].result(30)
assert len(description.members) == 2 and description.type.name == "CONSUMER", (description.members, description.type)
second.close()
wait("one has all again", lambda: len(first.assignment()) == 4, first)
first.unsubscribe()
first.close()

by_pattern = member("kip-pattern", **{"group.remote.assignor": "range"})
by_pattern.subscribe(["^kip-.*"])
wait("a pattern fits two topics", lambda: len(by_pattern.assignment()) == 6, by_pattern)
by_pattern.close()

static = [member("kip-static", **{"group.instance.id": f"i{n}"}) for n in range(2)]
for each in static:
    each.subscribe(["kip-one"])
wait("two static ones share", lambda: [len(each.assignment()) for each in static] == [2, 2], *static)
print("ok")
