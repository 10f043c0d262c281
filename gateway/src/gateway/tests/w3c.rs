//! W3C Trace Context level 2, behaviour by behaviour, as a service behind the gateway sees it: what is continued, what is
//! begun anew, and what of `tracestate` goes on.

use super::*;

const TRACE: &str = "12345678901234567890123456789012";
const SPAN: &str = "1234567890123456";

/// What a service must be told of requests that differ only in how they are wrong, or right.
enum Told {
    /// The caller's trace, and this `tracestate`.
    Continued(&'static str),
    /// A new trace, without any.
    Anew,
}

use Told::{Anew, Continued};

/// Rows of a behaviour, what is told, and heads: each is one request. `<T>` stands for a valid trace id,
/// `<P>` for a valid `traceparent`.
fn rows() -> Vec<(&'static str, Told, Vec<String>)> {
    let row =
        |name, told, heads: &[&str]| (name, told, heads.iter().map(|head| (*head).to_owned()).collect::<Vec<_>>());
    let id = |id: &str| format!("traceparent: 00-{id}-{SPAN}-01");
    let span = |id: &str| format!("traceparent: 00-{TRACE}-{id}-01");
    let state = |state: &str| format!("traceparent: <P>\ntracestate: {state}");
    let many = |count: usize| (0..count).map(|at| format!("bar{at:02}=1")).collect::<Vec<_>>().join(",");
    vec![
        row("without both a trace begins", Anew, &[""]),
        row("`traceparent` alone is enough", Continued(""), &["traceparent: <P>"]),
        row(
            "two of them are none",
            Anew,
            &["traceparent: <P>\ntraceparent: <P>", "traceparent: <P>\ntraceparent: 00-<T>"],
        ),
        row("a header of another name is none", Anew, &["trace-parent: <P>", "trace.parent: <P>", "traceparents: <P>"]),
        row(
            "its name counts in any case",
            Continued(""),
            &["TraceParent: <P>", "TrAcEpArEnT: <P>", "TRACEPARENT: <P>"],
        ),
        row("version 00 is known", Continued(""), &["traceparent: 00-<T>-1234567890123456-00", "traceparent: <P>"]),
        row(
            "version 00 has nothing behind its flags",
            Anew,
            &["traceparent: <P>-", "traceparent: <P>.", "traceparent: <P>-what"],
        ),
        row(
            "a later version is read as far as 00 goes",
            Continued(""),
            &["traceparent: cc-<T>-1234567890123456-01", "traceparent: cc-<T>-1234567890123456-01-what-comes-then"],
        ),
        row(
            "a later version goes on with a dash or not at all",
            Anew,
            &["traceparent: cc-<T>-1234567890123456-01.what"],
        ),
        row("version ff is forbidden", Anew, &["traceparent: ff-<T>-1234567890123456-01"]),
        row(
            "a version is of hexadecimal digits",
            Anew,
            &[
                "traceparent: .0-<T>-1234567890123456-01",
                "traceparent: 0.-<T>-1234567890123456-01",
                "traceparent: CC-<T>-1234567890123456-01",
            ],
        ),
        row(
            "a version is not longer than two digits",
            Anew,
            &["traceparent: 000-<T>-1234567890123456-01", "traceparent: 0000-<T>-1234567890123456-01"],
        ),
        row("nor shorter", Anew, &["traceparent: 0-<T>-1234567890123456-01", "traceparent: <T>-1234567890123456-01"]),
        ("a trace id is not all zero", Anew, vec![id(&"0".repeat(32))]),
        (
            "a trace id is of small hexadecimal digits",
            Anew,
            [".", "A", "g", " "].map(|bad| id(&format!("{bad}{}", &TRACE[1..]))).into(),
        ),
        ("a trace id is not longer than 32 digits", Anew, vec![id(&format!("{TRACE}3"))]),
        ("nor shorter than that", Anew, vec![id(&TRACE[1..]), id("")]),
        ("a span id is not all zero", Anew, vec![span(&"0".repeat(16))]),
        (
            "a span id is of small hexadecimal digits",
            Anew,
            [".", "A", "g", " "].map(|bad| span(&format!("{bad}{}", &SPAN[1..]))).into(),
        ),
        ("a span id is not longer than 16 digits", Anew, vec![span(&format!("{SPAN}7"))]),
        ("nor shorter than those", Anew, vec![span(&SPAN[1..]), span("")]),
        row(
            "flags are of small hexadecimal digits",
            Anew,
            &[
                "traceparent: 00-<T>-1234567890123456-.0",
                "traceparent: 00-<T>-1234567890123456-0.",
                "traceparent: 00-<T>-1234567890123456-0A",
            ],
        ),
        row("flags are not longer than two digits", Anew, &["traceparent: 00-<T>-1234567890123456-001"]),
        row(
            "flags are not shorter",
            Anew,
            &["traceparent: 00-<T>-1234567890123456-1", "traceparent: 00-<T>-1234567890123456-"],
        ),
        row(
            "blanks and tabs around it do not count",
            Continued(""),
            &["traceparent:  <P>", "traceparent: \t<P>", "traceparent: <P> \t"],
        ),
        row("`tracestate` alone is dropped", Anew, &["tracestate: foo=1", "tracestate: foo=1\ntracestate: bar=2"]),
        row("beside a bad `traceparent` too", Anew, &["traceparent: ff-<T>-1234567890123456-01\ntracestate: foo=1"]),
        row(
            "`tracestate` goes on as it came",
            Continued("foo=1,bar=2"),
            &["traceparent: <P>\ntracestate: foo=1,bar=2"],
        ),
        row(
            "a list of another name is none",
            Continued(""),
            &["traceparent: <P>\ntrace-state: foo=1", "traceparent: <P>\ntrace.state: foo=1"],
        ),
        row(
            "the list's name counts in any case",
            Continued("foo=1"),
            &["traceparent: <P>\nTraceState: foo=1", "traceparent: <P>\nTRACESTATE: foo=1"],
        ),
        row(
            "an empty list is no mistake",
            Continued("foo=1"),
            &[
                "traceparent: <P>\ntracestate: foo=1\ntracestate: ",
                "traceparent: <P>\ntracestate: \ntracestate: foo=1",
                "traceparent: <P>\ntracestate: foo=1,",
                "traceparent: <P>\ntracestate: ,foo=1",
            ],
        ),
        row(
            "several headers are one list, in order",
            Continued("foo=1,bar=2,rojo=1,congo=2,baz=3"),
            &["traceparent: <P>\ntracestate: foo=1,bar=2\ntracestate: rojo=1,congo=2\ntracestate: baz=3"],
        ),
        row(
            "a key that comes twice is passed on",
            Continued("foo=1,foo=1"),
            &["traceparent: <P>\ntracestate: foo=1,foo=1", "traceparent: <P>\ntracestate: foo=1\ntracestate: foo=1"],
        ),
        row(
            "every allowed sign of a key and of a value passes",
            Continued("0a_-*/z@s_-*/9=!\"#$%&'()*+-./:;<>?@[]^_`{|}~"),
            &["traceparent: <P>\ntracestate: 0a_-*/z@s_-*/9=!\"#$%&'()*+-./:;<>?@[]^_`{|}~"],
        ),
        row(
            "blanks and tabs between members do not count",
            Continued("foo=1,bar=2"),
            &[
                "traceparent: <P>\ntracestate: foo=1 \t , \t bar=2",
                "traceparent: <P>\ntracestate: foo=1\t\ntracestate:  bar=2",
            ],
        ),
        (
            "an illegal sign in a key drops the list",
            Continued(""),
            ["foo =1", "FOO=1", "foo.bar=1", "=1"].map(state).into(),
        ),
        (
            "a key of a tenant has one `@`, between two names",
            Continued(""),
            ["foo@=1,bar=2", "@foo=1,bar=2", "foo@@bar=1,bar=2", "foo@bar@baz=1,bar=2"].map(state).into(),
        ),
        (
            "more than 32 members drop the list",
            Continued(""),
            vec![state(&many(33)), state(&format!("{}\ntracestate: more=1", many(32)))],
        ),
        (
            "a key is 256 signs at most, of a tenant 241 and 14",
            Continued(""),
            vec![
                state(&format!("foo=1,{}=1", "z".repeat(257))),
                state(&format!("foo=1,{}@v=1", "t".repeat(242))),
                state(&format!("foo=1,t@{}=1", "v".repeat(15))),
            ],
        ),
        ("a value has no `=` and is not empty", Continued(""), ["foo=bar=baz", "foo=,bar=3", "foo"].map(state).into()),
        ("a value is 256 signs at most", Continued(""), vec![state(&format!("foo={}", "x".repeat(257)))]),
    ]
}

/// What must go on of what is as long as it may be.
fn longest() -> Vec<String> {
    let members = (0..32).map(|at| format!("bar{at:02}=1")).collect::<Vec<_>>().join(",");
    // 512 bytes are the least that the standard asks for.
    let long = format!("foo={},bar={}", "x".repeat(251), "y".repeat(252));
    assert_eq!(long.len(), 512);
    let keys = format!("{}=1,{}@{}=1", "z".repeat(256), "t".repeat(241), "v".repeat(14));
    vec![members, long, keys, format!("foo={}", "x".repeat(256))]
}

/// What the service was told: trace id, span id and the list, without blanks that do not count.
fn told(head: &Parts) -> (String, String, String) {
    let parents = field(&head.headers, "traceparent");
    assert_eq!(parents.len(), 1, "{:?}", head.headers);
    let text = parents[0].to_str().unwrap();
    let parts: Vec<&str> = text.split('-').collect();
    assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2], "{text}");
    assert!(parts.iter().all(|part| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))), "{text}");
    assert!(parts[0] == "00" && parts[1..3].iter().all(|id| !id.trim_matches('0').is_empty()), "{text}");
    let lists = field(&head.headers, "tracestate");
    let members =
        lists.iter().flat_map(|list| list.to_str().unwrap().split(',')).map(|member| member.trim_matches([' ', '\t']));
    let list = members.filter(|member| !member.is_empty()).collect::<Vec<_>>().join(",");
    (parts[1].to_owned(), parts[2].to_owned(), list)
}

