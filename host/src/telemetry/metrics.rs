//! Every metric that `GET /metrics` shows: its name, its type, its labels. Nowhere else.
//!
//! Names and units follow the conventions of Prometheus: seconds and bytes, `archipel_` in front of
//! what is ours. docs/metrics.md has the same list, and a test compares them.

/// What a metric's numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; samples end in `_total`.
    Counter,
    Gauge,
    Histogram,
    /// Facts as labels of a sample that is always 1; samples end in `_info`.
    Info,
}

impl Kind {
    /// As both formats call it, but for [`Kind::Info`], which plain text does not know.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }

    /// What its samples end in.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }
}

/// One metric with all its labels.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Without the suffix of its kind.
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
    pub labels: &'static [&'static str],
}

impl Family {
    /// The unit that its name ends in.
    pub fn unit(&self) -> Option<&'static str> {
        ["seconds", "bytes", "ratio"].into_iter().find(|unit| self.name.ends_with(&format!("_{unit}")))
    }
}

macro_rules! families {
    ($($family:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub const $family: Family =
            Family { name: $name, kind: Kind::$kind, help: $help, labels: &[$($label),*] };)+

        /// In the order of docs/metrics.md.
        #[cfg(test)]
        pub const ALL: &[&Family] = &[$(&$family),+];
    };
}

