//! How metrics are written down: the text format of Prometheus 0.0.4, OpenMetrics 1.0, and OTLP.
//!
//! The first two are almost one. OpenMetrics names a counter without `_total`, knows units and facts, and
//! ends with `# EOF`. For OTLP the same numbers stay numbers.

use std::fmt::Write;

use gateway::counts::{BOUNDS_MICROS, Buckets, Exemplar, Exemplars};
use http::{HeaderMap, HeaderValue, header::ACCEPT};
use otlp::{Distribution, Labels, Metric, Number, Points};

use super::metrics::{Family, Kind};

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    OpenMetrics,
}

impl Format {
    /// What the `Accept` of a request asks for; text when in doubt.
    pub fn wanted(headers: &HeaderMap) -> Self {
        let ranges = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
        let (mut open_metrics, mut text) = (0.0_f32, 0.0_f32);
        for range in ranges.flat_map(|value| value.split(',')) {
            let mut words = range.split(';').map(|word| word.trim().to_ascii_lowercase());
            let kind = words.next().unwrap_or_default();
            let parameters: Vec<String> = words.collect();
            let parameter = |name: &str| parameters.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            let weight = parameter("q").map_or(1.0, |q| q.parse().unwrap_or(0.0));
            match kind.as_str() {
                "application/openmetrics-text" if parameter("version").is_none_or(|version| version == "1.0.0") => {
                    open_metrics = open_metrics.max(weight);
                }
                "text/plain" | "text/*" => text = text.max(weight),
                _ => {}
            }
        }
        if open_metrics > text { Self::OpenMetrics } else { Self::Text }
    }

    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        })
    }
}

/// Metrics as they are written, one family after the other.
pub struct Exposition(Form);

enum Form {
    Text(Format, String),
    Numbers(Vec<Metric>),
}

/// The samples of one family, for as long as it is its turn.
pub struct Samples<'a> {
    family: &'static Family,
    into: Target<'a>,
}

/// Where its samples go.
enum Target<'a> {
    Text(Format, &'a mut String),
    Numbers(&'a mut Points),
}

impl Exposition {
    pub fn new(format: Format) -> Self {
        Self(Form::Text(format, String::with_capacity(64 << 10)))
    }

    /// For OTLP.
    pub fn numbers() -> Self {
        Self(Form::Numbers(Vec::new()))
    }

    /// Begins a family; all its samples come before the next one.
    pub fn family(&mut self, family: &'static Family) -> Samples<'_> {
        let into = match &mut self.0 {
            Form::Text(format, text) => {
                head(text, *format, family);
                Target::Text(*format, text)
            }
            Form::Numbers(all) => {
                all.push(metric(family));
                Target::Numbers(&mut all.last_mut().expect("one was pushed").points)
            }
        };
        Samples { family, into }
    }

    /// One sample without labels.
    pub fn single(&mut self, family: &'static Family, value: impl Into<Number>) {
        self.family(family).sample(&[], value);
    }

    /// Nothing of [`Exposition::numbers`].
    pub fn text(self) -> String {
        let Form::Text(format, mut text) = self.0 else { return String::new() };
        if format == Format::OpenMetrics {
            line(&mut text, format_args!("# EOF"));
        }
        text
    }

    /// Families that have samples; nothing of [`Exposition::new`].
    pub fn metrics(self) -> Vec<Metric> {
        let Form::Numbers(mut all) = self.0 else { return Vec::new() };
        all.retain(|metric| match &metric.points {
            Points::Sum(points) | Points::Gauge(points) => !points.is_empty(),
            Points::Histogram(points) => !points.is_empty(),
        });
        all
    }
}

fn head(text: &mut String, format: Format, family: &Family) {
    let Family { name, kind, help, .. } = family;
    let (name, kind) = match format {
        Format::OpenMetrics => ((*name).to_owned(), kind.as_str()),
        Format::Text if *kind == Kind::Info => (format!("{name}{}", kind.suffix()), "gauge"),
        Format::Text => (format!("{name}{}", kind.suffix()), kind.as_str()),
    };
    line(text, format_args!("# HELP {name} {help}"));
    line(text, format_args!("# TYPE {name} {kind}"));
    if let (Format::OpenMetrics, Some(unit)) = (format, family.unit()) {
        line(text, format_args!("# UNIT {name} {unit}"));
    }
}

/// Without the suffix that Prometheus gives counters: whoever reads OTLP for it adds that.
fn metric(family: &'static Family) -> Metric {
    let (suffix, points) = match family.kind {
        Kind::Counter => ("", Points::Sum(Vec::new())),
        Kind::Gauge => ("", Points::Gauge(Vec::new())),
        Kind::Info => (family.kind.suffix(), Points::Gauge(Vec::new())),
        Kind::Histogram => ("", Points::Histogram(Vec::new())),
    };
    let unit = match family.unit() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        Some("ratio") => "1",
        _ => "",
    };
    Metric { name: format!("{}{suffix}", family.name), help: family.help, unit, points }
}

impl Samples<'_> {
    /// `values` belong to the labels of the family, in order.
    pub fn sample(&mut self, values: &[&str], value: impl Into<Number>) {
        let (family, value) = (self.family, value.into());
        match &mut self.into {
            Target::Text(_, text) => {
                let (Family { name, kind, .. }, labels) = (family, labels(family, values, None));
                line(text, format_args!("{name}{}{labels} {value}", kind.suffix()));
            }
            Target::Numbers(Points::Sum(points) | Points::Gauge(points)) => points.push((named(family, values), value)),
            Target::Numbers(Points::Histogram(_)) => debug_assert!(false, "{} is a histogram", family.name),
        }
    }

    /// All samples of one histogram.
    pub fn histogram(&mut self, values: &[&str], buckets: &Buckets) {
        self.histogram_with(values, buckets, &Exemplars::default());
    }

    /// The same with a request for each bucket, where the format knows that.
    pub fn histogram_with(&mut self, values: &[&str], buckets: &Buckets, exemplars: &Exemplars) {
        let family = self.family;
        match &mut self.into {
            Target::Text(format, text) => buckets_as_text(text, *format, (family, values), buckets, exemplars),
            Target::Numbers(Points::Histogram(points)) => {
                points.push((named(family, values), distribution(buckets, exemplars)));
            }
            Target::Numbers(_) => debug_assert!(false, "{} is no histogram", family.name),
        }
    }
}

