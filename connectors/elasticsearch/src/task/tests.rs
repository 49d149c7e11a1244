//! A task against a server that answers as each test says.

use super::*;
use aquifer_connect_api::config::ConfigMap;
use aquifer_connect_api::{ErrantRecords, Headers, Original, Record, UNAVAILABLE_HEADER, Value};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the server got: `POST /_bulk` and the body.
type Requests = Arc<Mutex<Vec<(String, String)>>>;
/// Answers the n-th bulk, with its body: status and body.
type Answer = fn(usize, &str) -> (u16, String);

struct Server {
    url: String,
    requests: Requests,
}

impl Server {
    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Requests::default();
        let seen = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, seen.clone(), answer));
            }
        });
        Self { url, requests }
    }

    fn bodies(&self, path: &str) -> Vec<String> {
        let requests = self.requests.lock();
        requests.iter().filter(|(at, _)| at.contains(path)).map(|(_, body)| body.clone()).collect()
    }
}

async fn serve(stream: TcpStream, seen: Requests, answer: Answer) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        while head.last().is_none_or(|line: &String| line != "\r\n") {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            head.push(line);
        }
        let length = head.iter().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
        });
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await.unwrap();
        let body = String::from_utf8(body).unwrap();
        let request = head[0].clone();
        let (status, reply) = if request.contains("_bulk") {
            let earlier = seen.lock().iter().filter(|(at, _)| at.contains("_bulk")).count();
            answer(earlier, &body)
        } else if request.contains("_mget") {
            let doc = r#"{"found":true,"_source":{"text":"stored"}}"#;
            (200, format!(r#"{{"docs":[{doc}]}}"#))
        } else {
            (200, r#"{"t":{"mappings":{"_meta":{"aquifer":{"versions":"offset"}}}}}"#.to_owned())
        };
        seen.lock().push((request, body));
        let reply =
            format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{reply}", reply.len());
        stream.get_mut().write_all(reply.as_bytes()).await.unwrap();
    }
}

fn reply(statuses: &[u16]) -> (u16, String) {
    let item = |status: &u16| match status {
        400 => {
            r#"{"index":{"status":400,"error":{"type":"document_parsing_exception"}}}"#.to_owned()
        }
        429 => r#"{"index":{"status":429,"error":{"type":"es_rejected_execution_exception"}}}"#
            .to_owned(),
        status => format!(r#"{{"index":{{"status":{status}}}}}"#),
    };
    let items: Vec<String> = statuses.iter().map(item).collect();
    (200, format!(r#"{{"items":[{}]}}"#, items.join(",")))
}

fn all_written(_: usize, body: &str) -> (u16, String) {
    reply(&vec![200; body.lines().count() / 2])
}

/// Notes what is reported.
#[derive(Default)]
struct Runtime {
    reported: Mutex<Vec<i64>>,
    owns_nothing: bool,
}

struct RuntimeContext(Arc<Runtime>);

impl SinkContext for RuntimeContext {
    fn connector(&self) -> &str {
        "c"
    }

    fn task(&self) -> u32 {
        0
    }

    fn owns(&self, _: &TopicPartition) -> bool {
        !self.0.owns_nothing
    }

    fn errant_records(&self) -> Arc<dyn ErrantRecords> {
        self.0.clone()
    }
}

#[async_trait]
impl ErrantRecords for Runtime {
    async fn report(&self, record: &Original, _: ConnectError) -> Result<(), ConnectError> {
        self.reported.lock().push(record.offset);
        Ok(())
    }
}

async fn task(url: &str, runtime: Arc<Runtime>) -> ElasticsearchSinkTask {
    let pairs = [("connection.url", url), ("retry.backoff.ms", "1"), ("flush.timeout.ms", "60000")];
    let config: ConfigMap = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let config = Config::parse(&config).unwrap();
    ElasticsearchSinkTask::start(config, Arc::new(RuntimeContext(runtime))).await.unwrap()
}

fn record(offset: i64, key: i64) -> SinkRecord {
    let entries = [("n", Value::Int64(offset)), ("text", Value::string("x"))];
    let record = Record {
        topic: "t".into(),
        partition: Some(0),
        key_schema: None,
        key: Value::Int64(key),
        value_schema: None,
        value: Value::Map(entries.map(|(k, v)| (Value::string(k), v)).to_vec()),
        offset: Some(offset),
        timestamp_ms: None,
        headers: Headers::default(),
    };
    let original = Original {
        topic: "t".into(),
        partition: 0,
        offset,
        timestamp_ms: None,
        key: None,
        value: None,
        headers: Vec::new(),
    };
    SinkRecord { record, original: Arc::new(original) }
}

fn line(offset: i64, key: i64, doc: &str) -> String {
    format!(
        "{{\"index\":{{\"_index\":\"t\",\"_id\":\"{key}\",\"version\":{offset},\"version_type\":\"external_gte\"}}}}\n{doc}\n"
    )
}

fn offsets(next: i64) -> TopicPartitionOffsets {
    TopicPartitionOffsets::from([(TopicPartition { topic: "t".into(), partition: 0 }, next)])
}

#[tokio::test]
async fn what_failed_is_sent_again_without_its_neighbours() {
    let server = Server::start(|bulk, body| match bulk {
        0 => reply(&[200, 429, 400, 200]),
        1 => (503, "not now".to_owned()),
        2 => (200, "<html>".to_owned()),
        _ => all_written(bulk, body),
    })
    .await;
    let runtime = Arc::new(Runtime::default());
    let mut task = task(&server.url, runtime.clone()).await;
    task.put((0..4).map(|at| record(at, at)).collect()).await.unwrap();
    task.flush().await.unwrap();
    assert_eq!(task.finished().unwrap(), offsets(4));
    assert_eq!(*runtime.reported.lock(), [2]);
    let bodies = server.bodies("_bulk");
    let again = line(1, 1, r#"{"n":1,"text":"x"}"#);
    assert_eq!(bodies[1..], [again.clone(), again.clone(), again]);
    task.put(vec![record(2, 2), record(3, 3)]).await.unwrap();
    task.flush().await.unwrap();
    assert_eq!(server.bodies("_bulk").len(), 4, "what was delivered again is not taken twice");
    task.stop().await;
}

#[tokio::test]
async fn a_request_that_is_too_large_goes_in_parts_in_order() {
    let server = Server::start(|bulk, body| {
        if body.lines().count() > 4 { (413, String::new()) } else { all_written(bulk, body) }
    })
    .await;
    let mut task = task(&server.url, Arc::default()).await;
    task.put((0..7).map(|offset| record(offset, 1)).collect()).await.unwrap();
    task.flush().await.unwrap();
    assert_eq!(task.finished().unwrap(), offsets(7));
    let taken: Vec<String> =
        server.bodies("_bulk").into_iter().filter(|body| body.lines().count() <= 4).collect();
    let expected: String =
        (0..7).map(|n| line(n, 1, &format!(r#"{{"n":{n},"text":"x"}}"#))).collect();
    assert_eq!(taken.concat(), expected);
    task.stop().await;
}

#[tokio::test]
async fn an_unavailable_field_comes_from_the_stored_document() {
    let server = Server::start(all_written).await;
    let mut task = task(&server.url, Arc::default()).await;
    let mut second = record(1, 7);
    second.record.headers.add(UNAVAILABLE_HEADER, None, Value::string("text"));
    task.put(vec![record(0, 7), second]).await.unwrap();
    task.flush().await.unwrap();
    let order: Vec<bool> =
        server.requests.lock().iter().skip(1).map(|(at, _)| at.contains("_mget")).collect();
    assert_eq!(order, [false, true, false], "the earlier write is finished before it is asked for");
    let asked = r#"{"docs":[{"_index":"t","_id":"7","_source":["text"]}]}"#;
    assert_eq!(server.bodies("_mget"), [asked]);
    assert_eq!(server.bodies("_bulk")[1], line(1, 7, r#"{"n":1,"text":"stored"}"#));
    task.stop().await;
}

#[tokio::test]
async fn nothing_is_written_for_a_partition_of_another() {
    let server = Server::start(all_written).await;
    let runtime = Arc::new(Runtime { owns_nothing: true, ..Runtime::default() });
    let mut lost = task(&server.url, runtime).await;
    lost.put(vec![record(0, 1)]).await.unwrap();
    lost.wait_until(|shared| !shared.has_held()).await.unwrap();
    assert_eq!(lost.finished().unwrap(), offsets(0));
    assert!(server.bodies("_bulk").is_empty());
    lost.stop().await;
}

#[tokio::test]
async fn while_elasticsearch_is_away_nothing_is_taken() {
    // A port that was just free and that nobody listens on.
    let url = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let mut task = task(&url, Arc::default()).await;
    let error = task.put(vec![record(0, 1)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retriable);
    assert!(error.to_string().contains("refused"), "{error}");
    assert_eq!(task.finished().unwrap(), TopicPartitionOffsets::new());
    task.stop().await;
}
