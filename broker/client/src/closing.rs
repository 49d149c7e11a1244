//! Destroying a handle of the library waits for its threads and perhaps for the network: never on a reactor.

/// Drops a handle of the library on a thread of its own.
pub(crate) fn drop_elsewhere<T: Send + 'static>(name: &str, handle: Option<T>) {
    let Some(handle) = handle else { return };
    if let Err(err) = std::thread::Builder::new().name(name.to_owned()).spawn(move || drop(handle))
    {
        tracing::warn!(error = %err, "no thread to close a client on");
    }
}
