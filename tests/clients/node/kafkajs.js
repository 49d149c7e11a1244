// KafkaJS: admin, producing with gzip, a group, transactions with offsets, read_committed. The argument is the broker.
const { Kafka, CompressionTypes, logLevel } = require('kafkajs')

const kafka = new Kafka({ brokers: [process.argv[2]], clientId: 'kafkajs', logLevel: logLevel.ERROR })
const check = (truth, words) => { if (!truth) throw new Error(words) }

/** Reads a topic from the start until `wanted` values came, and a second longer to see that nothing follows. */
async function read(groupId, topic, wanted, readUncommitted) {
  const consumer = kafka.consumer({ groupId, readUncommitted, sessionTimeout: 10000, maxWaitTimeInMs: 200 })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const values = []
  await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${groupId} read ${values.length} of ${wanted}`)), 60000)
    consumer.on(consumer.events.CRASH, event => reject(event.payload.error))
    const done = () => { clearTimeout(late); setTimeout(resolve, 1000) }
    consumer.run({ eachMessage: async ({ message }) => { if (values.push(message.value.toString()) === wanted) done() } })
  })
  await consumer.disconnect()
  check(values.length === wanted, `${groupId} read ${values.length} instead of ${wanted}`)
  return values
}

async function main() {
  const admin = kafka.admin()
  await admin.connect()
  for (const topic of ['js-plain', 'js-transactions']) {
    check(await admin.createTopics({ topics: [{ topic, numPartitions: 3 }], waitForLeaders: true }), `${topic} was there`)
  }
  await admin.createPartitions({ topicPartitions: [{ topic: 'js-plain', count: 4 }] })
  const producer = kafka.producer({ idempotent: true })
  await producer.connect()
  for (const compression of [CompressionTypes.None, CompressionTypes.GZIP]) {
    const messages = [...Array(300).keys()].map(n => ({ key: `${n % 5}`, value: `${compression}-${n}`, headers: { n: `${n}` } }))
    await producer.send({ topic: 'js-plain', messages, compression })
  }
  await producer.disconnect()
  const values = await read('js-group', 'js-plain', 600, false)
  check(new Set(values).size === 600, 'a value came twice')
  const committed = await admin.fetchOffsets({ groupId: 'js-group', topics: ['js-plain'] })
  const sum = committed[0].partitions.reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0)
  check(sum === 600, `the group committed ${sum}`)
  await admin.deleteGroups(['js-group'])
  await admin.deleteTopicRecords({ topic: 'js-plain', partitions: [{ partition: 0, offset: '-1' }] })

  const writer = kafka.producer({ transactionalId: 'js-writer', maxInFlightRequests: 1, idempotent: true })
  await writer.connect()
  for (let n = 0; n < 10; n++) {
    const transaction = await writer.transaction()
    const word = n % 2 ? 'dropped' : 'kept'
    await transaction.send({ topic: 'js-transactions', messages: [0, 1, 2, 3].map(part => ({ key: `${part}`, value: `${word}-${n}-${part}` })) })
    await transaction.sendOffsets({ consumerGroupId: 'js-offsets', topics: [{ topic: 'js-plain', partitions: [{ partition: 1, offset: `${n}` }] }] })
    await (n % 2 ? transaction.abort() : transaction.commit())
  }
  await writer.disconnect()
  const kept = await read('js-committed', 'js-transactions', 20, false)
  check(kept.every(value => value.startsWith('kept')) && new Set(kept).size === 20, `read_committed saw ${kept}`)
  await read('js-uncommitted', 'js-transactions', 40, true)
  const offsets = await admin.fetchOffsets({ groupId: 'js-offsets', topics: ['js-plain'] })
  const offset = offsets[0].partitions.find(({ partition }) => partition === 1).offset
  check(offset === '8', `the last committed transaction left the offset ${offset}`)
  await admin.disconnect()
  console.log('ok')
}

main().then(() => process.exit(0), error => { console.error(error); process.exit(1) })
