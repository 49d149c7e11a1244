//! temp
#![allow(missing_docs, clippy::all, clippy::unwrap_used)]
use aquifer_broker_client::*;
use std::sync::Arc;
use std::time::Duration;
#[tokio::main]
async fn main() {
    let boot = std::env::args().nth(1).unwrap();
    let c = ClientSettings::new(boot, "try");
    let admin = Admin::new(&c);
    println!("{:?}", admin.ensure_topic(&NewTopic { name: "later".into(), partitions: 1, replication: -1, configs: vec![] }).await);
    let p = Producer::new(&c, &ProducerSettings::default()).unwrap();
    let acks = Arc::new(Acks::new());
    for _ in 0..10 { p.send("later", None, None, Some(b"x"), &[], None, &acks).unwrap(); }
    acks.wait().await.unwrap();
    let mut a = GroupConsumer::new(&c, GroupConsumerSettings::new("later-g", Subscription::Topics(vec!["later".into()]))).unwrap();
    for i in 0..30 {
        let e = a.poll(Duration::from_secs(1)).await;
        match e { Some(ConsumerEvent::Records(r)) => { println!("records {}", r.len()); }, o => println!("{o:?}") }
        if i == 3 { println!("{:?}", a.commit_later(&[PartitionOffset { topic: Arc::from("later"), partition: 0, offset: 3 }])); }
        if i == 6 { break }
    }
    println!("{:?}", admin.committed_offsets("later-g", &[TopicPartition { topic: Arc::from("later"), partition: 0 }]).await);
}
