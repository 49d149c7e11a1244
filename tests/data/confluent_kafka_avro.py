"""Avro with schemas in the registry, through confluent-kafka's serializers: argv is the broker and the registry."""
import sys
from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient, Schema
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

broker, registry_url = sys.argv[1:3]
SCHEMA = """{"type": "record", "name": "User", "namespace": "app", "fields": [
  {"name": "id", "type": "long"}, {"name": "name", "type": ["null", "string"], "default": null}]}"""
NARROWER = SCHEMA.replace('"long"', '"string"')

registry = SchemaRegistryClient({"url": registry_url})
context = SerializationContext("users", MessageField.VALUE)
serialize = AvroSerializer(registry, SCHEMA)
errors = []
producer = Producer({"bootstrap.servers": broker, "enable.idempotence": True})
users = [{"id": n, "name": None if n % 3 else f"user {n}"} for n in range(200)]
for user in users:
    producer.produce("users", key=str(user["id"]), value=serialize(user, context), on_delivery=lambda e, _: e and errors.append(e))
assert producer.flush(30) == 0 and not errors, errors

consumer = Consumer({"bootstrap.servers": broker, "group.id": "avro-readers", "auto.offset.reset": "earliest", "enable.auto.commit": False})
consumer.subscribe(["users"])
deserialize = AvroDeserializer(registry)
read = []
while len(read) < len(users):
    message = consumer.poll(30)
    assert message is not None and not message.error(), message and message.error()
    read.append(deserialize(message.value(), context))
consumer.commit(asynchronous=False)
consumer.close()
assert read == users

latest = registry.get_latest_version("users-value")
assert latest.version == 1 and registry.get_versions("users-value") == [1]
assert registry.lookup_schema("users-value", Schema(SCHEMA, "AVRO")).schema_id == latest.schema_id
assert registry.test_compatibility("users-value", Schema(NARROWER, "AVRO")) is False
try:
    registry.register_schema("users-value", Schema(NARROWER, "AVRO"))
    raise AssertionError("an incompatible schema was registered")
except SchemaRegistryError as error:
    assert error.http_status_code == 409, error
registry.set_compatibility("users-value", "NONE")
assert registry.register_schema("users-value", Schema(NARROWER, "AVRO")) != latest.schema_id
print("ok")
