import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;

/**
 * Writes transactions until its standard input ends, commits and aborts them at random, and prints what became of each:
 * "committed N COUNTS", "aborted N COUNTS" or, where the broker may or may not
 * have committed, "unknown N COUNTS", with the number of records for each partition.
 * Arguments: broker, topic, partitions, transactional id, seed. A record's value is "id:N:partition:index".
 */
public class Writer {
    public static void main(String[] arguments) throws Exception {
        String broker = arguments[0], topic = arguments[1], id = arguments[3];
        int partitions = Integer.parseInt(arguments[2]);
        Random random = new Random(Long.parseLong(arguments[4]));
        Thread ending = new Thread(() -> { try { while (System.in.read() >= 0) { } } catch (Exception ended) { } });
        ending.setDaemon(true);
        ending.start();
        KafkaProducer<String, String> producer = null;
        for (int n = 0; ending.isAlive(); n++) {
            boolean wanted = random.nextInt(3) > 0, asked = false;
            String outcome;
            int[] next = new int[partitions];
            try {
                if (producer == null) producer = create(broker, id);
                producer.beginTransaction();
                int count = 1 + random.nextInt(8);
                for (int i = 0; i < count; i++) {
                    int partition = random.nextInt(partitions);
                    producer.send(new ProducerRecord<>(topic, partition, "k", id + ":" + n + ":" + partition + ":" + next[partition]++));
                }
                if (wanted) { asked = true; producer.commitTransaction(); outcome = "committed"; }
                else { if (random.nextBoolean()) producer.flush(); producer.abortTransaction(); outcome = "aborted"; }
                System.out.println(outcome + " " + n + " " + join(next));
                continue;
            } catch (ProducerFencedException | OutOfOrderSequenceException | UnsupportedVersionException | AuthorizationException fatal) {
                System.err.println(id + " " + n + ": " + fatal);
            } catch (KafkaException error) {
                System.err.println(id + " " + n + ": " + error);
            }
            // A new producer with the same id ends what is open; whether a commit that was asked for came through is not known.
            System.out.println((asked ? "unknown " : "aborted ") + n + " " + join(next));
            if (producer != null) producer.close(java.time.Duration.ZERO);
            producer = null;
        }
        // Nothing may stay open that nobody will end.
        if (producer == null) producer = create(broker, id);
        producer.close();
        System.out.println("ended");
    }

    static KafkaProducer<String, String> create(String broker, String id) {
        KafkaProducer<String, String> producer = new KafkaProducer<>(Map.of("bootstrap.servers", broker, "transactional.id", id, "transaction.timeout.ms", 20000, "linger.ms", 2,
            "request.timeout.ms", 5000, "delivery.timeout.ms", 20000, "max.block.ms", 20000, "reconnect.backoff.max.ms", 200), new StringSerializer(), new StringSerializer());
        try {
            producer.initTransactions();
            return producer;
        } catch (RuntimeException error) {
            producer.close(java.time.Duration.ZERO);
            throw error;
        }
    }

    static String join(int[] counts) {
        StringJoiner joined = new StringJoiner(",");
        for (int count : counts) joined.add(Integer.toString(count));
        return joined.toString();
    }
}
