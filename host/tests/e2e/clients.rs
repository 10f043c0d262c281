//! Clients as people have them: curl, Node's `fetch` and Python's `urllib`, each at what once broke them.

use std::process::Command;

use crate::harness::{Host, place};

/// What `program` prints, line by line.
#[track_caller]
fn lines(program: &str, arguments: &[&str]) -> Vec<String> {
    let done = Command::new(program).args(arguments).output();
    let done = done.unwrap_or_else(|error| panic!("{program} is needed (`scripts/setup.sh foreign`): {error}"));
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().lines().map(str::to_owned).collect()
}

const TIMES: usize = 20;

/// 3 MB at once, then the same in pieces of which nobody says how many there will be.
const NODE: &str = "
const [url, times] = process.argv.slice(1);
const pieces = () => { let left = 48; return new ReadableStream({ pull(to) {
  if (left-- > 0) to.enqueue(new Uint8Array(65536)); else to.close(); } }); };
for (let turn = 0; turn < times; turn++) {
  const body = turn % 2 ? new Uint8Array(3_000_000) : pieces();
  const answer = await fetch(url, { method: 'POST', body, duplex: 'half' });
  console.log(answer.status, (await answer.json()).success);
}";

const PYTHON: &str = "
import json, sys, urllib.error, urllib.request
url, times = sys.argv[1:]
pieces = lambda: (b'x' * 65536 for _ in range(48))
for turn in range(int(times)):
    body = b'x' * 3_000_000 if turn % 2 else pieces()
    try:
        urllib.request.urlopen(urllib.request.Request(url, data=body, method='POST'))
        print(200)
    except urllib.error.HTTPError as error:
        print(error.code, str(json.load(error)['success']).lower())
";

#[test]
fn a_refusal_in_the_middle_of_an_upload_is_read_by_every_client() {
    let host = Host::probe("");
    let (url, times) = (format!("http://{}/slow-body?size=65536&ms=0", host.gateway), TIMES.to_string());
    let refused = vec!["413 false".to_owned(); TIMES];
    assert_eq!(lines("node", &["--input-type=module", "-e", NODE, &url, &times]), refused);
    assert_eq!(lines("python3", &["-c", PYTHON, &url, &times]), refused);

    let folder = place();
    let file = folder.path().join("upload");
    std::fs::write(&file, vec![b'x'; 3_000_000]).unwrap();
    let upload = format!("@{}", file.display());
    let said = ["-s", "-o", "/dev/null", "-w", "%{http_code}\\n", "--data-binary", &upload];
    for more in [&[][..], &["-H", "Expect:"], &["-H", "Transfer-Encoding: chunked"]] {
        assert_eq!(lines("curl", &[&said[..], more, &[&*url]].concat()), ["413"], "{more:?}");
    }
}

#[test]
fn what_clients_send_by_themselves_is_answered() {
    let host = Host::probe("");
    // WHATWG URLs and cookies, as each library writes them.
    let url = format!("http://{}/?name=|b`^[1]", host.gateway);
    assert_eq!(lines("curl", &["-s", "-g", "-o", "/dev/null", "-w", "%{http_code}\\n", &url]), ["200"]);
    let ask =
        "const answer = await fetch(process.argv[1], { headers: { cookie: 'a=1; b=2' } }); console.log(answer.status);";
    assert_eq!(lines("node", &["--input-type=module", "-e", ask, &url]), ["200"]);
    // HAProxy's and others' checks know HTTP/1.0 without a name.
    let health = format!("http://{}/health", host.gateway);
    let old = ["-s", "-0", "-H", "Host:", "-o", "/dev/null", "-w", "%{http_code}\\n", &health];
    assert_eq!(lines("curl", &old), ["200"]);
}
