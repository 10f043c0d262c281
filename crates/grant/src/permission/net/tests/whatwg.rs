//! Hosts and paths beside the URL standard of the WHATWG, as browsers and most libraries read them: what is taken here
//! means the same there. By its own table, which comes with the crate `url`, and by texts out of pieces that have been
//! trouble. `just fuzz` runs it for longer.

use std::{
    collections::HashSet,
    net::IpAddr,
    process::Command,
    time::{Duration, Instant},
};

use gateway::path::{PathError, normal_form};
use url::{Host, Url};

use super::{Place, Scheme, Target};

/// Parts of hosts that one program reads in another way than the next.
const HOSTS: &[&str] = &[
    "127",
    "1",
    "0",
    "0x7f",
    "0X7F",
    "0177",
    "256",
    "4294967295",
    "2130706433",
    "09",
    "0x",
    "1e1",
    ".",
    ".",
    ".",
    "..",
    "localhost",
    "LOCALHOST",
    "example",
    "com",
    "internal",
    "xn--",
    "xn--bcher-kva",
    "bücher",
    "ß",
    "ſ",
    "１",
    "２７",
    "。",
    "．",
    "\u{ad}",
    "\u{200b}",
    "%",
    "%31",
    "%2e",
    "%00",
    "[::1]",
    "[",
    "]",
    "::",
    "ffff:",
    "[::ffff:127.0.0.1]",
    "[64:ff9b::1]",
    "[::1%25lo]",
    "@",
    "user@",
    "user:pw@",
    ":",
    ":80",
    ":443",
    ":0",
    ":65536",
    ":080",
    ":+1",
    "-",
    "_",
    "a",
    "\\",
    " ",
    "\t",
    "*",
    "|",
    "^",
    "`",
    "'",
    "\"",
    "{",
    "!",
    "$",
    "&",
    "(",
    "~",
    "=",
    ",",
    ";",
];

/// Parts of paths.
const PATHS: &[&str] = &[
    "/", "/", "a", ".", "..", "%2e", "%2E%2e", "%2f", "%5c", "\\", ";", "|", "[", "]", "^", "{", "}", "`", "'", "\"",
    " ", "\t", "é", "%c3%a9", "%C3", "%ff", "%c0%af", "%", "%4", "%zz", "%41", "%7e", "%252e", "%00", "\u{7f}",
    "\u{1}", "😀", "<", ">", "@", ":", "=", "&", "+", ",", "!", "$", "(", "*",
];

fn made_of(pieces: &[&str]) -> String {
    (0..fastrand::usize(1..7)).map(|_| pieces[fastrand::usize(0..pieces.len())]).collect()
}

fn seconds() -> Option<u64> {
    std::env::var("ARCHIPEL_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok())
}

/// Runs `check` often, or for as long as was asked.
fn often(mut check: impl FnMut()) {
    match seconds() {
        Some(seconds) => {
            let ends = Instant::now() + Duration::from_secs(seconds);
            while Instant::now() < ends {
                (0..1000).for_each(|_| check());
            }
        }
        None => {
            fastrand::seed(7);
            (0..50_000).for_each(|_| check());
        }
    }
}

/// What is taken for a place is the same place to the standard. Whether it was taken.
#[track_caller]
fn same_place(authority: &str) -> bool {
    let Ok(ours) = Target::new(Scheme::Http, authority) else { return false };
    let theirs = Url::parse(&format!("http://{authority}/")).unwrap_or_else(|error| panic!("{authority:?}: {error}"));
    assert!(theirs.username().is_empty() && theirs.password().is_none() && theirs.path() == "/", "{authority:?}");
    assert_eq!(theirs.port_or_known_default(), Some(ours.port), "{authority:?}");
    let place = match theirs.host().expect("http has a host") {
        Host::Domain(name) => Place::Name(name.strip_suffix('.').unwrap_or(name).to_owned()),
        Host::Ipv4(address) => Place::Address(address.into()),
        Host::Ipv6(address) => Place::Address(IpAddr::V6(address).to_canonical()),
    };
    assert_eq!(ours.place, place, "{authority:?}");
    true
}

/// The path as a browser sends it is taken, unless there is a reason; and its normal form is the same path. Whether
/// it was taken.
#[track_caller]
fn same_path(sent: &str) -> bool {
    let normal = match normal_form(sent) {
        Ok(normal) => normal,
        Err(reason) => {
            let encoded = |codes: &[&str]| codes.iter().any(|code| sent.to_ascii_lowercase().contains(code));
            let is_right = match reason {
                // All that browsers leave as it is goes but the one that some servers cut paths at.
                PathError::Character => sent.contains(';'),
                PathError::EmptySegment => sent.contains("//"),
                PathError::Hidden => encoded(&["%2f", "%5c", "%0", "%1", "%7f"]),
                PathError::Percent => sent.contains('%'),
                PathError::NotUtf8 => encoded(&["%c", "%f", "%8", "%9", "%a", "%b", "%d", "%e"]),
                PathError::DotSegment | PathError::NotAPath | PathError::Query => false,
            };
            assert!(is_right, "{sent:?}: {reason}");
            return false;
        }
    };
    let again = Url::parse(&format!("http://h.test{normal}")).unwrap();
    assert_eq!(again.path(), normal, "{sent:?}");
    let decoded = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let [first, after @ ..] = rest {
            let code =
                after.first_chunk::<2>().and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
            match (first, code) {
                (b'%', Some(byte)) => {
                    bytes.push(byte);
                    rest = &after[2..];
                }
                _ => {
                    bytes.push(*first);
                    rest = after;
                }
            }
        }
        bytes
    };
    assert_eq!(decoded(sent), decoded(&normal), "{sent:?}");
    true
}

