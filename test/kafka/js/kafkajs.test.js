// kafkajs, the client in JavaScript alone, against the broker that LEAT_BROKER names.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import kafkajs from 'kafkajs'

const { CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = kafkajs
const slower = Number(process.env.LEAT_SLOWER ?? 1)
const kafka = new Kafka({
  clientId: 'leat-test',
  brokers: [process.env.LEAT_BROKER],
  logLevel: logLevel.ERROR,
  retry: { initialRetryTime: 50, retries: 8 },
})
const admin = kafka.admin()
let topicCount = 0

before(() => admin.connect())
after(() => admin.disconnect())

async function makeTopic(numPartitions = 1, configEntries = []) {
  const topic = `js-${++topicCount}`
  const made = await admin.createTopics({ topics: [{ topic, numPartitions, configEntries }] })
  assert.equal(made, true)
  return topic
}

// Reads count records of a topic from its beginning as a new member of the group.
async function read(topic, count, groupId = `group-${topic}`) {
  const consumer = kafka.consumer({ groupId, heartbeatInterval: 200, maxWaitTimeInMs: 200 })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  const records = []
  let late
  try {
    await new Promise((resolve, reject) => {
      late = setTimeout(
        () => reject(new Error(`${records.length} of ${count} records came`)),
        60000 * slower,
      )
      consumer
        .run({
          eachMessage: async ({ partition, message }) => {
            records.push({ partition, ...message })
            if (records.length === count) resolve()
          },
        })
        .catch(reject)
    })
    await consumer.commitOffsets([])
  } finally {
    clearTimeout(late)
    await consumer.disconnect()
  }
  return records
}

async function send(topic, messages, options = {}, producerOptions = {}) {
  const producer = kafka.producer(producerOptions)
  await producer.connect()
  try {
    return await producer.send({ topic, messages, ...options })
  } finally {
    await producer.disconnect()
  }
}

const codecs = [
  ['none', CompressionTypes.None],
  ['gzip', CompressionTypes.GZIP],
]
for (const [name, compression] of codecs)
  for (const acks of [0, 1, -1])
    test(`records come back: ${name}, acks ${acks}`, async () => {
      const topic = await makeTopic()
      const messages = []
      for (let i = 0; i < 500; i++) messages.push({ key: `k${i}`, value: `value ${i}` })
      await send(topic, messages, { compression, acks })
      const records = await read(topic, 500)
      assert.deepEqual(
        records.map(({ key, value }) => ({ key: `${key}`, value: `${value}` })),
        messages,
      )
      assert.deepEqual(
        records.map(({ offset }) => Number(offset)),
        messages.map((_, i) => i),
      )
    })

test('null keys, null values, empty ones, and headers', async () => {
  const topic = await makeTopic()
  await send(topic, [
    { key: null, value: 'no key' },
    { key: 'no value', value: null },
    { key: '', value: '' },
    { key: 'h', value: 'h', headers: { one: '1', many: ['a', 'b', 'c'], empty: '' } },
  ])
  const records = await read(topic, 4)
  assert.equal(records[0].key, null)
  assert.equal(records[1].value, null)
  assert.equal(records[2].key.length, 0)
  assert.equal(records[2].value.length, 0)
  const { headers } = records[3]
  assert.deepEqual(headers.many.map(String), ['a', 'b', 'c'])
  assert.equal(String(headers.one), '1')
  assert.equal(headers.empty.length, 0)
})

test('an idempotent producer', async () => {
  const topic = await makeTopic(3)
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  for (let i = 0; i < 30; i++)
    await producer.send({ topic, messages: [{ value: `${i}`, partition: i % 3 }] })
  await producer.disconnect()
  const records = await read(topic, 30)
  assert.deepEqual(
    records.map(({ value }) => Number(value)).sort((a, b) => a - b),
    Array.from({ length: 30 }, (_, i) => i),
  )
})

test('transactions, with the offsets of a group', async () => {
  const topic = await makeTopic(2)
  const groupId = `group-of-${topic}`
  const offset = async () => {
    const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [topic] })
    return partitions.find(({ partition }) => partition === 0).offset
  }
  const eventually = async (expected) => {
    for (let i = 0; (await offset()) !== expected; i++) assert.ok(i < 1000 * slower)
  }
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    transactionalId: `id-${topic}`,
  })
  await producer.connect()
  try {
    for (const [turn, ends] of ['commit', 'abort', 'commit'].entries()) {
      const transaction = await producer.transaction()
      for (const partition of [0, 1])
        await transaction.send({ topic, messages: [{ partition, value: `${turn}` }] })
      await transaction.sendOffsets({
        consumerGroupId: groupId,
        topics: [{ topic, partitions: [{ partition: 0, offset: `${turn + 10}` }] }],
      })
      await transaction[ends]()
      await eventually(ends === 'abort' ? '10' : `${turn + 10}`)
    }
  } finally {
    await producer.disconnect()
  }
  const records = await read(topic, 4)
  assert.deepEqual(records.map(({ value }) => `${value}`).sort(), ['0', '0', '2', '2'])
})

