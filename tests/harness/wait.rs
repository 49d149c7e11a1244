//! Waiting for something to become true, with a deadline.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is asked: often enough not to be felt, rarely enough not to load the machine.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits until the condition gives a value; its last error is the reason where it never does.
pub async fn within<T, F: Future<Output = Result<Option<T>>>>(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> F,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        let outcome = condition().await;
        match outcome {
            Ok(Some(value)) => return Ok(value),
            outcome if Instant::now() > deadline => match outcome {
                Err(error) => {
                    return Err(error.context(format!("{what}: not within {} s", limit.as_secs())));
                }
                _ => bail!("{what}: not within {} s", limit.as_secs()),
            },
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Waits until the condition is true, a minute at most.
pub async fn until<F: Future<Output = Result<bool>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> Result<()> {
    within(Duration::from_mins(1), what, || {
        let asked = condition();
        async { Ok(asked.await?.then_some(())) }
    })
    .await
}
