//! temp
#![allow(missing_docs, clippy::all, clippy::unwrap_used)]
use aquifer_broker_client::*;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
fn cpu() -> f64 { let s = std::fs::read_to_string("/proc/self/stat").unwrap(); let v: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect(); (v[11].parse::<f64>().unwrap() + v[12].parse::<f64>().unwrap()) / 100.0 }
#[tokio::main]
async fn main() {
    let boot = std::env::args().nth(1).unwrap();
    let c = ClientSettings::new(boot, "try");
    let admin = Admin::new(&c);
    println!("{:?}", admin.cluster().await);
    let run = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let topic = format!("try-{run}");
    println!("{:?}", admin.ensure_topic(&NewTopic { name: topic.clone(), partitions: 4, replication: -1, configs: vec![] }).await);
    println!("{:?}", admin.create_topics(&[NewTopic { name: topic.clone(), partitions: 4, replication: -1, configs: vec![] }]).await);
    let p = Producer::new(&c, &ProducerSettings::default()).unwrap();
    let n: usize = std::env::args().nth(2).map_or(300_000, |x| x.parse().unwrap());
    let value = vec![b'x'; 250];
    let acks = Arc::new(Acks::new());
    let (t, c0) = (SystemTime::now(), cpu());
    let mut full = 0;
    for i in 0..n {
        let key = (i % 1000).to_string();
        loop { match p.send(&topic, None, Some(key.as_bytes()), Some(&value), &[("__version", Some(b"12"))], Some(1_700_000_000_000 + i as i64), &acks) { Ok(()) => break, Err(SendError::QueueFull) => { full += 1; p.space().await }, Err(e) => panic!("{e}") } }
    }
    let sent = t.elapsed().unwrap();
    println!("{:?} {}", acks.wait().await, acks.delivered_count());
    println!("produce {n}: enqueued {sent:?} all {:?} cpu/rec {:.2} us full {full}", t.elapsed().unwrap(), (cpu() - c0) * 1e6 / n as f64);
    println!("{:?}", admin.end_offsets(&(0..4).map(|i| TopicPartition { topic: Arc::from(topic.as_str()), partition: i }).collect::<Vec<_>>()).await.unwrap().iter().map(|x| x.offset).collect::<Vec<_>>());
    // too large
    let a2 = Arc::new(Acks::new());
    println!("too large: {:?}", p.send(&topic, None, None, Some(&vec![0; 3_000_000]), &[], None, &a2));
    println!("unknown topic: {:?} {:?}", p.send("nope-x", Some(7), None, Some(b"x"), &[], None, &a2), ());
    // consume
    let mut s = GroupConsumerSettings::new(format!("g-{run}"), Subscription::Topics(vec![topic.clone()]));
    s.session_timeout_ms = 6000;
    let mut a = GroupConsumer::new(&c, s.clone()).unwrap();
    let (mut got, t, mut c0) = (0, SystemTime::now(), cpu());
    let mut last = std::collections::HashMap::new();
    let mut shown = false;
    while got < n {
        match a.poll(Duration::from_secs(20)).await { 
            Some(ConsumerEvent::Records(r)) => { if !shown { println!("{:?} {:?} {:?}", r[0].headers, r[0].timestamp_ms, r[0].key); shown = true; c0 = cpu(); }
                for x in &r { let e = last.entry(x.partition).or_insert(-1i64); assert_eq!(*e + 1, x.offset); *e = x.offset; } got += r.len() }
            other => println!("{other:?}"),
        }
    }
    println!("consumed {got} in {:?} cpu/rec {:.2}", t.elapsed().unwrap(), (cpu() - c0) * 1e6 / n as f64);
    let tp: Arc<str> = Arc::from(topic.as_str());
    let offs: Vec<_> = last.iter().map(|(p, o)| PartitionOffset { topic: tp.clone(), partition: *p, offset: *o + 1 }).collect();
    println!("commit {:?}", a.commit(&offs).await);
    println!("later {:?}", a.commit_later(&offs));
    println!("{:?}", a.poll(Duration::from_secs(2)).await);
    println!("committed {:?}", admin.committed_offsets(&format!("g-{run}"), &offs.iter().map(|o| TopicPartition { topic: o.topic.clone(), partition: o.partition }).collect::<Vec<_>>()).await.map(|v| v.len()));
    println!("commit offsets with members: {:?}", admin.commit_offsets(&format!("g-{run}"), &offs).await);
    // second member
    let mut b = GroupConsumer::new(&c, s.clone()).unwrap();
    let t = SystemTime::now();
    let mut log = vec![];
    let (mut pa, mut pb) = (4usize, 0usize);
    while pa != 2 || pb != 2 {
        tokio::select! {
            e = a.poll(Duration::from_secs(10)) => { match &e { Some(ConsumerEvent::Revoked { partitions, .. }) => { pa -= partitions.len(); println!("commit in revoke {:?}", a.commit(&offs[..1]).await); }, Some(ConsumerEvent::Assigned(x)) => pa += x.len(), _ => {} } log.push(format!("a {e:?}")); }
            e = b.poll(Duration::from_secs(10)) => { match &e { Some(ConsumerEvent::Revoked { partitions, .. }) => pb -= partitions.len(), Some(ConsumerEvent::Assigned(x)) => pb += x.len(), _ => {} } log.push(format!("b {e:?}")); }
        }
        if t.elapsed().unwrap() > Duration::from_secs(40) { break }
    }
    println!("rebalanced in {:?}\n{}", t.elapsed().unwrap(), log.join("\n"));
    println!("a {:?} b {:?}", a.assignment().map(|x| x.len()), b.assignment().map(|x| x.len()));
    b.poll(Duration::from_millis(100)).await; a.poll(Duration::from_millis(100)).await;
    println!("after poll a {:?} b {:?}", a.assignment().map(|x| x.len()), b.assignment().map(|x| x.len()));
    // seek + pause
    let mine = b.assignment().unwrap();
    let t = SystemTime::now();
    loop { match b.seek(&PartitionOffset { topic: tp.clone(), partition: mine[0].partition, offset: 5 }).await { Ok(()) => break, Err(e) => { println!("seek {e:?}"); if t.elapsed().unwrap() > Duration::from_secs(5) { break } b.poll(Duration::from_millis(50)).await; } } }
    match b.poll(Duration::from_secs(5)).await { Some(ConsumerEvent::Records(r)) => println!("after seek first {} {}", r[0].partition, r[0].offset), o => println!("{o:?}") }
    println!("pause {:?}", b.pause(&mine));
    println!("paused: {:?}", b.poll(Duration::from_millis(700)).await.map(|_| "event"));
    println!("resume {:?}", b.resume(&mine));
    match b.poll(Duration::from_secs(5)).await { Some(ConsumerEvent::Records(r)) => println!("resumed at {}", r[0].offset), o => println!("{o:?}") }
    let t = SystemTime::now();
    b.close(Duration::from_secs(10)).await;
    println!("closed in {:?}", t.elapsed().unwrap());
    let t = SystemTime::now();
    loop { let e = a.poll(Duration::from_secs(10)).await; if let Some(ConsumerEvent::Assigned(x)) = &e { println!("a took {} after {:?}", x.len(), t.elapsed().unwrap()); break } if e.is_none() { println!("none"); break } }
    a.close(Duration::from_secs(10)).await;
    // pattern, range, seek at assignment
    let mut s = GroupConsumerSettings::new(format!("g2-{run}"), Subscription::Pattern(format!("try-{run}|other\\d+")));
    s.assignor = Assignor::Range; s.group_instance_id = Some("static-1".into());
    let mut r = GroupConsumer::new(&c, s).unwrap();
    loop { match r.poll(Duration::from_secs(20)).await { Some(ConsumerEvent::Assigned(ps)) => { println!("pattern assigned {}", ps.len()); for p in &ps { r.seek(&PartitionOffset { topic: p.topic.clone(), partition: p.partition, offset: 7 }).await.unwrap(); } r.pause(&ps[1..]).unwrap(); } Some(ConsumerEvent::Records(rs)) => { println!("first {} {} all same partition {}", rs[0].partition, rs[0].offset, rs.iter().all(|x| x.partition == rs[0].partition)); break } None => { println!("timeout"); break } o => println!("{o:?}") } }
    let t = SystemTime::now(); drop(r); println!("drop in {:?}", t.elapsed().unwrap());
    println!("err of missing partition {:?}", tokio::time::timeout(Duration::from_secs(15), a2.wait()).await);
    println!("group delete {:?}", admin.delete_group(&format!("g-{run}")).await);
    println!("delete {:?}", admin.delete_topics(&[&topic]).await);
    let t = SystemTime::now(); println!("flush {:?}", p.flush(Duration::from_secs(2)).await); drop(p); drop(admin); println!("{:?}", t.elapsed());
}
