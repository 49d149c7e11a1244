//! ApiVersions: every API and version, features, versions that nobody knows.

use aquifer_broker_protocol::message::api_versions::ApiVersionsRequest;

use super::caller::Caller;
use super::requests::{of, s};

pub(crate) async fn script(c: &mut Caller) {
    let named = |name: &str, version: &str| of!(ApiVersionsRequest<'static> { client_software_name: s(name), client_software_version: s(version) });
    c.calls("every version", 0, |_| named("oracle", "1.0")).await;
    c.call("a name with spaces", 4, named("or acle", "1.0")).await;
    c.call("no name", 3, named("", "1.0")).await;
    c.call("a version with a sign that may not be", 3, named("oracle", "1_0")).await;
    // Key 18 in version 99 is answered in version 0; what the broker does not know ends the connection.
    c.raw("ApiVersions v99", &[0, 0, 0, 10, 0, 18, 0, 99, 0, 0, 0, 7, 255, 255]).await;
    c.raw("key 999", &[0, 0, 0, 10, 3, 231, 0, 0, 0, 0, 0, 7, 255, 255]).await;
    c.raw("Metadata v99", &[0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 7, 255, 255]).await;
    c.raw("Fetch v3", &[0, 0, 0, 10, 0, 1, 0, 3, 0, 0, 0, 7, 255, 255]).await;
    c.raw("a request that is cut", &[0, 0, 0, 10, 0, 3, 0, 9, 0, 0, 0, 7, 255, 255]).await;
    c.raw("a length below zero", &[255, 255, 255, 255]).await;
}
