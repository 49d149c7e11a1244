//! TABLES: where ours answers otherwise than Apache Kafka: what is meant, and what is not yet equal.

/// A difference that is known.
#[derive(Debug)]
pub(crate) struct Difference {
    /// The script.
    pub(crate) area: &'static str,
    /// The step, `*` for anything.
    pub(crate) step: &'static str,
    /// The field, `*` for anything.
    pub(crate) field: &'static str,
    /// Why it is meant, or what is missing.
    pub(crate) reason: &'static str,
}

const fn row(
    area: &'static str,
    step: &'static str,
    field: &'static str,
    reason: &'static str,
) -> Difference {
    Difference { area, step, field, reason }
}

// TABLE of what is meant. A row that no longer differs fails.
pub(crate) const MEANT: &[Difference] = &[
    row("versions", "ApiVersions*", "api_keys[17].*", "SASL: not served, and so not advertised"),
    row("versions", "ApiVersions*", "api_keys[29].*", "ACLs: not served, and so not advertised"),
    row("versions", "ApiVersions*", "api_keys[30].*", "ACLs: not served, and so not advertised"),
    row("versions", "ApiVersions*", "api_keys[31].*", "ACLs: not served, and so not advertised"),
    row("versions", "ApiVersions*", "api_keys[36].*", "SASL: not served, and so not advertised"),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[38].*",
        "delegation tokens: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[39].*",
        "delegation tokens: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[40].*",
        "delegation tokens: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[41].*",
        "delegation tokens: not served, and so not advertised",
    ),
    row("versions", "ApiVersions*", "api_keys[48].*", "quotas: not served, and so not advertised"),
    row("versions", "ApiVersions*", "api_keys[49].*", "quotas: not served, and so not advertised"),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[50].*",
        "SCRAM users: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[51].*",
        "SCRAM users: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[64].*",
        "several brokers: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[76].*",
        "share groups: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[77].*",
        "share groups: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[78].*",
        "share groups: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[79].*",
        "share groups: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[80].*",
        "several voters: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[81].*",
        "several voters: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[83].*",
        "share groups: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[84].*",
        "share groups: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[85].*",
        "share groups: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[86].*",
        "share groups: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[87].*",
        "share groups: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[88].*",
        "Streams groups: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[89].*",
        "Streams groups: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[90].*",
        "share groups: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[91].*",
        "share groups: not served, and so not advertised",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[92].*",
        "share groups: not served, and so not advertised",
    ),
    row("versions", "ApiVersions*", "api_keys.length", "follows from the rows above"),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[2].min_version",
        "ListOffsets: versions that Kafka 4 dropped are still served",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[8].min_version",
        "OffsetCommit: versions that Kafka 4 dropped are still served",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[19].min_version",
        "CreateTopics: versions that Kafka 4 dropped are still served",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[20].min_version",
        "DeleteTopics: versions that Kafka 4 dropped are still served",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[23].min_version",
        "OffsetForLeaderEpoch: versions that Kafka 4 dropped are still served",
    ),
    row(
        "versions",
        "ApiVersions*",
        "api_keys[32].min_version",
        "DescribeConfigs: versions that Kafka 4 dropped are still served",
    ),
    row(
        "versions",
        "ApiVersions*",
        "*_features[eligible.leader.replicas.version].*",
        "a feature of what is not here",
    ),
    row("versions", "ApiVersions*", "*_features[share.version].*", "a feature of what is not here"),
    row(
        "versions",
        "ApiVersions*",
        "*_features[streams.version].*",
        "a feature of what is not here",
    ),
    row("versions", "ApiVersions*", "*_features[kraft.version].*", "a feature of what is not here"),
    row("versions", "ApiVersions*", "*_features.length", "follows from the rows above"),
    row(
        "versions",
        "ApiVersions*",
        "*_features[metadata.version].*",
        "the level that our metadata log is written in",
    ),
    row(
        "topics",
        "*",
        "*configs[min.insync.replicas]*",
        "Kafka sets it for the cluster when it is formatted with eligible leader replicas; here it is a default",
    ),
    row(
        "configs",
        "*",
        "*configs[min.insync.replicas]*",
        "Kafka sets it for the cluster when it is formatted with eligible leader replicas; here it is a default",
    ),
    row(
        "produce",
        "Produce v13 gzip that is none",
        "*",
        "producing does not decompress on a plain topic: what lies in a compressed batch is its readers' business",
    ),
    row(
        "produce",
        "Produce v13 snappy that is none",
        "*",
        "producing does not decompress on a plain topic: what lies in a compressed batch is its readers' business",
    ),
    row(
        "produce",
        "Produce v13 lz4 that is none",
        "*",
        "producing does not decompress on a plain topic: what lies in a compressed batch is its readers' business",
    ),
    row(
        "produce",
        "Produce v13 zstd that is none",
        "*",
        "producing does not decompress on a plain topic: what lies in a compressed batch is its readers' business",
    ),
    row(
        "produce",
        "Produce * an unknown codec",
        "*",
        "a code that says what is wrong, instead of UNKNOWN_SERVER_ERROR",
    ),
    row(
        "produce",
        "Produce * a time of the log",
        "*",
        "a producer does not set the log's time; Kafka takes such a batch as it is",
    ),
    row(
        "configs",
        "IncrementalAlterConfigs * an unknown operation",
        "*error_code",
        "INVALID_REQUEST instead of UNKNOWN_SERVER_ERROR",
    ),
    row(
        "configs",
        "DescribeConfigs * all brokers",
        "*",
        "Kafka shows min.insync.replicas, which it sets when it is formatted",
    ),
    row(
        "configs",
        "DescribeConfigs * metrics",
        "*",
        "there is no client telemetry to be configured",
    ),
    row(
        "transactions",
        "WriteTxnMarkers * a marker of an old epoch",
        "*error_code",
        "INVALID_PRODUCER_EPOCH instead of UNKNOWN_SERVER_ERROR",
    ),
    row(
        "admin",
        "DescribeQuorum * the quorum*",
        "nodes*",
        "there is one listener, and it is the clients'",
    ),
    row(
        "classic_groups",
        "ListGroups * all*",
        "groups*",
        "a refused join leaves an empty group behind at Kafka, and nothing here",
    ),
    row(
        "classic_groups",
        "ListGroups * empty ones",
        "groups*",
        "a refused join leaves an empty group behind at Kafka, and nothing here",
    ),
    row(
        "classic_groups",
        "ListGroups * in small letters",
        "groups*",
        "a refused join leaves an empty group behind at Kafka, and nothing here",
    ),
    row(
        "classic_groups",
        "ListGroups * classic ones",
        "groups*",
        "a refused join leaves an empty group behind at Kafka, and nothing here",
    ),
    row(
        "classic_groups",
        "ListGroups * in large letters",
        "groups*",
        "a refused join leaves an empty group behind at Kafka, and nothing here",
    ),
];

// TABLE of what is not meant and not yet otherwise: no client in the system tests depends on it. A row that no longer differs
// is printed, and goes.
pub(crate) const GAPS: &[Difference] = &[
    row(
        "versions",
        "ApiVersions*",
        "supported_features*",
        "group.version is supported from 1 here",
    ),
    row("admin", "ElectLeaders * for all", "*", "topics without an election are not listed"),
];
