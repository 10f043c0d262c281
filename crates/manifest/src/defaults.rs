//! What a key means when it is not written, and how far it may go. The same in development
//! and in production.

use std::ops::RangeInclusive;

use document::quantity::{Share, Size, Time};

pub(crate) const GATEWAY_LISTEN: &str = "127.0.0.1:3000";
pub(crate) const GATEWAY_LIMIT: &str = "100/min";
pub(crate) const GATEWAY_BODY_LIMIT: Size = Size::mib(2);
pub(crate) const GATEWAY_TIMEOUT: Time = Time::seconds(10);
pub(crate) const GATEWAY_CONNECTIONS_MAX: u64 = 4096;
pub(crate) const GATEWAY_REQUESTS_MAX: u64 = 1024;

/// Of a stream and of a WebSocket.
pub(crate) const STREAM_IDLE: Time = Time::seconds(60);
pub(crate) const STREAM_IDLES: RangeInclusive<Time> = Time::seconds(1)..=Time::minutes(24 * 60);

pub(crate) const CORS_MAX_AGE: Time = Time::minutes(10);

pub(crate) const ADMIN_LISTEN: &str = "127.0.0.1:3900";

pub(crate) const DATA: &str = ".archipel";
pub(crate) const KEEP_ALIVE: Time = Time::seconds(60);
pub(crate) const KEEP_ALIVES: RangeInclusive<Time> = Time::seconds(1)..=Time::minutes(60);
pub(crate) const DRAIN: Time = Time::seconds(30);
pub(crate) const LINGER: Time = Time::seconds(0);
pub(crate) const ARTIFACTS_MAX: Size = Size::gib(1);

pub(crate) const DATABASE_CONNECTIONS_MAX: u64 = 16;
pub(crate) const DATABASE_WAIT: Time = Time::seconds(1);
pub(crate) const STATEMENT_TIMEOUT: Time = Time::seconds(3);
pub(crate) const ROWS_MAX: u64 = 10_000;
pub(crate) const BYTES_MAX: Size = Size::mib(16);

/// Seven days.
pub(crate) const RETAIN: Time = Time::minutes(7 * 24 * 60);
pub(crate) const RETAIN_BYTES: Size = Size::gib(1);
pub(crate) const EVENT_CONCURRENCY: u64 = 8;
pub(crate) const EVENT_TRIES: u64 = 5;
pub(crate) const EVENT_BACKOFF: Time = Time::seconds(1);
pub(crate) const EVENT_TIMEOUT: Time = Time::seconds(30);

/// Where OpenTelemetry's collectors listen.
pub(crate) const OTLP: &str = "http://localhost:4318";
pub(crate) const SAMPLE: Share = Share::percent(100);
pub(crate) const SLOW: Time = Time::seconds(1);

pub(crate) const SMOKE: &str = "GET /";
pub(crate) const RAMP_STEPS: [Share; 3] = [Share::percent(5), Share::percent(25), Share::percent(50)];
pub(crate) const RAMP_STEP: Time = Time::seconds(30);
pub(crate) const RAMP_REQUESTS: u64 = 50;
pub(crate) const ROLLBACK_ERROR_RATE: Share = Share::percent(1);
pub(crate) const ROLLBACK_LATENCY: Share = Share::percent(50);
pub(crate) const ROLLBACK_WINDOW: Time = Time::seconds(30);
pub(crate) const LEEWAY: Time = Time::seconds(30);

/// Headless Services of Kubernetes change with their pods.
pub(crate) const DNS_TTL_MAX: Time = Time::seconds(30);
pub(crate) const DNS_TTLS: RangeInclusive<Time> = Time::seconds(1)..=Time::minutes(60);
/// To each address, as many as requests may be in a service.
pub(crate) const POOL_CONNECTIONS_MAX: u64 = 256;
/// Less than what servers keep a connection by themselves: Node.js five seconds.
pub(crate) const POOL_IDLE: Time = Time::seconds(4);
pub(crate) const HEALTH_INTERVAL: Time = Time::seconds(5);
pub(crate) const HEALTH_INTERVALS: RangeInclusive<Time> = Time::milliseconds(100)..=Time::minutes(60);
pub(crate) const URLS_MAX: usize = 100;