test('large records', async () => {
  const topic = await makeTopic(1, [{ name: 'max.message.bytes', value: '3000000' }])
  const value = Buffer.alloc(1 << 20, 'leat')
  await send(topic, [{ value }, { value }])
  const records = await read(topic, 2)
  assert.ok(records.every((record) => record.value.equals(value)))
})

test('topics are made, listed, grown and deleted', async () => {
  const topic = await makeTopic(2)
  assert.ok((await admin.listTopics()).includes(topic))
  await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  assert.equal(topics[0].partitions.length, 5)
  assert.equal(await admin.createTopics({ topics: [{ topic }] }), false)
  await admin.deleteTopics({ topics: [topic] })
  assert.ok(!(await admin.listTopics()).includes(topic))
})

test('settings are described and altered', async () => {
  const topic = await makeTopic()
  const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
  const describe = async () => {
    const { resources } = await admin.describeConfigs({ resources: [resource] })
    return Object.fromEntries(
      resources[0].configEntries.map(({ configName, configValue }) => [configName, configValue]),
    )
  }
  assert.equal((await describe())['retention.ms'], '604800000')
  await admin.alterConfigs({
    resources: [{ ...resource, configEntries: [{ name: 'retention.ms', value: '3600000' }] }],
  })
  assert.equal((await describe())['retention.ms'], '3600000')
  await assert.rejects(
    admin.alterConfigs({
      resources: [{ ...resource, configEntries: [{ name: 'preallocate', value: 'true' }] }],
    }),
  )
})

test('offsets by place and by time, deleted records', async () => {
  const topic = await makeTopic()
  const firstMs = Date.now() - 100000
  for (let i = 0; i < 5; i++)
    await send(topic, [{ value: `${i}`, timestamp: String(firstMs + i * 1000) }])
  const [{ low, high }] = await admin.fetchTopicOffsets(topic)
  assert.deepEqual([low, high], ['0', '5'])
  const [{ offset }] = await admin.fetchTopicOffsetsByTimestamp(topic, firstMs + 1500)
  assert.equal(offset, '2')
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '3' }] })
  const [after] = await admin.fetchTopicOffsets(topic)
  assert.deepEqual([after.low, after.high], ['3', '5'])
  assert.deepEqual(
    (await read(topic, 2)).map(({ value }) => String(value)),
    ['3', '4'],
  )
})

test('a group is listed, described, and its offsets are kept', async () => {
  const topic = await makeTopic(2)
  const groupId = `kept-${topic}`
  await send(topic, [
    { value: 'a', partition: 0 },
    { value: 'b', partition: 1 },
  ])
  await read(topic, 2, groupId)
  const { groups } = await admin.listGroups()
  assert.ok(groups.some((group) => group.groupId === groupId))
  const described = await admin.describeGroups([groupId])
  assert.equal(described.groups[0].state, 'Empty')
  await admin.setOffsets({
    groupId,
    topic,
    partitions: [{ partition: 0, offset: '1' }, { partition: 1, offset: '0' }],
  })
  const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [topic] })
  assert.deepEqual(
    partitions.sort((a, b) => a.partition - b.partition).map(({ offset }) => offset),
    ['1', '0'],
  )
  assert.deepEqual(
    (await read(topic, 1, groupId)).map(({ value }) => String(value)),
    ['b'],
  )
  await admin.deleteGroups([groupId])
})

test('the cluster is described', async () => {
  const cluster = await admin.describeCluster()
  assert.equal(cluster.brokers.length, 1)
  assert.equal(`${cluster.brokers[0].host}:${cluster.brokers[0].port}`, process.env.LEAT_BROKER)
  assert.equal(cluster.controller, cluster.brokers[0].nodeId)
})
