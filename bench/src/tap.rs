//! A relay that passes connections on to Elasticsearch and keeps what clients said: the sink's own bulk requests.

use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A bulk request as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bulk {
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
}

type Heard = Arc<Mutex<Vec<Vec<u8>>>>;

/// A listening relay; dropping it ends its connections.
pub(crate) struct Tap {
    /// `http://…`, where it listens.
    pub(crate) url: String,
    heard: Heard,
    task: JoinHandle<()>,
}

impl Tap {
    /// Listens on a free port for connections to that address.
    pub(crate) async fn start(target: &str) -> Result<Self> {
        let target = target.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let heard = Heard::default();
        let all = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let number = all.lock().map_or(0, |mut heard| {
                    heard.push(Vec::new());
                    heard.len() - 1
                });
                let (target, all) = (target.clone(), Arc::clone(&all));
                connections.spawn(async move {
                    let _ = relay(client, &target, &all, number).await;
                });
            }
        });
        Ok(Self { url, heard, task })
    }

    /// The bulk requests so far, connection by connection.
    pub(crate) fn bulks(&self) -> Result<Vec<Bulk>> {
        let heard = self.heard.lock().ok().context("a relay panicked")?;
        let mut bulks = Vec::new();
        for stream in heard.iter() {
            bulks.extend(
                requests(stream)?.into_iter().filter(|request| request.path.contains("_bulk")),
            );
        }
        Ok(bulks)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(client: TcpStream, target: &str, heard: &Heard, number: usize) -> Result<()> {
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::try_join!(
        pass(from_client, to_server, |bytes| {
            if let Ok(mut heard) = heard.lock()
                && let Some(stream) = heard.get_mut(number)
            {
                stream.extend_from_slice(bytes);
            }
        }),
        pass(from_server, to_client, |_| {})
    )?;
    Ok(())
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut tell: impl FnMut(&[u8]),
) -> Result<()> {
    let mut buffer = vec![0_u8; 65_536];
    loop {
        let count = from.read(&mut buffer).await?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        tell(bytes);
        to.write_all(bytes).await?;
    }
    to.shutdown().await?;
    Ok(())
}

/// The requests of one connection; a last one that is not complete is left out.
fn requests(stream: &[u8]) -> Result<Vec<Bulk>> {
    let mut found = Vec::new();
    let mut rest = stream;
    while let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
        let (head, body) = rest.split_at(end + 4);
        let head = std::str::from_utf8(head)?;
        let mut lines = head.lines();
        let path = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .context("a request without a path")?
            .to_owned();
        let header = |name: &str| {
            let found = lines
                .clone()
                .filter_map(|line| line.split_once(':'))
                .find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.trim())
        };
        anyhow::ensure!(header("transfer-encoding").is_none(), "a request of unknown length");
        let length: usize = header("content-length").map_or(Ok(0), str::parse)?;
        let Some(bytes) = body.get(..length) else { break };
        found.push(Bulk { path, body: bytes.to_vec() });
        rest = body.get(length..).unwrap_or_default();
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_cut_out_of_a_connection() {
        let stream = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nPOST /_bulk HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcdePOST /x HTTP/1.1\r\ncontent-length: 9\r\n\r\nab";
        let expected = [("/", ""), ("/_bulk", "abcde")]
            .map(|(path, body)| Bulk { path: path.to_owned(), body: body.into() });
        assert_eq!(requests(stream).unwrap(), expected);
        assert!(requests(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