fn buckets_as_text(
    text: &mut String,
    format: Format,
    (family, values): (&Family, &[&str]),
    buckets: &Buckets,
    exemplars: &Exemplars,
) {
    let name = family.name;
    let bounds = BOUNDS_MICROS.iter().map(|micros| format!("{:?}", *micros as f64 / 1e6));
    let all = bounds.chain(["+Inf".to_owned()]).zip(buckets.up_to).zip(exemplars.read());
    for ((bound, count), exemplar) in all {
        let labels = labels(family, values, Some(&bound));
        let exemplar = exemplar.filter(|_| format == Format::OpenMetrics).map(shown).unwrap_or_default();
        line(text, format_args!("{name}_bucket{labels} {count}{exemplar}"));
    }
    let (labels, count) = (labels(family, values, None), buckets.up_to[buckets.up_to.len() - 1]);
    line(text, format_args!("{name}_sum{labels} {}", buckets.seconds));
    line(text, format_args!("{name}_count{labels} {count}"));
}

/// OTLP counts each step by itself.
fn distribution(buckets: &Buckets, exemplars: &Exemplars) -> Distribution {
    let before = [0].into_iter().chain(buckets.up_to);
    let exemplars = exemplars.read().into_iter().flatten();
    Distribution {
        bounds: BOUNDS_MICROS.iter().map(|micros| *micros as f64 / 1e6).collect(),
        counts: buckets.up_to.iter().zip(before).map(|(up_to, before)| up_to - before).collect(),
        sum: buckets.seconds,
        exemplars: exemplars.map(|of| (of.trace_id, of.took.as_secs_f64(), of.at)).collect(),
    }
}

fn named(family: &Family, values: &[&str]) -> Labels {
    debug_assert_eq!(values.len(), family.labels.len(), "{}", family.name);
    family.labels.iter().copied().zip(values.iter().map(|value| (*value).to_owned())).collect()
}

