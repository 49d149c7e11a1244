// franz-go: idempotent producing with every codec, a group, transactions, read_committed. The argument is the broker.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const count = 500

func check(err error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func fail(format string, arguments ...any) {
	check(fmt.Errorf(format, arguments...), "wrong")
}

func client(options ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(os.Args[1]), kgo.AllowAutoTopicCreation(), kgo.RetryTimeout(30*time.Second))...)
	check(err, "client")
	return client
}

// read polls until the wanted number of values came, and then once more to see that nothing follows.
func read(ctx context.Context, consumer *kgo.Client, wanted int) map[string]int {
	seen := map[string]int{}
	total := 0
	for total < wanted {
		fetches := consumer.PollFetches(ctx)
		for _, failed := range fetches.Errors() {
			check(failed.Err, "fetch of "+failed.Topic)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			seen[string(record.Value)]++
			total++
		})
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	more := consumer.PollFetches(short)
	more.EachRecord(func(record *kgo.Record) { fail("one more than %d: %s", wanted, record.Value) })
	return seen
}

func codecs(ctx context.Context) {
	wanted := 0
	for _, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		producer := client(kgo.ProducerBatchCompression(codec))
		for n := 0; n < count; n++ {
			record := &kgo.Record{Topic: "go-codecs", Key: []byte(fmt.Sprint(n % 7)), Value: []byte(fmt.Sprintf("%d-%d", wanted, n))}
			producer.Produce(ctx, record, func(_ *kgo.Record, err error) { check(err, "produce") })
		}
		check(producer.Flush(ctx), "flush")
		producer.Close()
		wanted += count
	}
	consumer := client(kgo.ConsumeTopics("go-codecs"), kgo.ConsumerGroup("go-group"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	if seen := read(ctx, consumer, wanted); len(seen) != wanted {
		fail("%d values are %d different ones", wanted, len(seen))
	}
	check(consumer.CommitUncommittedOffsets(ctx), "commit")
	consumer.Close()
	// What was committed is not read again.
	again := client(kgo.ConsumeTopics("go-codecs"), kgo.ConsumerGroup("go-group"))
	read(ctx, again, 0)
	again.Close()
}

func transactions(ctx context.Context) {
	producer := client(kgo.TransactionalID("go-transactions"), kgo.DefaultProduceTopic("go-transactions"))
	wanted := 0
	for n := 0; n < 20; n++ {
		check(producer.BeginTransaction(), "begin")
		for part := 0; part < 5; part++ {
			word := "kept"
			if n%2 == 1 {
				word = "dropped"
			}
			record := kgo.StringRecord(fmt.Sprintf("%s-%d-%d", word, n, part))
			producer.Produce(ctx, record, func(_ *kgo.Record, err error) { check(err, "produce") })
		}
		check(producer.Flush(ctx), "flush")
		if n%2 == 0 {
			wanted += 5
		}
		check(producer.EndTransaction(ctx, kgo.TransactionEndTry(n%2 == 0)), "end")
	}
	producer.Close()
	committed := client(kgo.ConsumeTopics("go-transactions"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	for value, times := range read(ctx, committed, wanted) {
		if times != 1 || value[:4] != "kept" {
			fail("%s was read %d times", value, times)
		}
	}
	committed.Close()
	all := client(kgo.ConsumeTopics("go-transactions"))
	read(ctx, all, 100)
	all.Close()
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	codecs(ctx)
	transactions(ctx)
	fmt.Println("ok")
}
