//! Hosts that find services by DNS, from a real server.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::{Child, Command, Stdio},
    thread,
};

use crate::harness::{
    Host, Upstream, free, until,
    upstream::{Act, ok},
    wait,
};

/// dnsmasq with records of the test's own, which hold for a second; ended with the test.
struct Names {
    at: SocketAddr,
    child: Option<Child>,
}

impl Names {
    /// `records` are its arguments: `--host-record=NAME,ADDRESS`, `--srv-host=NAME,TARGET,PORT,PRIORITY`.
    fn of(records: &[String]) -> Self {
        let at = until("a port is free for UDP and TCP", || {
            let tcp = free();
            UdpSocket::bind(tcp).ok().map(|_udp| tcp)
        });
        let mut names = Self { at, child: None };
        names.become_those(records);
        names
    }

    /// The same server with other records.
    fn become_those(&mut self, records: &[String]) {
        self.stop();
        let mut run = Command::new("dnsmasq");
        run.env("PATH", "/usr/sbin:/usr/bin:/usr/local/sbin");
        run.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="]);
        run.args(["--user=root", "--bind-interfaces", "--listen-address=127.0.0.1", "--local=/test/", "--local-ttl=1"]);
        run.arg("--log-facility=-").arg(format!("--port={}", self.at.port())).args(records);
        let child = run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.child = Some(child.expect("dnsmasq is installed by `scripts/setup.sh names`"));
        until("the names are served", || TcpStream::connect(self.at).is_ok());
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            wait(&mut child);
        }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.stop();
    }
}

fn saying(listener: TcpListener, word: &'static str) -> Upstream {
    Upstream::on(listener, move |_, _| Act::Say(ok(word).into_bytes()))
}

fn front(names: &Names, discover: &str) -> Host {
    Host::running(&format!(
        "[discovery.dns]\nservers = [\"{}\"]\nttl_max = \"5s\"\n\
         [services.orders]\nurl = {{ discover = \"{discover}\" }}\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"orders\"\npublic = true\n",
        names.at
    ))
}

/// What is answered now; every request is.
fn answered(front: &Host) -> String {
    let answer = front.get("/");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

#[test]
fn addresses_of_a_name_are_followed_and_kept_while_nobody_answers_or_somebody_says_nothing() {
    let (one, two) = until("a port is free at two addresses", || {
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let two = TcpListener::bind(("127.0.0.2", one.local_addr().unwrap().port())).ok()?;
        Some((one, two))
    });
    let port = one.local_addr().unwrap().port();
    let (_one, _two) = (saying(one, "one"), saying(two, "two"));
    let record = |address: &str| vec![format!("--host-record=orders.test,{address}")];
    let mut names = Names::of(&record("127.0.0.1"));
    let front = front(&names, &format!("dns:orders.test:{port}"));
    assert_eq!(answered(&front), "one", "the first request waits for the first answer");
    let status = front.admin("GET", "/v1/services/orders", b"").json()["data"].clone();
    assert_eq!(status["url"][0], format!("dns:orders.test:{port}").as_str());

    names.become_those(&record("127.0.0.2"));
    until("the changed record is followed", || answered(&front) == "two");

    names.stop();
    front.log.expect_line("where a service is cannot be asked; what was known stays");
    assert_eq!(answered(&front), "two", "what was known stays");

    names.become_those(&[]);
    front.log.expect_line("where a service is can be asked again");
    assert_eq!(answered(&front), "two", "that there is nothing is not believed at once");
    until("that there is nothing is believed in the end", || front.get("/").status == 503);

    names.become_those(&record("127.0.0.1"));
    until("it is found again", || front.get("/").status == 200);
    assert_eq!(answered(&front), "one");
}

#[test]
fn srv_records_say_ports_and_who_goes_first() {
    let new = |word| saying(TcpListener::bind("127.0.0.1:0").unwrap(), word);
    let (one, two, spare) = (new("one"), new("two"), new("spare"));
    let service = |of: &Upstream, priority: u8| {
        format!("--srv-host=_http._tcp.orders.test,here.test,{},{priority}", of.address.port())
    };
    let here = "--host-record=here.test,127.0.0.1".to_owned();
    let mut names = Names::of(&[here.clone(), service(&one, 10), service(&two, 10), service(&spare, 20)]);
    let front = front(&names, "srv:_http._tcp.orders.test");
    let mut heard = BTreeSet::new();
    until("both are asked", || {
        heard.insert(answered(&front));
        heard.len() == 2
    });
    assert_eq!(heard, BTreeSet::from(["one".to_owned(), "two".to_owned()]));
    assert_eq!(spare.requests(), Vec::<String>::new(), "it goes after the others");

    // While requests come, those that go first leave.
    thread::scope(|scope| {
        let asking = scope.spawn(|| until("the spare one is asked", || answered(&front) == "spare"));
        names.become_those(&[here, service(&spare, 20)]);
        asking.join().unwrap();
    });
    let before = (one.requests().len(), two.requests().len());
    (0..20).for_each(|_| assert_eq!(answered(&front), "spare"));
    assert_eq!((one.requests().len(), two.requests().len()), before);
}

#[test]
fn a_headless_service_has_an_address_for_each_that_runs_and_one_that_goes_is_asked_no_more() {
    let (one, two) = until("a port is free at two addresses", || {
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let two = TcpListener::bind(("127.0.0.2", one.local_addr().unwrap().port())).ok()?;
        Some((one, two))
    });
    let port = one.local_addr().unwrap().port();
    let (one, _two) = (saying(one, "one"), saying(two, "two"));
    let records = |addresses: &[&str]| -> Vec<String> {
        addresses.iter().map(|address| format!("--host-record=orders.test,{address}")).collect()
    };
    let mut names = Names::of(&records(&["127.0.0.1", "127.0.0.2"]));
    let front = front(&names, &format!("dns:orders.test:{port}"));
    let mut heard = BTreeSet::new();
    until("both are asked", || {
        heard.insert(answered(&front));
        heard.len() == 2
    });
    thread::scope(|scope| {
        // While requests come, one of them leaves: nobody notices.
        let asking = scope.spawn(|| until("the other is asked alone", || (0..20).all(|_| answered(&front) == "two")));
        names.become_those(&records(&["127.0.0.2"]));
        asking.join().unwrap();
    });
    let before = one.requests().len();
    (0..20).for_each(|_| assert_eq!(answered(&front), "two"));
    assert_eq!(one.requests().len(), before);
}

#[test]
fn addresses_of_both_families_are_one_service_s() {
    let (one, two) = until("a port is free for both", || {
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let two = TcpListener::bind(("::1", one.local_addr().unwrap().port())).ok()?;
        Some((one, two))
    });
    let port = one.local_addr().unwrap().port();
    let (_one, _two) = (saying(one, "four"), saying(two, "six"));
    let mut names = Names::of(&["--host-record=orders.test,127.0.0.1,::1".to_owned()]);
    let front = front(&names, &format!("dns:orders.test:{port}"));
    let mut heard = BTreeSet::new();
    until("both are asked", || {
        heard.insert(answered(&front));
        heard.len() == 2
    });
    names.become_those(&["--host-record=orders.test,::1".to_owned()]);
    until("there is no address of the older family any more", || (0..20).all(|_| answered(&front) == "six"));
}
