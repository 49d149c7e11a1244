//! Opening logs: one when it is needed, or all of them after an unclean stop.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aquifer_broker_log::{DataDir, Log, LogConfig, LogError, OffsetMap, RecoveryReport};

use crate::clock::Clock;
use crate::partition::{PartitionError, TopicPartition};

/// Threads that recover logs after an unclean stop: reading and checksumming in turns.
const RECOVERY_THREADS: usize = 4;

/// Opens all logs after an unclean stop, and makes what they hold durable with one sync.
pub(super) fn recover(
    data_dir: &Arc<DataDir>,
    on_disk: &[TopicPartition],
    clock: &Clock,
) -> Result<HashMap<TopicPartition, Log>, PartitionError> {
    let next = AtomicUsize::new(0);
    let open_some = || -> Result<Vec<(TopicPartition, Log)>, LogError> {
        let mut logs = Vec::new();
        while let Some(id) = on_disk.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (mut log, report) = data_dir.open_log(
                &id.topic,
                id.partition,
                [0; 16],
                LogConfig::default(),
                clock.now_ms(),
            )?;
            tell(id, &report);
            log.write_derived()?;
            logs.push((id.clone(), log));
        }
        Ok(logs)
    };
    let threads = on_disk.len().min(RECOVERY_THREADS);
    let results: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(open_some)).collect();
        running.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    let mut logs = HashMap::new();
    for result in results {
        let opened = result
            .map_err(|_| PartitionError::Storage("recovery broke an invariant".to_owned()))?;
        logs.extend(opened?);
    }
    let points = logs
        .iter()
        .filter(|(_, log)| log.is_on_disk())
        .map(|(id, log)| ((id.topic.to_string(), id.partition), log.log_end()))
        .collect::<OffsetMap>();
    data_dir.save(points.clone(), points)?;
    for log in logs.values_mut() {
        // It is durable by now.
        log.take_unsynced()?;
    }
    Ok(logs)
}

/// Says what recovery cut.
pub(super) fn tell(id: &TopicPartition, report: &RecoveryReport) {
    if let Some(err) = &report.truncated {
        tracing::warn!(
            topic = %id.topic, partition = id.partition, bytes = report.truncated_bytes, error = %err,
            "cut the end of a log that the last stop left unfinished"
        );
    }
}
