"""A worker that is made to be killed: copies one partition into another topic, in transactions."""
# SPDX-License-Identifier: Apache-2.0
import random
import sys

import confluent_kafka

from lib import case

STEP_S = 20


class Worker:
    """Reads from where its group's offsets say, writes, and commits both together, or neither."""

    def __init__(self, address, source, target, partition, seed):
        self.target = target
        self.random = random.Random(seed)
        self.place = confluent_kafka.TopicPartition(source, partition)
        self.consumer = confluent_kafka.Consumer({
            **case.connect(address), "group.id": f"{source}-copy",
            "auto.offset.reset": "earliest", "enable.auto.commit": False})
        self.producer = confluent_kafka.Producer({
            **case.connect(address), "transactional.id": f"{source}-{partition}",
            "transaction.timeout.ms": 60000, "linger.ms": 1})

    def rewind(self):
        """To the offset that the last committed transaction left."""
        place = self.consumer.committed([self.place], STEP_S)[0]
        offset = max(place.offset, 0)
        self.consumer.assign([confluent_kafka.TopicPartition(place.topic, place.partition, offset)])

    def copy(self, messages):
        for message in messages:
            self.producer.produce(self.target, message.value(), partition=self.random.randrange(3))
        last = messages[-1]
        self.producer.send_offsets_to_transaction(
            [confluent_kafka.TopicPartition(last.topic(), last.partition(), last.offset() + 1)],
            self.consumer.consumer_group_metadata(), STEP_S)

    def finish(self):
        """Again as long as that may help."""
        if self.random.random() < 0.3:
            self.producer.abort_transaction(STEP_S)
            self.rewind()
            return
        while True:
            try:
                self.producer.commit_transaction(STEP_S)
                return
            except confluent_kafka.KafkaException as raised:
                if not raised.args[0].retriable():
                    raise

    def turn(self):
        messages = [message for message in self.consumer.consume(self.random.randrange(1, 60), 0.2)
                    if not message.error()]
        if not messages:
            return
        self.producer.begin_transaction()
        try:
            self.copy(messages)
            self.finish()
        except confluent_kafka.KafkaException as raised:
            if not raised.args[0].txn_requires_abort():
                raise
            self.producer.abort_transaction(STEP_S)
            self.rewind()

    def run(self):
        self.producer.init_transactions(STEP_S)
        self.rewind()
        print("at work", flush=True)
        while True:
            self.turn()


if __name__ == "__main__":
    Worker(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])).run()
