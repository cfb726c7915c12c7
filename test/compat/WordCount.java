// Kafka Streams counts words exactly once, although it is stopped and started anew between.
// SPDX-License-Identifier: Apache-2.0
// usage: java -cp JARS WordCount.java BOOTSTRAP FOLDER; exits with 1 when a count is wrong.
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Produced;

public class WordCount {
    static final String[] WORDS = {"leat", "mill", "water", "wheel", "stone", "flour"};
    static final int LINES = 2000;
    static final long DEADLINE_MS = 120_000;

    static Properties common(String bootstrap) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        return p;
    }

    /* Every update of a count is sent on, so that a word seen twice or lost shows. */
    static KafkaStreams start(String bootstrap, String folder) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.<String, String>stream("lines")
            .flatMapValues(line -> Arrays.asList(line.split(" ")))
            .groupBy((key, word) -> word)
            .count()
            .toStream()
            .to("counts", Produced.with(Serdes.String(), Serdes.Long()));
        Properties p = common(bootstrap);
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, "words");
        p.put(StreamsConfig.STATE_DIR_CONFIG, folder);
        p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
        p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        p.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        p.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        p.put("auto.offset.reset", "earliest");
        p.put("session.timeout.ms", 6000); /* it does not leave its group when it stops */
        KafkaStreams streams = new KafkaStreams(builder.build(), p);
        streams.start();
        return streams;
    }

    static void produce(String bootstrap, Map<String, Long> wanted, int seed) {
        Random random = new Random(seed);
        Properties p = common(bootstrap);
        try (KafkaProducer<String, String> producer =
                 new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < LINES; i++) {
                StringBuilder line = new StringBuilder();
                for (int j = 0; j < 3; j++) {
                    String word = WORDS[random.nextInt(WORDS.length)];
                    wanted.merge(word, 1L, Long::sum);
                    line.append(j == 0 ? "" : " ").append(word);
                }
                producer.send(new ProducerRecord<>("lines", Integer.toString(i), line.toString()));
            }
        }
    }

    /* Reads on until every count is as wanted; each word's counts come one by one. */
    static void await(KafkaConsumer<String, Long> consumer, Map<String, Long> seen,
                      Map<String, Long> wanted) {
        long until = System.currentTimeMillis() + DEADLINE_MS;
        while (!seen.equals(wanted)) {
            if (System.currentTimeMillis() > until) {
                throw new IllegalStateException("seen " + seen + ", not " + wanted);
            }
            for (ConsumerRecord<String, Long> record : consumer.poll(Duration.ofMillis(100))) {
                long before = seen.getOrDefault(record.key(), 0L);
                if (record.value() != before + 1) {
                    throw new IllegalStateException(
                        record.key() + ": " + record.value() + " after " + before);
                }
                seen.put(record.key(), record.value());
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[0];
        try (Admin admin = Admin.create(common(bootstrap))) {
            admin.createTopics(List.of(new NewTopic("lines", 3, (short) 1),
                                       new NewTopic("counts", 1, (short) 1))).all().get();
        }
        Map<String, Long> wanted = new HashMap<>();
        Map<String, Long> seen = new HashMap<>();
        Properties p = common(bootstrap);
        p.put("group.id", "reader");
        p.put("isolation.level", "read_committed");
        p.put("auto.offset.reset", "earliest");
        try (KafkaConsumer<String, Long> consumer =
                 new KafkaConsumer<>(p, new StringDeserializer(), new LongDeserializer())) {
            consumer.subscribe(List.of("counts"));
            for (int round = 0; round < 3; round++) {
                /* a folder of its own: what was counted comes back from the changelog */
                KafkaStreams streams = start(bootstrap, arguments[1] + "/" + round);
                produce(bootstrap, wanted, round);
                await(consumer, seen, wanted);
                streams.close(Duration.ofSeconds(30));
            }
        }
        System.out.println("counted " + wanted.values().stream().mapToLong(n -> n).sum());
        System.exit(0);
    }
}
