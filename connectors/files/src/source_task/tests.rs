//! The source against real files.

use std::io::Write;
use std::path::Path;

use super::*;
use aquifer_connect_api::config::ConfigMap;

struct Stored(Option<SourceOffset>);

#[async_trait]
impl SourceContext for Stored {
    fn connector(&self) -> &str {
        "lines"
    }

    fn task(&self) -> u32 {
        0
    }

    async fn offset(
        &self,
        _: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Option<SourceOffset>, ConnectError> {
        Ok(self.0.clone())
    }

    async fn offsets(&self) -> Result<indexmap::IndexMap<String, SourceOffset>, ConnectError> {
        Ok(indexmap::IndexMap::new())
    }
}

async fn start(path: &Path, stored: Option<SourceOffset>) -> FileSourceTask {
    let config = ConfigMap::from_iter(
        [("file", path.to_str().unwrap()), ("topic", "lines"), ("batch.size", "2")]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    let config = config::parse(&config::SOURCE, &config).unwrap();
    FileSourceTask::start(&config, &Stored(stored)).await.unwrap()
}

fn append(path: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Polls once and compares the lines and the position; gives the offset.
async fn check_poll(task: &mut FileSourceTask, lines: &[&str], position: u64) -> SourceOffset {
    let batch = task.poll().await.unwrap();
    let values: Vec<&str> = batch.records.iter().filter_map(|r| r.value.as_str()).collect();
    let (partition, offset) = batch.offsets.first().unwrap().clone();
    assert_eq!((values, offset.get("position")), (lines.to_vec(), Some(&position.into())));
    assert_eq!(partition.get("filename").unwrap(), task.path.to_str().unwrap());
    offset
}

#[tokio::test]
async fn lines_come_in_batches_and_appends_follow() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in");
    let mut task = start(&path, None).await;
    assert!(!task.read().await.unwrap(), "a file that is missing has nothing new");
    append(&path, "é\nb\n\nhalf");
    check_poll(&mut task, &["é", "b"], 5).await;
    check_poll(&mut task, &[""], 6).await;
    append(&path, " more\r\n");
    check_poll(&mut task, &["half more"], 17).await;
}

#[tokio::test]
async fn a_restart_goes_on_at_the_stored_position() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in");
    append(&path, "a\nb\nc\nd");
    let stored = check_poll(&mut start(&path, None).await, &["a", "b"], 4).await;
    append(&path, "\n");
    check_poll(&mut start(&path, Some(stored)).await, &["c", "d"], 8).await;
}

#[tokio::test]
async fn a_cut_or_replaced_file_is_read_from_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in");
    append(&path, "long line\n");
    let mut task = start(&path, None).await;
    let stored = check_poll(&mut task, &["long line"], 10).await;
    std::fs::write(&path, "cut\n").unwrap();
    check_poll(&mut task, &["cut"], 4).await;
    append(&path, "last of the old\n");
    std::fs::rename(&path, folder.path().join("in.1")).unwrap();
    append(&path, "new\n");
    check_poll(&mut task, &["last of the old"], 20).await;
    check_poll(&mut task, &["new"], 4).await;
    check_poll(&mut start(&path, Some(stored)).await, &["new"], 4).await;
}

#[tokio::test]
async fn an_offset_without_a_position_is_refused() {
    let config = ConfigMap::from_iter(
        [("file", "f"), ("topic", "t")].map(|(k, v)| (k.to_owned(), v.to_owned())),
    );
    let config = config::parse(&config::SOURCE, &config).unwrap();
    let stored = SourceOffset::from_iter([("line".to_owned(), 3.into())]);
    let error = FileSourceTask::start(&config, &Stored(Some(stored))).await.err().unwrap();
    assert!(error.to_string().contains(r#"but is {"line":3}"#), "{error}");
}
