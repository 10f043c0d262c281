//! A collector of OpenTelemetry's protocol over HTTP, that keeps what it is sent and answers what the test
//! says. It reads with the published types, not with ours.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    metrics::v1::metric::Data,
};
use prost::Message;
use tokio_rustls::rustls;

use super::until;

/// One span as it arrived.
#[derive(Debug, Clone)]
pub struct Span {
    pub service: String,
    pub resource: BTreeMap<String, String>,
    pub name: String,
    /// 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: i32,
    pub trace_id: String,
    pub id: String,
    /// Empty: none.
    pub parent: String,
    pub began: u64,
    pub ended: u64,
    pub attributes: BTreeMap<String, String>,
    pub is_error: bool,
    /// Names and attributes.
    pub events: Vec<(String, BTreeMap<String, String>)>,
    pub links: Vec<String>,
    pub tracestate: String,
}

/// One log line as it arrived.
#[derive(Debug, Clone)]
pub struct LogLine {
    pub service: String,
    pub resource: BTreeMap<String, String>,
    pub message: String,
    /// 9 info, 13 warn, 17 error.
    pub severity: i32,
    pub trace_id: String,
    pub span_id: String,
    pub attributes: BTreeMap<String, String>,
}

/// One metric as it arrived last.
#[derive(Debug, Clone)]
pub struct Measured {
    pub service: String,
    pub unit: String,
    pub data: Data,
}

/// Listens until the test's process ends.
#[derive(Clone)]
pub struct Collector {
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    spans: Mutex<Vec<Span>>,
    lines: Mutex<Vec<LogLine>>,
    /// By name.
    metrics: Mutex<BTreeMap<String, Measured>>,
    heads: Mutex<Vec<String>>,
    /// What it answers; 0: 200.
    status: AtomicU16,
    connections: AtomicUsize,
    away: AtomicBool,
    delay_ms: AtomicU64,
}

impl Collector {
    pub fn start() -> Self {
        Self::at(([127, 0, 0, 1], 0).into())
    }

    /// At this address, which is free.
    pub fn at(address: SocketAddr) -> Self {
        Self::over(address, |socket| socket)
    }

    /// Behind TLS.
    pub fn secured(config: rustls::ServerConfig) -> Self {
        let config = Arc::new(config);
        Self::over(([127, 0, 0, 1], 0).into(), move |socket| {
            let connection = rustls::ServerConnection::new(config.clone()).expect("a working configuration");
            rustls::StreamOwned::new(connection, socket)
        })
    }

