//! What librdkafka calls back: log lines and errors go to `tracing`.

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

/// Writes a log line of librdkafka. Its own levels are one step too loud for a library that retries by itself.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => tracing::warn!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Warning => tracing::info!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(target: "librdkafka", facility, "{message}");
        }
    }
}

/// Writes an error that concerns a whole handle, such as a lost connection.
pub(crate) fn error(err: &KafkaError, reason: &str) {
    tracing::debug!(target: "librdkafka", error = %err, "{reason}");
}

/// The context of handles that need nothing but logging.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LogContext;

impl rdkafka::ClientContext for LogContext {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        log(level, fac, log_message);
    }
    fn error(&self, err: KafkaError, reason: &str) {
        error(&err, reason);
    }
}

impl rdkafka::consumer::ConsumerContext for LogContext {}