#[test]
fn no_host_is_taken_for_another_than_browsers_take_it_for() {
    let mut taken = HashSet::new();
    often(|| {
        let authority = made_of(HOSTS);
        // What is an authority was decided before.
        if !authority.contains(['/', '?', '#']) && same_place(&authority) && taken.len() < 1000 {
            taken.insert(authority);
        }
    });
    assert!(taken.len() > 300, "{} hosts were taken", taken.len());
}

#[test]
fn what_a_browser_sends_as_a_path_is_taken_and_means_the_same() {
    let mut taken = HashSet::new();
    often(|| {
        let Ok(url) = Url::parse(&format!("http://h.test/{}", made_of(PATHS))) else { return };
        if same_path(url.path()) && taken.len() < 1000 {
            taken.insert(url.path().to_owned());
        }
    });
    assert!(taken.len() > 300, "{} paths were taken", taken.len());
}

#[test]
fn the_table_of_the_standard_holds() {
    let cases = table();
    let (mut hosts, mut paths, mut refused) = (0, 0, 0);
    for case in &cases {
        if case["failure"] == true && case["base"].is_null() {
            let rest = case["input"].as_str().and_then(|input| input.strip_prefix("http://"));
            if let Some(host) =
                rest.map(|rest| rest.trim_end_matches('/')).filter(|host| !host.contains(['/', '?', '#']))
            {
                assert!(Target::new(Scheme::Http, host).is_err(), "{case}");
                refused += 1;
            }
            continue;
        }
        let Some(Ok(url)) = case["href"].as_str().map(Url::parse).filter(|url| url.as_ref().is_ok_and(Url::is_special))
        else {
            continue;
        };
        if !matches!(url.scheme(), "http" | "https") {
            continue;
        }
        hosts += usize::from(case["host"].as_str().is_some_and(same_place));
        paths += usize::from(same_path(url.path()));
    }
    assert!(
        hosts > 50 && paths > 50 && refused > 30,
        "{hosts} hosts, {paths} paths, {refused} refused of {}",
        cases.len()
    );
}

/// The standard's cases, from where cargo keeps the crate.
fn table() -> Vec<serde_json::Value> {
    let told = Command::new("rustc").arg("-vV").output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let platform = told.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc says for what it is");
    // Of other platforms nothing need be there.
    let asked = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", platform])
        .output();
    let asked = asked.unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&asked.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let manifest = packages.iter().find(|package| package["name"] == "url").unwrap()["manifest_path"].as_str().unwrap();
    let file = std::path::Path::new(manifest).with_file_name("tests").join("urltestdata.json");
    let all: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    // Texts between them are headings.
    all.into_iter().filter(serde_json::Value::is_object).collect()
}
