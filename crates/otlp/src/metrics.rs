//! What is measured, as `ExportMetricsServiceRequest`: made of the published types, for it is made once a minute.
//!
//! Everything counts from the start of the host (`CUMULATIVE`).

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value as Any},
    metrics::v1::{
        AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric as Written, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, exemplar, metric::Data, number_data_point::Value as NumberValue,
    },
    resource::v1::Resource,
};
use prost::Message;
use span::Source;

use crate::{
    signal::Signal,
    sources::{Request, Sources},
    traces::nanos,
    waiting::Waiting,
};

/// What is measured at one moment.
pub type Snapshot = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Vec<Metric>> + Send>> + Send + Sync>;

/// A number as it was counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    Int(u64),
    Float(f64),
}

/// One metric with all its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    pub name: String,
    pub help: &'static str,
    /// As UCUM has it (`s`, `By`), or nothing.
    pub unit: &'static str,
    pub points: Points,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Points {
    /// Only grows.
    Sum(Vec<(Labels, Number)>),
    Gauge(Vec<(Labels, Number)>),
    Histogram(Vec<(Labels, Distribution)>),
}

pub type Labels = Vec<(&'static str, String)>;

/// How often what was measured was in each step.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// Upper bounds of all steps but the last, in seconds.
    pub bounds: Vec<f64>,
    /// Of each step: one more than there are bounds.
    pub counts: Vec<u64>,
    pub sum: f64,
    /// Trace, value and moment of some of them.
    pub exemplars: Vec<(u128, f64, SystemTime)>,
}

