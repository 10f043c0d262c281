//! How metrics are written down: the text format of Prometheus 0.0.4, and OpenMetrics 1.0.
//!
//! The two are almost one. OpenMetrics names a counter without `_total`, knows units and facts, and
//! ends with `# EOF`.

use std::fmt::{Display, Write};

use gateway::counts::{BOUNDS_MICROS, Buckets, Exemplar, Exemplars};
use http::{HeaderMap, HeaderValue, header::ACCEPT};

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
pub struct Exposition {
    format: Format,
    text: String,
}

/// The samples of one family, for as long as it is its turn.
pub struct Samples<'a> {
    format: Format,
    family: &'static Family,
    text: &'a mut String,
}

impl Exposition {
    pub fn new(format: Format) -> Self {
        Self { format, text: String::with_capacity(64 << 10) }
    }

    /// Begins a family; all its samples come before the next one.
    pub fn family(&mut self, family: &'static Family) -> Samples<'_> {
        let Family { name, kind, help, .. } = family;
        let (name, kind) = match self.format {
            Format::OpenMetrics => ((*name).to_owned(), kind.as_str()),
            Format::Text if *kind == Kind::Info => (format!("{name}{}", kind.suffix()), "gauge"),
            Format::Text => (format!("{name}{}", kind.suffix()), kind.as_str()),
        };
        line(&mut self.text, format_args!("# HELP {name} {help}"));
        line(&mut self.text, format_args!("# TYPE {name} {kind}"));
        if let (Format::OpenMetrics, Some(unit)) = (self.format, family.unit()) {
            line(&mut self.text, format_args!("# UNIT {name} {unit}"));
        }
        Samples { format: self.format, family, text: &mut self.text }
    }

    /// One sample without labels.
    pub fn single(&mut self, family: &'static Family, value: impl Display) {
        self.family(family).sample(&[], value);
    }

    pub fn done(mut self) -> String {
        if self.format == Format::OpenMetrics {
            line(&mut self.text, format_args!("# EOF"));
        }
        self.text
    }
}

impl Samples<'_> {
    /// `values` belong to the labels of the family, in order.
    pub fn sample(&mut self, values: &[&str], value: impl Display) {
        let labels = self.labels(values, None);
        let Family { name, kind, .. } = self.family;
        line(self.text, format_args!("{name}{}{labels} {value}", kind.suffix()));
    }

    /// All samples of one histogram.
    pub fn histogram(&mut self, values: &[&str], buckets: &Buckets) {
        self.histogram_with(values, buckets, &Exemplars::default());
    }

    /// The same with a request for each bucket, where the format knows that.
    pub fn histogram_with(&mut self, values: &[&str], buckets: &Buckets, exemplars: &Exemplars) {
        let name = self.family.name;
        let bounds = BOUNDS_MICROS.iter().map(|micros| format!("{:?}", *micros as f64 / 1e6));
        let all = bounds.chain(["+Inf".to_owned()]).zip(buckets.up_to).zip(exemplars.read());
        for ((bound, count), exemplar) in all {
            let labels = self.labels(values, Some(&bound));
            let exemplar = exemplar.filter(|_| self.format == Format::OpenMetrics).map(shown).unwrap_or_default();
            line(self.text, format_args!("{name}_bucket{labels} {count}{exemplar}"));
        }
        let (labels, count) = (self.labels(values, None), buckets.up_to[buckets.up_to.len() - 1]);
        line(self.text, format_args!("{name}_sum{labels} {}", buckets.seconds));
        line(self.text, format_args!("{name}_count{labels} {count}"));
    }

    fn labels(&self, values: &[&str], bound: Option<&str>) -> String {
        debug_assert_eq!(values.len(), self.family.labels.len(), "{}", self.family.name);
        let own = self.family.labels.iter().copied().zip(values.iter().copied());
        let all = own.chain(bound.map(|bound| ("le", bound)));
        let pairs: Vec<String> = all.map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
    }
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
        all.single(&CONNECTIONS, 3);
        all.family(&HTTP_REFUSED).sample(&["a\"b\\c\nd"], 1);
        all.single(&CPU, 0.25);
        all.family(&BUILD).sample(&["1.0"], 1);
        all.done()
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
    fn a_histogram_ends_with_everything() {
        let histogram = Histogram::default();
        histogram.record(std::time::Duration::from_millis(3));
        histogram.record(std::time::Duration::from_secs(60));
        let mut all = Exposition::new(Format::Text);
        all.family(&SERVICE_DURATION).histogram(&["shop"], &histogram.read());
        let text = all.done();
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