pub(crate) const VERSION: &str = "0.0.0";
pub(crate) const WASI: &str = "0.2";
pub(crate) const MEMORY: Size = Size::mib(64);
pub(crate) const SERVICE_TIMEOUT: Time = Time::seconds(5);
pub(crate) const CPU: Time = Time::seconds(1);
pub(crate) const CONCURRENCY: u64 = 256;
pub(crate) const QUEUE_LENGTH: u64 = 256;
pub(crate) const QUEUE_WAIT: Time = Time::milliseconds(250);
pub(crate) const REUSE_REQUESTS: u64 = 128;
pub(crate) const REUSE_IDLE: Time = Time::seconds(10);

/// Of anything that ends a request.
pub(crate) const TIMEOUTS: RangeInclusive<Time> = Time::milliseconds(1)..=Time::minutes(5);
/// Of what may be switched off: draining, lingering, waiting in a queue.
pub(crate) const PAUSES: RangeInclusive<Time> = Time::seconds(0)..=Time::minutes(60);
/// Browsers remember nothing for longer than a day.
pub(crate) const CORS_MAX_AGES: RangeInclusive<Time> = Time::seconds(0)..=Time::minutes(24 * 60);
pub(crate) const BODY_LIMITS: RangeInclusive<Size> = Size::bytes(0)..=Size::gib(1024);
/// From one instance of the smallest guest to what 32-bit WebAssembly can address.
pub(crate) const MEMORIES: RangeInclusive<Size> = Size::mib(1)..=Size::gib(4);
pub(crate) const GUEST_MEMORIES: RangeInclusive<Size> = Size::mib(1)..=Size::gib(64 * 1024);
/// A Redis with nothing in it has one or two.
pub(crate) const REDIS_MEMORIES: RangeInclusive<Size> = Size::mib(8)..=Size::gib(64 * 1024);
pub(crate) const ARTIFACTS: RangeInclusive<Size> = Size::mib(1)..=Size::gib(1024);
pub(crate) const CONNECTIONS: RangeInclusive<u64> = 1..=1_000_000;
pub(crate) const DATABASE_CONNECTIONS: RangeInclusive<u64> = 1..=1000;
pub(crate) const WAITS: RangeInclusive<Time> = Time::milliseconds(1)..=Time::minutes(1);
pub(crate) const LEEWAYS: RangeInclusive<Time> = Time::seconds(0)..=Time::minutes(5);
/// Up to a year.
pub(crate) const RETAINS: RangeInclusive<Time> = Time::seconds(1)..=Time::minutes(365 * 24 * 60);
pub(crate) const RETAINED_BYTES: RangeInclusive<Size> = Size::mib(1)..=Size::gib(1024);
pub(crate) const STORE_MEMORIES: RangeInclusive<Size> = Size::mib(1)..=Size::gib(1024);
/// Up to a year.
pub(crate) const VALUE_TTLS: RangeInclusive<Time> = Time::milliseconds(1)..=Time::minutes(365 * 24 * 60);
pub(crate) const EVENT_CONCURRENCIES: RangeInclusive<u64> = 1..=1000;
pub(crate) const TRIES: RangeInclusive<u64> = 1..=100;
pub(crate) const BACKOFFS: RangeInclusive<Time> = Time::milliseconds(1)..=Time::minutes(1);
pub(crate) const ROWS: RangeInclusive<u64> = 1..=1_000_000;
pub(crate) const RESULT_BYTES: RangeInclusive<Size> = Size::kib(1)..=Size::gib(1);
pub(crate) const RAMP_STEPS_MAX: usize = 20;
/// Of a step: all of the traffic is the end of a ramp.
pub(crate) const SHARES: RangeInclusive<Share> = Share::percent(1)..=Share::percent(99);
pub(crate) const ERROR_RATES: RangeInclusive<Share> = Share::percent(0)..=Share::percent(100);
pub(crate) const SAMPLES: RangeInclusive<Share> = Share::percent(0)..=Share::percent(100);
pub(crate) const SLOWNESSES: RangeInclusive<Time> = Time::milliseconds(1)..=Time::minutes(60);
pub(crate) const SLOWER: RangeInclusive<Share> = Share::percent(1)..=Share::percent(10_000);
pub(crate) const RAMP_TIMES: RangeInclusive<Time> = Time::milliseconds(100)..=Time::minutes(24 * 60);
pub(crate) const RAMP_COUNTS: RangeInclusive<u64> = 1..=1_000_000;
pub(crate) const CONCURRENCIES: RangeInclusive<u64> = 1..=10_000;
pub(crate) const QUEUES: RangeInclusive<u64> = 0..=100_000;
pub(crate) const REUSES: RangeInclusive<u64> = 1..=1_000_000_000;
pub(crate) const IDLES: RangeInclusive<Time> = Time::milliseconds(1)..=Time::minutes(60);
