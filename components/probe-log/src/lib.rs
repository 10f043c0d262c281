//! The test guest that logs with levels, by `wasi:logging` and by JSON on standard output, and makes spans.

use sdk::{Request, Response, log};

#[allow(unsafe_code, unreachable_pub, reason = "generated from the text below")]
mod draft {
    wit_bindgen::generate!({
        inline: "
            package probe:log;

            world draft {
                import wasi:logging/logging@0.1.0-draft;
                import wasi:otel/tracing@0.2.0-rc.2;
            }

            package wasi:logging@0.1.0-draft {
                interface logging {
                    enum level { trace, debug, info, warn, error, critical }
                    log: func(level: level, context: string, message: string);
                }
            }

            package wasi:otel@0.2.0-rc.2 {
                interface types {
                    record key-value { key: string, value: string }
                    record instrumentation-scope {
                        name: string, version: option<string>, schema-url: option<string>, attributes: list<key-value>,
                    }
                }

                interface tracing {
                    use types.{key-value, instrumentation-scope};

                    record datetime { seconds: u64, nanoseconds: u32 }
                    flags trace-flags { sampled }
                    record span-context {
                        trace-id: string, span-id: string, trace-flags: trace-flags, is-remote: bool,
                        trace-state: list<tuple<string, string>>,
                    }
                    enum span-kind { client, server, producer, consumer, internal }
                    record event { name: string, time: datetime, attributes: list<key-value> }
                    record link { span-context: span-context, attributes: list<key-value> }
                    variant status { unset, ok, error(string) }
                    record span-data {
                        span-context: span-context, parent-span-id: string, span-kind: span-kind, name: string,
                        start-time: datetime, end-time: datetime, attributes: list<key-value>, events: list<event>,
                        links: list<link>, status: status, instrumentation-scope: instrumentation-scope,
                        dropped-attributes: u32, dropped-events: u32, dropped-links: u32,
                    }
                    on-start: func(context: span-context);
                    on-end: func(span: span-data);
                    outer-span-context: func() -> span-context;
                    current-span-context: func() -> span-context;
                }
            }
        ",
        generate_all,
    });
}

use draft::wasi::{
    logging::logging::{self, Level},
    otel::{
        tracing::{self, Datetime, SpanContext, SpanData, SpanKind, Status, TraceFlags},
        types::{InstrumentationScope, KeyValue},
    },
};

sdk::handler!(answer);

#[allow(clippy::print_stdout, reason = "what is printed is what is tested")]
fn answer(request: Request) -> Response {
    match request.path().as_str() {
        "/log" => {
            logging::log(Level::Critical, "stock", "nothing left");
            logging::log(Level::Info, "", "as usual");
            logging::log(Level::Trace, "", "not told");
        }
        "/json" => println!(r#"{{"level":"error","msg":"no such product","product":7,"tags":["a"]}}"#),
        "/flood" => (0..2000).for_each(|number| logging::log(Level::Info, "flood", &format!("{number}"))),
        "/sdk" => {
            log::warn!("a cart was left", cart = 7, items = ["a", "b"]);
            log::info!(format!("{} carts", 2));
        }
        "/span" => {
            let outer = tracing::outer_span_context();
            let context = within(&outer, "00000000000000a1");
            tracing::on_start(&context);
            let current = tracing::current_span_context();
            tracing::on_end(&data(context, outer.span_id, "price the cart"));
            return Response::text(200, &current.span_id);
        }
        // Never begun, of a trace and a parent that are none, and with values that are no JSON.
        "/odd-span" => {
            let outer = tracing::outer_span_context();
            let context = SpanContext { trace_id: "no trace".into(), ..within(&outer, "00000000000000a2") };
            tracing::on_end(&data(context, "no parent".into(), "odd"));
            let nameless = within(&outer, "0000000000000000");
            tracing::on_end(&data(nameless, String::new(), "nameless"));
        }
        "/many-spans" => (1..1000_u64).for_each(|number| {
            let context = within(&tracing::outer_span_context(), &format!("{number:016x}"));
            tracing::on_end(&data(context, String::new(), "one of many"));
        }),
        _ => {}
    }
    Response::text(200, "logged\n")
}

fn within(outer: &SpanContext, span_id: &str) -> SpanContext {
    SpanContext {
        trace_id: outer.trace_id.clone(),
        span_id: span_id.to_owned(),
        trace_flags: TraceFlags::SAMPLED,
        is_remote: false,
        trace_state: Vec::new(),
    }
}

fn data(span_context: SpanContext, parent_span_id: String, name: &str) -> SpanData {
    let pair = |key: &str, value: &str| KeyValue { key: key.to_owned(), value: value.to_owned() };
    SpanData {
        span_context,
        parent_span_id,
        span_kind: SpanKind::Internal,
        name: name.to_owned(),
        start_time: Datetime { seconds: 1_700_000_000, nanoseconds: 5 },
        end_time: Datetime { seconds: 1_700_000_001, nanoseconds: u32::MAX },
        attributes: vec![pair("items", "3"), pair("currency", "\"EUR\""), pair("odd", "no json")],
        events: Vec::new(),
        links: Vec::new(),
        status: Status::Error("out of stock".to_owned()),
        instrumentation_scope: InstrumentationScope {
            name: "probe".to_owned(),
            version: None,
            schema_url: None,
            attributes: Vec::new(),
        },
        dropped_attributes: 0,
        dropped_events: 0,
        dropped_links: 0,
    }
}