families! {
    HTTP_REQUESTS: Counter "archipel_http_requests" ["route", "service", "method", "status"]
        "Requests through the gateway, counted when their answers have ended.";
    HTTP_DURATION: Histogram "archipel_http_request_duration_seconds" ["route", "service"]
        "From a request's head to its answer's last byte.";
    HTTP_IN_FLIGHT: Gauge "archipel_http_requests_in_flight" []
        "Requests let in whose answers have not ended.";
    HTTP_REFUSED: Counter "archipel_http_requests_refused" ["reason"]
        "Requests turned away before any service was asked.";
    CONNECTIONS_OPEN: Gauge "archipel_connections_open" []
        "Connections to the gateway that are open.";
    CONNECTIONS: Counter "archipel_connections" []
        "Connections to the gateway that were accepted.";
    CONNECTIONS_REFUSED: Counter "archipel_connections_refused" []
        "Connections closed at once, because their address had its share.";
    TUNNELS_OPEN: Gauge "archipel_tunnels_open" []
        "Connections that went on as WebSockets or in another protocol, and are open.";
    TUNNELS: Counter "archipel_tunnels" []
        "Connections that went on as WebSockets or in another protocol.";
    TUNNEL_BYTES: Counter "archipel_tunnel_bytes" ["direction"]
        "Bytes carried on them, from clients and to them.";

    SERVICE_REQUESTS: Counter "archipel_service_requests" ["service"]
        "Requests a service was asked, by the gateway and by other services.";
    SERVICE_ERRORS: Counter "archipel_service_errors" ["service"]
        "Of these, those answered with 5xx or not at all.";
    SERVICE_DURATION: Histogram "archipel_service_request_duration_seconds" ["service"]
        "From entering a service, its queue included, to the head of its answer.";
    SERVICE_IN_FLIGHT: Gauge "archipel_service_requests_in_flight" ["service"]
        "Requests that are in a service.";
    SERVICE_IDLE: Gauge "archipel_service_instances_idle" ["service"]
        "Instances that wait for a request.";
    SERVICE_INSTANCES: Counter "archipel_service_instances_started" ["service"]
        "Instances made.";
    SERVICE_TROUBLES: Counter "archipel_service_failures" ["service", "kind"]
        "Requests and events that came to nothing, by what kept them.";
    SERVICE_RESTING: Gauge "archipel_service_breaker_open" ["service"]
        "1 while a service gets no requests, because most of them failed.";
    SERVICE_MEMORY: Gauge "archipel_service_memory_bytes" ["service"]
        "Memory of all instances of a service.";
    SERVICE_MEMORY_REFUSED: Counter "archipel_service_memory_refused" ["service", "limit"]
        "Times an instance asked for more memory than it may have.";
    CALLS: Counter "archipel_calls" ["service", "callee"]
        "Calls from one service to another, tries again not counted.";
    CALL_ERRORS: Counter "archipel_call_errors" ["service", "callee"]
        "Of these, those answered with 5xx.";
    DENIED: Counter "archipel_permission_denials" ["service", "permission"]
        "Times a service wanted what its permissions do not grant.";
    GRANTS_UNUSED: Gauge "archipel_grants_unused" ["service"]
        "Grants of the manifest that a service has not used since it was read.";

    UPSTREAM_ADDRESSES: Gauge "archipel_upstream_addresses" ["service", "health"]
        "Addresses of a service that runs elsewhere.";
    UPSTREAM_CONNECTIONS: Gauge "archipel_upstream_connections_open" ["service"]
        "Connections to it, in use or waiting for a request.";
    UPSTREAM_RETRIES: Counter "archipel_upstream_retries" ["service"]
        "Requests that were sent to it another time.";

    SWAPS: Counter "archipel_swaps" ["service", "outcome"]
        "Builds sent to replace a service's, by how that ended.";
    SWAP_DURATION: Histogram "archipel_swap_duration_seconds" ["service"]
        "From a swap's turn to the moment its build was live.";
    RAMPS: Counter "archipel_ramp_decisions" ["service", "decision"]
        "What was decided about builds that went live by shares.";
    RAMP_SHARE: Gauge "archipel_ramp_share_ratio" ["service"]
        "The share of requests that a build on its way gets; 0 without one.";
    APPLIED: Counter "archipel_manifests_applied" ["outcome"]
        "Manifests sent while the host ran, by what became of them.";
    COMPILED: Counter "archipel_component_loads" ["cache"]
        "Components loaded; a miss was compiled.";

    POSTGRES_MAX: Gauge "archipel_postgres_connections_max" ["database"]
        "Connections that a database's pool may have.";
    POSTGRES_LENT: Gauge "archipel_postgres_connections_lent" ["database"]
        "Connections in use, or being cleaned.";
    POSTGRES_IDLE: Gauge "archipel_postgres_connections_idle" ["database"]
        "Connections that wait to be used.";
    POSTGRES_WAITS: Counter "archipel_postgres_waits" ["database"]
        "Times somebody had to wait for a connection.";
    POSTGRES_TIMEOUTS: Counter "archipel_postgres_wait_timeouts" ["database"]
        "Times none came free in time.";
    REDIS_UP: Gauge "archipel_redis_up" ["redis"]
        "0 without a connection, and after five failures in a row until it answers again.";
    REDIS_CROWDED: Counter "archipel_redis_wait_timeouts" ["redis"]
        "Times a service had as much under way at a Redis as it may, and nothing came to its end in time.";
    STORE_BYTES: Gauge "archipel_keyvalue_bytes" ["store"]
        "What a key-value store with a bound of its own holds, at most.";
    STORE_BYTES_MAX: Gauge "archipel_keyvalue_max_bytes" ["store"]
        "What it may hold.";

    EVENTS_PUBLISHED: Counter "archipel_events_published" ["service"]
        "Events that Redis has taken from a service, outbox included.";
    EVENTS: Counter "archipel_events_delivered" ["service", "outcome"]
        "Events handed to a service, by what became of them.";
    EVENTS_LAG: Gauge "archipel_events_lag" ["topic", "service"]
        "Events of a topic that were not handed to a service yet.";
    EVENTS_PENDING: Gauge "archipel_events_pending" ["topic", "service"]
        "Events handed out, and neither handled nor given up.";
    OUTBOX_WAITING: Gauge "archipel_outbox_waiting" ["database"]
        "Events in a database that wait to be published, as last counted.";
    OUTBOX_HELD: Gauge "archipel_outbox_held" ["database"]
        "1 while events of a database wait because another session keeps the turn to carry them on.";

    SPANS_SENT: Counter "archipel_spans_sent" []
        "Spans that a collector has taken.";
    SPANS_DROPPED: Counter "archipel_spans_dropped" []
        "Spans that found no room, or no collector.";
    SPANS_QUEUED: Gauge "archipel_spans_queued" []
        "Spans that wait to be sent.";
    RECORDS_SENT: Counter "archipel_otlp_log_lines_sent" []
        "Log lines that a collector has taken.";
    RECORDS_DROPPED: Counter "archipel_otlp_log_lines_dropped" []
        "Log lines for a collector that found no room, or no collector.";
    METERINGS_SENT: Counter "archipel_otlp_metrics_sent" []
        "Times that a collector has taken all metrics.";
    METERINGS_DROPPED: Counter "archipel_otlp_metrics_dropped" []
        "Times that all metrics found no collector.";

    GUEST_MEMORY: Gauge "archipel_guest_memory_bytes" []
        "Memory of all instances together.";
    GUEST_MEMORY_MAX: Gauge "archipel_guest_memory_max_bytes" []
        "What all instances together may have.";
    LOG_LOST: Counter "archipel_log_lines_lost" []
        "Log lines dropped, because nobody read them in time.";
    CERTIFICATE: Gauge "archipel_certificate_end_seconds" ["owner"]
        "Until when a certificate that we show is good, since 1970.";
    BUILD: Info "archipel_build" ["version"]
        "The version of this host.";
    CPU: Counter "process_cpu_seconds" []
        "CPU time of the process.";
    RESIDENT: Gauge "process_resident_memory_bytes" []
        "Resident memory of the process.";
    VIRTUAL: Gauge "process_virtual_memory_bytes" []
        "Address space of the process; most of it is reserved for instances and never touched.";
    DESCRIPTORS: Gauge "process_open_fds" []
        "Open file descriptors.";
    STARTED: Gauge "process_start_time_seconds" []
        "When the process started, since 1970.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_documents_every_metric_as_it_is() {
        let row = |family: &&Family| {
            let Family { name, kind, help, labels } = family;
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            let labels = if labels.is_empty() { "-".to_owned() } else { labels.join(", ") };
            format!("| `{name}{}` | {} | {labels} | {help} |", kind.suffix(), kind.as_str())
        };
        let page = include_str!("../../../docs/metrics.md");
        let documented: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(documented, ALL.iter().map(row).collect::<Vec<_>>());
    }

    #[test]
    fn names_are_unique_and_leave_suffixes_to_their_kind() {
        let mut names: Vec<_> = ALL.iter().map(|family| family.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
        for family in ALL {
            let reserved = ["_total", "_info", "_bucket", "_count", "_sum", "_created"];
            assert!(!reserved.iter().any(|suffix| family.name.ends_with(suffix)), "{}", family.name);
            assert!(family.help.ends_with('.') && !family.help.contains(['\\', '"', '\n']), "{}", family.name);
        }
    }
}
