//! Answers the server's request for authentication: none, cleartext, MD5 or SCRAM-SHA-256.

use bytes::{Bytes, BytesMut};
use postgres_protocol::authentication::{md5_hash, sasl};
use postgres_protocol::message::frontend;

use super::{Answer, Connection, invalid};
use crate::error::PgError;
use crate::settings::Endpoint;

const OK: u32 = 0;
const CLEARTEXT: u32 = 3;
const MD5: u32 = 5;
const SASL: u32 = 10;
const SASL_CONTINUE: u32 = 11;
const SASL_FINAL: u32 = 12;

pub(super) async fn answer(
    connection: &mut Connection,
    endpoint: &Endpoint,
) -> Result<(), PgError> {
    let password = || {
        let missing = || PgError::Server {
            code: "28P01".to_owned(),
            message: "the server asks for a password and none is configured".to_owned(),
        };
        endpoint.password.as_deref().map(str::as_bytes).ok_or_else(missing)
    };
    let mut reply = BytesMut::new();
    match request(connection).await? {
        (OK, _) => return Ok(()),
        (CLEARTEXT, _) => frontend::password_message(password()?, &mut reply).map_err(invalid)?,
        (MD5, salt) => {
            let salt = salt.first_chunk::<4>().copied().unwrap_or_default();
            let hash = md5_hash(endpoint.user.as_bytes(), password()?, salt);
            frontend::password_message(hash.as_bytes(), &mut reply).map_err(invalid)?;
        }
        (SASL, mechanisms) => {
            if !mechanisms
                .split(|byte| *byte == 0)
                .any(|name| name == sasl::SCRAM_SHA_256.as_bytes())
            {
                return Err(PgError::Protocol("no SASL mechanism in common".to_owned()));
            }
            return scram(connection, password()?).await;
        }
        (other, _) => {
            return Err(PgError::Protocol(format!(
                "authentication method {other} is not supported"
            )));
        }
    }
    connection.send(&reply).await?;
    expect(connection, OK).await.map(|_| ())
}

/// Without channel binding.
async fn scram(connection: &mut Connection, password: &[u8]) -> Result<(), PgError> {
    let mut scram = sasl::ScramSha256::new(password, sasl::ChannelBinding::unsupported());
    let mut reply = BytesMut::new();
    frontend::sasl_initial_response(sasl::SCRAM_SHA_256, scram.message(), &mut reply)
        .map_err(invalid)?;
    connection.send(&reply).await?;
    scram.update(&expect(connection, SASL_CONTINUE).await?).map_err(invalid)?;
    reply.clear();
    frontend::sasl_response(scram.message(), &mut reply).map_err(invalid)?;
    connection.send(&reply).await?;
    // The server proves that it knows the password too.
    scram.finish(&expect(connection, SASL_FINAL).await?).map_err(invalid)?;
    expect(connection, OK).await.map(|_| ())
}

async fn request(connection: &mut Connection) -> Result<(u32, Bytes), PgError> {
    loop {
        if let Answer::Authentication(code, data) = connection.message().await? {
            return Ok((code, data));
        }
    }
}

async fn expect(connection: &mut Connection, expected: u32) -> Result<Bytes, PgError> {
    match request(connection).await? {
        (code, data) if code == expected => Ok(data),
        (code, _) => {
            Err(PgError::Protocol(format!("authentication step {code}, expected {expected}")))
        }
    }
}
