//! Clients as people have them: curl, Node's `fetch`, Python's `urllib` and requests, a browser, each at what once
//! broke them; and nginx in front of a host. HAProxy is in front of three in `rollout`.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, OnceLock},
};

use tempfile::TempDir;

use crate::harness::{
    Connection, Host, Upstream, exchange, free, place, probe, until,
    upstream::{Act, ok},
};

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

/// The system's packages are its own Python's.
const SYSTEM_PYTHON: &str = "/usr/bin/python3";
const REQUESTS: &str = "
import sys, requests
url, times = sys.argv[1:]
session = requests.Session()
pieces = lambda: (b'x' * 65536 for _ in range(48))
for turn in range(int(times)):
    answer = session.post(url, data=b'x' * 3_000_000 if turn % 2 else pieces())
    print(answer.status_code, str(answer.json()['success']).lower())
";

#[test]
fn a_refusal_in_the_middle_of_an_upload_is_read_by_every_client() {
    let host = Host::probe("");
    let (url, times) = (format!("http://{}/slow-body?size=65536&ms=0", host.gateway), TIMES.to_string());
    let refused = vec!["413 false".to_owned(); TIMES];
    assert_eq!(lines("node", &["--input-type=module", "-e", NODE, &url, &times]), refused);
    assert_eq!(lines("python3", &["-c", PYTHON, &url, &times]), refused);
    assert_eq!(lines(SYSTEM_PYTHON, &["-c", REQUESTS, &url, &times]), refused);

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

/// nginx on a port of its own, ended with the test.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Nginx {
    /// `/` goes to the host as nginx does without a word, by HTTP/1.0; `/kept/` over connections that are kept, and
    /// bodies as they come.
    fn before(host: SocketAddr) -> Self {
        let folder = place();
        let address = free();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {}/{kind};\n", folder.path().display()));
        let config = format!(
            "daemon off;\nworker_processes 1;\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n\
             access_log off;\nclient_max_body_size 0;\n{temporary}upstream host {{ server {host}; keepalive 4; }}\n\
             server {{\nlisten {address};\nlocation / {{ proxy_pass http://{host}; }}\n\
             location /kept/ {{\nproxy_pass http://host/;\nproxy_http_version 1.1;\nproxy_set_header Connection \"\";\n\
             proxy_set_header Host $http_host;\nproxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
             proxy_set_header X-Forwarded-Proto https;\nproxy_request_buffering off;\nproxy_buffering off;\n}}\n}}\n}}\n",
            folder = folder.path().display(),
            temporary = temporary.concat(),
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, config).unwrap();
        let mut run = Command::new("nginx");
        run.env("PATH", "/usr/sbin:/usr/bin:/usr/local/sbin").arg("-c").arg(&file).stdin(Stdio::null());
        let child = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.expect("nginx is installed by `scripts/setup.sh clients`");
        until("nginx listens", || TcpStream::connect(address).is_ok());
        Self { child, address, _folder: folder }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // In order, so that its worker ends too.
        let _ended_already = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        self.child.wait().unwrap();
    }
}

#[test]
fn behind_nginx_all_is_as_without_it() {
    let host = Host::running(&format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.0/8\"]\n{}",
        probe("")
    ));
    let nginx = Nginx::before(host.gateway);
    for base in ["", "/kept"] {
        let ask = |method: &str, path: &str, body: &[u8]| {
            exchange(nginx.address, method, &format!("{base}{path}"), &[], body)
        };
        assert_eq!(ask("GET", "/health", b"").json()["status"], "healthy", "{base}");
        let long = ask("GET", "/stream?chunks=64&size=65536&ms=0", b"");
        assert!(long.whole && long.status == 200 && long.body.len() == 64 << 16, "{base}: {} bytes", long.body.len());
        assert_eq!(ask("HEAD", "/health", b"").status, 200, "{base}");
        // The refusal of an upload comes through, whoever holds the rest of it.
        let answer = ask("POST", "/slow-body?size=65536&ms=0", &vec![b'x'; 3_000_000]);
        assert_eq!((answer.status, answer.json()["success"].as_bool()), (413, Some(false)), "{base}");
        // A guest that dies in the middle of an answer is no whole answer.
        let mut connection = Connection::open(nginx.address);
        connection.request("GET", &format!("{base}/sleep?ms=1"), &[], b"");
        assert_eq!(connection.answer(false).expect("an answer").status, 200, "{base}");
    }
    // The client that nginx names, who is believed.
    let told = exchange(nginx.address, "GET", "/kept/echo", &[("x-forwarded-for", "192.0.2.7")], b"").text();
    assert!(told.contains("192.0.2.7") && told.contains("https"), "{told}");
}

/// A page that asks the host as an application's would: with a token, another method and JSON, each of which makes
/// the browser ask first whether it may.
const PAGE: &str = "<!doctype html><title>page</title><body><script>
(async () => {
  const told = [];
  for (const [method, headers] of [
    ['PUT', { authorization: 'Bearer TOKEN', 'content-type': 'application/json' }],
    ['PUT', { 'content-type': 'application/json' }],
    ['PUT', { authorization: 'Bearer TOKEN', 'x-own': '1' }],
    ['GET', {}],
  ]) {
    try {
      const answer = await fetch('http://HOST/echo', { method, headers, credentials: 'include', body: method === 'GET' ? undefined : '{}' });
      told.push(answer.status + (answer.headers.get('x-request-id') ? ' seen' : ' hidden'));
    } catch (error) { told.push(error.name); }
  }
  document.body.textContent = 'told ' + told.join(', ') + ' end';
})();
</script>";

#[test]
fn a_browser_asks_first_and_reads_what_it_may() {
    let page = Arc::new(OnceLock::new());
    let shown_page = page.clone();
    let pages = Upstream::acting(move |_, _| {
        let text: &String = shown_page.wait();
        Act::Say(ok(text).replacen("\r\n", "\r\ncontent-type: text/html\r\n", 1).into_bytes())
    });
    let port = pages.address.port();
    let host = Host::running(&format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\nauth = \"main\"\n\
         [cors]\norigins = [\"http://127.0.0.1:{port}\"]\nheaders = [\"authorization\", \"content-type\"]\n\
         credentials = true\nexpose = [\"x-request-id\"]\n\
         [auth.main]\nissuer = \"archipel\"\naudience = \"test\"\nkeys = {{ generate = true }}\n\
         [services.probe]\ncomponent = \"COMPONENTS/probe.wasm\"\n\
         [[routes]]\npath = \"/echo\"\nservice = \"probe\"\n",
    ));
    let text = PAGE.replace("TOKEN", &host.token("ada", &["user"])).replace("HOST", &host.gateway.to_string());
    page.set(text).unwrap();
    let own = place();
    let shown = |origin: &str| {
        let data = format!("--user-data-dir={}", own.path().join(origin.replace(['.', ':'], "-")).display());
        let url = format!("http://{origin}/");
        let said = [
            "60",
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=20000",
            "--dump-dom",
        ];
        let shown = lines("timeout", &[&said[..], &[&data, &url]].concat()).concat();
        let told = shown.split_once("told ").and_then(|(_, rest)| rest.split_once(" end"));
        told.unwrap_or_else(|| panic!("{shown}")).0.to_owned()
    };
    // A header that nobody named is the browser's to refuse; what is refused for its token can be read.
    assert_eq!(shown(&format!("127.0.0.1:{port}")), "200 seen, 401 seen, TypeError, 401 seen");
    // The same page by a name that is not admitted.
    assert_eq!(shown(&format!("localhost:{port}")), "TypeError, TypeError, TypeError, TypeError");
}