    fn over<S: Read + Write + Send + 'static>(
        address: SocketAddr,
        wrap: impl Fn(TcpStream) -> S + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let collector = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let of = collector.clone();
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                of.state.connections.fetch_add(1, SeqCst);
                let (of, stream) = (of.clone(), wrap(socket));
                thread::spawn(move || of.serve(stream));
            }
        });
        collector
    }

    /// The lines of a manifest that sends to it.
    pub fn telemetry(&self, more: &str) -> String {
        format!("[telemetry]\notlp = \"http://{}\"\n{more}\n", self.address)
    }

    /// From now on it answers so; 200 again: it takes what it is sent.
    pub fn answer(&self, status: u16) {
        self.state.status.store(status, SeqCst);
    }

    /// From now on it hangs up on whoever asks, or does not any more.
    pub fn away(&self, is_away: bool) {
        self.state.away.store(is_away, SeqCst);
    }

    /// From now on each answer takes so long.
    pub fn delay(&self, by: Duration) {
        self.state.delay_ms.store(u64::try_from(by.as_millis()).unwrap(), SeqCst);
    }

    pub fn connections(&self) -> usize {
        self.state.connections.load(SeqCst)
    }

    /// The heads of requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.state.heads.lock().unwrap().clone()
    }

    pub fn spans(&self) -> Vec<Span> {
        self.state.spans.lock().unwrap().clone()
    }

    pub fn lines(&self) -> Vec<LogLine> {
        self.state.lines.lock().unwrap().clone()
    }

    pub fn metric(&self, name: &str) -> Option<Measured> {
        self.state.metrics.lock().unwrap().get(name).cloned()
    }

    /// Those of a trace, once `enough` says so.
    #[track_caller]
    pub fn trace(&self, trace_id: &str, enough: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let of_it = || self.spans().into_iter().filter(|span| span.trace_id == trace_id).collect::<Vec<_>>();
        until("all spans of a trace", || Some(of_it()).filter(|spans| enough(spans)))
    }

    fn serve(&self, socket: impl Read + Write) {
        let mut reader = BufReader::new(socket);
        while let Some((head, body)) = request(&mut reader) {
            let status = self.state.status.load(SeqCst);
            self.state.heads.lock().unwrap().push(head.clone());
            if status == 0 || status == 200 {
                self.keep(&head, &body);
            }
            if self.state.away.load(SeqCst) {
                return;
            }
            thread::sleep(Duration::from_millis(self.state.delay_ms.load(SeqCst)));
            let line = if status == 0 { 200 } else { status };
            let answer = format!("HTTP/1.1 {line} X\r\ncontent-length: 0\r\n\r\n");
            if reader.get_mut().write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn keep(&self, head: &str, body: &[u8]) {
        let unpacked = head.contains("content-encoding: gzip").then(|| unzipped(body));
        let body = unpacked.as_deref().unwrap_or(body);
        match head.split(' ').nth(1) {
            Some("/v1/logs") => self.keep_lines(read(head, body)),
            Some("/v1/metrics") => self.keep_metrics(read(head, body)),
            _ => self.keep_spans(read(head, body)),
        }
    }

    fn keep_lines(&self, request: ExportLogsServiceRequest) {
        for of_resource in request.resource_logs {
            let resource = texts(&of_resource.resource.map(|resource| resource.attributes).unwrap_or_default());
            let records = of_resource.scope_logs.into_iter().flat_map(|of_scope| of_scope.log_records);
            self.state.lines.lock().unwrap().extend(records.map(|record| LogLine {
                service: resource.get("service.name").cloned().unwrap_or_default(),
                resource: resource.clone(),
                message: text(record.body.as_ref()),
                severity: record.severity_number,
                trace_id: hex(&record.trace_id),
                span_id: hex(&record.span_id),
                attributes: texts(&record.attributes),
            }));
        }
    }

    fn keep_metrics(&self, request: ExportMetricsServiceRequest) {
        for of_resource in request.resource_metrics {
            let resource = texts(&of_resource.resource.map(|resource| resource.attributes).unwrap_or_default());
            let service = resource.get("service.name").cloned().unwrap_or_default();
            for metric in of_resource.scope_metrics.into_iter().flat_map(|of_scope| of_scope.metrics) {
                let Some(data) = metric.data else { continue };
                let measured = Measured { service: service.clone(), unit: metric.unit, data };
                self.state.metrics.lock().unwrap().insert(metric.name, measured);
            }
        }
    }

    fn keep_spans(&self, request: ExportTraceServiceRequest) {
        for of_resource in request.resource_spans {
            let resource = texts(&of_resource.resource.map(|resource| resource.attributes).unwrap_or_default());
            let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
            self.state.spans.lock().unwrap().extend(spans.map(|span| Span {
                service: resource.get("service.name").cloned().unwrap_or_default(),
                resource: resource.clone(),
                name: span.name,
                kind: span.kind,
                trace_id: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                began: span.start_time_unix_nano,
                ended: span.end_time_unix_nano,
                attributes: texts(&span.attributes),
                is_error: span.status.is_some_and(|status| status.code == 2),
                events: span.events.iter().map(|event| (event.name.clone(), texts(&event.attributes))).collect(),
                links: span.links.iter().map(|link| hex(&link.span_id)).collect(),
                tracestate: span.trace_state,
            }));
        }
    }
}

fn read<M: Message + Default + serde::de::DeserializeOwned>(head: &str, body: &[u8]) -> M {
    match head.contains("content-type: application/json") {
        true => serde_json::from_slice(body).expect("OTLP in JSON"),
        false => M::decode(body).expect("OTLP in protobuf"),
    }
}

/// A trace as people draw it: each span below the one it is within, in the order in which they began.
pub fn tree(spans: &[Span]) -> String {
    let mut text = String::new();
    let is_root = |span: &&Span| spans.iter().all(|other| other.id != span.parent);
    draw(&mut text, spans, spans.iter().filter(is_root).collect(), 0);
    text
}

fn draw(text: &mut String, all: &[Span], mut level: Vec<&Span>, depth: usize) {
    level.sort_by_key(|span| span.began);
    for span in level {
        let kind = ["", "internal", "server", "client", "producer", "consumer"][span.kind as usize];
        let took = (span.ended.saturating_sub(span.began)) as f64 / 1e6;
        let indent = "  ".repeat(depth);
        writeln!(text, "{indent}{} {kind} `{}` {took:.2} ms", span.service, span.name).unwrap();
        draw(text, all, all.iter().filter(|child| child.parent == span.id).collect(), depth + 1);
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes.iter().map(|pair| (pair.key.clone(), text(pair.value.as_ref()))).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        other => format!("{other:?}"),
    }
}

/// Ours are not compressed; those of a receiver that hands them on may be.
fn unzipped(body: &[u8]) -> Vec<u8> {
    let mut command = Command::new("gzip");
    let mut child = command.arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip is there");
    let mut input = child.stdin.take().expect("a pipe");
    thread::scope(|scope| {
        scope.spawn(move || input.write_all(body).expect("gzip reads"));
        child.wait_with_output().expect("gzip ends").stdout
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn request(reader: &mut BufReader<impl Read>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}