fn labels(family: &Family, values: &[&str], bound: Option<&str>) -> String {
    debug_assert_eq!(values.len(), family.labels.len(), "{}", family.name);
    let own = family.labels.iter().copied().zip(values.iter().copied());
    let all = own.chain(bound.map(|bound| ("le", bound)));
    let pairs: Vec<String> = all.map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

/// Behind the sample that it is one of.
fn shown(exemplar: Exemplar) -> String {
    let Exemplar { trace_id, took, at } = exemplar;
    let at = at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    format!(" # {{trace_id=\"{trace_id:032x}\"}} {} {at:.3}", took.as_secs_f64())
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // A string takes whatever is written to it.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use gateway::counts::Histogram;

    use super::*;
    use crate::telemetry::metrics::{BUILD, CONNECTIONS, CPU, HTTP_REFUSED, SERVICE_DURATION};

    fn wanted(accept: &str) -> Format {
        Format::wanted(&[(ACCEPT, accept.parse().unwrap())].into_iter().collect())
    }

    #[test]
    fn openmetrics_is_for_those_who_prefer_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                          application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for accept in [prometheus, "application/openmetrics-text", "Application/OpenMetrics-Text; version=1.0.0, */*"] {
            assert_eq!(wanted(accept), Format::OpenMetrics, "{accept}");
        }
        let odd = "application/openmetrics-text;q=x";
        let newer = "application/openmetrics-text;version=2.0.0";
        let rather = "text/plain, application/openmetrics-text;q=0.9";
        for accept in ["", "*/*", "text/html", "text/plain, application/openmetrics-text", odd, newer, rather] {
            assert_eq!(wanted(accept), Format::Text, "{accept}");
        }
        assert_eq!(Format::wanted(&HeaderMap::new()), Format::Text);
    }

    fn written(format: Format) -> String {
        let mut all = Exposition::new(format);
        all.single(&CONNECTIONS, 3_u64);
        all.family(&HTTP_REFUSED).sample(&["a\"b\\c\nd"], 1_u64);
        all.single(&CPU, 0.25);
        all.family(&BUILD).sample(&["1.0"], 1_u64);
        all.text()
    }

    #[test]
    fn the_two_formats_differ_where_they_must() {
        let text = written(Format::Text);
        assert!(text.contains("# TYPE archipel_connections_total counter\narchipel_connections_total 3\n"), "{text}");
        assert!(text.contains("{reason=\"a\\\"b\\\\c\\nd\"} 1\n"), "{text}");
        assert!(text.contains("# TYPE archipel_build_info gauge\narchipel_build_info{version=\"1.0\"} 1\n"), "{text}");
        assert!(!text.contains("UNIT") && !text.contains("EOF"), "{text}");
        let text = written(Format::OpenMetrics);
        assert!(text.contains("# TYPE archipel_connections counter\narchipel_connections_total 3\n"), "{text}");
        assert!(text.contains("# TYPE archipel_build info\narchipel_build_info{version=\"1.0\"} 1\n"), "{text}");
        assert!(text.contains("# UNIT process_cpu_seconds seconds\nprocess_cpu_seconds_total 0.25\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn for_otlp_numbers_stay_numbers_and_each_step_counts_for_itself() {
        let histogram = Histogram::default();
        histogram.record(std::time::Duration::from_millis(3));
        histogram.record(std::time::Duration::from_secs(60));
        let mut all = Exposition::numbers();
        all.single(&CONNECTIONS, 3_u64);
        all.single(&CPU, 0.25);
        all.family(&HTTP_REFUSED);
        all.family(&BUILD).sample(&["1.0"], 1_u64);
        all.family(&SERVICE_DURATION).histogram(&["shop"], &histogram.read());
        let metrics = all.metrics();
        let names: Vec<_> = metrics.iter().map(|metric| (&*metric.name, metric.unit)).collect();
        let duration = "archipel_service_request_duration_seconds";
        let wanted =
            [("archipel_connections", ""), ("process_cpu_seconds", "s"), ("archipel_build_info", ""), (duration, "s")];
        assert_eq!(names, wanted, "none without samples");
        assert_eq!(metrics[0].points, Points::Sum(vec![(Vec::new(), Number::Int(3))]));
        assert_eq!(metrics[2].points, Points::Gauge(vec![(vec![("version", "1.0".to_owned())], Number::Int(1))]));
        let Points::Histogram(points) = &metrics[3].points else { panic!("a histogram") };
        let (labels, of) = &points[0];
        assert_eq!(*labels, [("service", "shop".to_owned())]);
        assert_eq!((of.counts.len(), of.counts.iter().sum::<u64>()), (of.bounds.len() + 1, 2));
        assert_eq!((of.counts[5], of.counts[of.bounds.len()], of.bounds[5]), (1, 1, 0.005));
    }

    #[test]
    fn a_histogram_ends_with_everything() {
        let histogram = Histogram::default();
        histogram.record(std::time::Duration::from_millis(3));
        histogram.record(std::time::Duration::from_secs(60));
        let mut all = Exposition::new(Format::Text);
        all.family(&SERVICE_DURATION).histogram(&["shop"], &histogram.read());
        let text = all.text();
        let bucket = |bound: &str, count: u64| {
            let line = format!("_bucket{{service=\"shop\",le=\"{bound}\"}} {count}\n");
            assert!(text.contains(&line), "{line}{text}");
        };
        bucket("0.0001", 0);
        bucket("0.0025", 0);
        bucket("0.005", 1);
        bucket("10.0", 1);
        bucket("+Inf", 2);
        assert!(
            text.ends_with(
                "_sum{service=\"shop\"} 60.003\narchipel_service_request_duration_seconds_count{service=\"shop\"} 2\n"
            ),
            "{text}"
        );
    }
}