/// With what the placeholders stand for.
fn asked(head: &str) -> Request<Full<Bytes>> {
    let head = head.replace("<P>", &format!("00-{TRACE}-{SPAN}-01")).replace("<T>", TRACE);
    request(&format!("GET /\n{head}"))
}

#[tokio::test]
async fn all_forty_one_behaviours_of_the_standard_are_kept() {
    let seen = Seen::default();
    let gateway = gateway(recording(&seen));
    let rows = rows();
    assert_eq!(rows.len(), 41);
    for (name, wanted, heads) in &rows {
        assert!(!heads.is_empty(), "{name}");
        for head in heads {
            let answer = send(&gateway, asked(head)).await;
            let (parts, _) = seen.lock().unwrap().pop().unwrap();
            let (trace, span, list) = told(&parts);
            assert_eq!(answer.headers()["x-trace-id"], trace, "{name}: {head}");
            assert_ne!(span, SPAN, "{name}: {head}: the caller's span is not ours");
            match wanted {
                Continued(wanted) => assert_eq!((&*trace, &*list), (TRACE, *wanted), "{name}: {head}"),
                Anew => assert!(trace != TRACE && list.is_empty(), "{name}: {head}: {trace} {list}"),
            }
        }
    }
}

#[tokio::test]
async fn what_is_as_long_as_it_may_be_goes_on() {
    let seen = Seen::default();
    let gateway = gateway(recording(&seen));
    for list in longest() {
        send(&gateway, asked(&format!("traceparent: <P>\ntracestate: {list}"))).await;
        let (parts, _) = seen.lock().unwrap().pop().unwrap();
        assert_eq!(told(&parts).2, list);
    }
}

#[tokio::test]
async fn requests_of_one_trace_have_spans_of_their_own_and_those_of_none_have_traces_of_their_own() {
    let seen = Seen::default();
    let gateway = gateway(recording(&seen));
    for (head, traces) in [("traceparent: <P>", 1), ("", 3), ("traceparent: <P>-what", 3)] {
        for _ in 0..3 {
            send(&gateway, asked(head)).await;
        }
        let told: Vec<_> = seen.lock().unwrap().drain(..).map(|(parts, _)| told(&parts)).collect();
        let distinct = |texts: Vec<&String>| texts.into_iter().collect::<std::collections::BTreeSet<_>>().len();
        assert_eq!(distinct(told.iter().map(|(trace, ..)| trace).collect()), traces, "{head}");
        assert_eq!(distinct(told.iter().map(|(_, span, _)| span).collect()), 3, "{head}");
    }
}