/// How often it is sent, and what became of it.
#[derive(Debug)]
pub struct Metering {
    interval_ms: AtomicU64,
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl Default for Metering {
    fn default() -> Self {
        Self { interval_ms: AtomicU64::new(60_000), sent: AtomicU64::new(0), dropped: AtomicU64::new(0) }
    }
}

impl Metering {
    /// Between two times that it is sent, after the one that is waited for now.
    pub fn set_interval(&self, interval: Duration) {
        self.interval_ms.store(u64::try_from(interval.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Times that a collector has taken all metrics.
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Times that none took them.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

pub(crate) struct Measured {
    own: Arc<Source>,
    snapshot: Snapshot,
    metering: Arc<Metering>,
    began: SystemTime,
    /// The last ones have been taken.
    is_over: AtomicBool,
}

impl Measured {
    pub(crate) fn new(own: Arc<Source>, snapshot: Snapshot, metering: Arc<Metering>) -> Self {
        Self { own, snapshot, metering, began: SystemTime::now(), is_over: AtomicBool::new(false) }
    }
}

impl Waiting for Measured {
    /// It is time.
    type Batch = ();

    const SIGNAL: Signal = Signal::Metrics;

    async fn gather(&self) {
        tokio::time::sleep(Duration::from_millis(self.metering.interval_ms.load(Relaxed))).await;
    }

    async fn rest(&self) -> Option<()> {
        (!self.is_over.swap(true, Relaxed)).then_some(())
    }

    async fn written(&self, (): (), sources: &mut Sources) -> Vec<Request> {
        let metrics = (self.snapshot)().await;
        let message = written(&metrics, self.began, sources.attributes(&self.own)).encode_to_vec();
        // All of one moment go together.
        vec![Request { message: message.into(), items: 1 }]
    }

    fn unwanted(&self, (): ()) {}

    fn sent(&self, items: usize) {
        self.metering.sent.fetch_add(items as u64, Relaxed);
    }

    fn lost(&self, items: usize) {
        self.metering.dropped.fetch_add(items as u64, Relaxed);
    }
}

fn written(metrics: &[Metric], began: SystemTime, resource: Vec<(String, String)>) -> ExportMetricsServiceRequest {
    let (began, now) = (nanos(began), nanos(SystemTime::now()));
    let metrics = metrics.iter().map(|metric| Written {
        name: metric.name.clone(),
        description: metric.help.to_owned(),
        unit: metric.unit.to_owned(),
        data: Some(data(&metric.points, began, now)),
        ..Written::default()
    });
    let attributes = resource.into_iter().map(|(key, value)| pair(&key, value)).collect();
    let scope = InstrumentationScope {
        name: "archipel".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope = ScopeMetrics { scope: Some(scope), metrics: metrics.collect(), ..ScopeMetrics::default() };
    let resource = Resource { attributes, ..Resource::default() };
    let all = ResourceMetrics { resource: Some(resource), scope_metrics: vec![scope], ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![all] }
}

fn data(points: &Points, began: u64, now: u64) -> Data {
    let numbers = |points: &[(Labels, Number)], began| points.iter().map(|of| number(of, began, now)).collect();
    let temporality = AggregationTemporality::Cumulative.into();
    match points {
        Points::Sum(points) => Data::Sum(Sum {
            data_points: numbers(points, began),
            aggregation_temporality: temporality,
            is_monotonic: true,
        }),
        // A gauge is of its moment only.
        Points::Gauge(points) => Data::Gauge(Gauge { data_points: numbers(points, 0) }),
        Points::Histogram(points) => Data::Histogram(Histogram {
            data_points: points.iter().map(|of| distribution(of, began, now)).collect(),
            aggregation_temporality: temporality,
        }),
    }
}

fn number((labels, value): &(Labels, Number), began: u64, now: u64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: pairs(labels),
        start_time_unix_nano: began,
        time_unix_nano: now,
        value: Some(match *value {
            Number::Int(value) => NumberValue::AsInt(i64::try_from(value).unwrap_or(i64::MAX)),
            Number::Float(value) => NumberValue::AsDouble(value),
        }),
        ..NumberDataPoint::default()
    }
}

fn distribution((labels, of): &(Labels, Distribution), began: u64, now: u64) -> HistogramDataPoint {
    let exemplars = of.exemplars.iter().map(|(trace_id, value, at)| Exemplar {
        time_unix_nano: nanos(*at),
        trace_id: trace_id.to_be_bytes().to_vec(),
        value: Some(exemplar::Value::AsDouble(*value)),
        ..Exemplar::default()
    });
    HistogramDataPoint {
        attributes: pairs(labels),
        start_time_unix_nano: began,
        time_unix_nano: now,
        count: of.counts.iter().sum(),
        sum: Some(of.sum),
        bucket_counts: of.counts.clone(),
        explicit_bounds: of.bounds.clone(),
        exemplars: exemplars.collect(),
        ..HistogramDataPoint::default()
    }
}

fn pairs(labels: &Labels) -> Vec<KeyValue> {
    labels.iter().map(|(key, value)| pair(key, value.clone())).collect()
}

fn pair(key: &str, text: String) -> KeyValue {
    let value = AnyValue { value: Some(Any::StringValue(text)) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
        }
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Int(value)
    }
}

impl From<usize> for Number {
    fn from(value: usize) -> Self {
        Self::Int(value as u64)
    }
}

impl From<u8> for Number {
    fn from(value: u8) -> Self {
        Self::Int(value.into())
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn only(points: Points) -> Data {
        let metric = Metric { name: "m".into(), help: "Help.", unit: "s", points };
        let resource = vec![("service.name".to_owned(), "gateway".to_owned())];
        let request = written(&[metric], UNIX_EPOCH + Duration::from_secs(1), resource).encode_to_vec();
        let read = ExportMetricsServiceRequest::decode(&*request).expect("OTLP").resource_metrics.remove(0);
        assert_eq!(read.resource.expect("a resource").attributes, [pair("service.name", "gateway".into())]);
        let metric = read.scope_metrics.into_iter().next().expect("a scope").metrics.remove(0);
        assert_eq!((&*metric.name, &*metric.description, &*metric.unit), ("m", "Help.", "s"));
        metric.data.expect("data")
    }

    #[test]
    fn a_counter_is_a_cumulative_sum_from_the_start_and_a_gauge_is_of_now() {
        let labels = vec![("service", "users".to_owned())];
        let Data::Sum(sum) = only(Points::Sum(vec![(labels, Number::Int(7))])) else { panic!("a sum") };
        assert_eq!((sum.aggregation_temporality, sum.is_monotonic), (2, true));
        let point = &sum.data_points[0];
        assert_eq!((point.start_time_unix_nano, &point.value), (1_000_000_000, &Some(NumberValue::AsInt(7))));
        assert!(point.time_unix_nano > point.start_time_unix_nano);
        assert_eq!(point.attributes, [pair("service", "users".into())]);
        let Data::Gauge(gauge) = only(Points::Gauge(vec![(Vec::new(), Number::Float(0.5))])) else { panic!("a gauge") };
        assert_eq!(gauge.data_points[0].value, Some(NumberValue::AsDouble(0.5)));
    }

    #[test]
    fn a_histogram_has_a_count_for_each_step_and_one_more_than_bounds() {
        let at = UNIX_EPOCH + Duration::from_secs(3);
        let of =
            Distribution { bounds: vec![0.1, 1.0], counts: vec![2, 0, 1], sum: 9.5, exemplars: vec![(7, 9.0, at)] };
        let Data::Histogram(read) = only(Points::Histogram(vec![(Vec::new(), of)])) else { panic!("a histogram") };
        assert_eq!(read.aggregation_temporality, 2);
        let point = &read.data_points[0];
        assert_eq!((point.count, point.sum), (3, Some(9.5)));
        assert_eq!((&*point.bucket_counts, &*point.explicit_bounds), (&[2, 0, 1][..], &[0.1, 1.0][..]));
        assert_eq!(point.exemplars[0].trace_id, 7_u128.to_be_bytes());
    }
}
