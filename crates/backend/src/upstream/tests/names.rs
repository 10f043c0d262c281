//! Services found by SRV records of a server that fails where the test wants it to.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize},
    },
};

use hickory_resolver::proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::SRV},
};
use tokio::{net::UdpSocket, task::JoinHandle};

use super::{log::Log, *};
use manifest::{DnsQuestion, DnsSettings};

const SERVICE: &str = "_http._tcp.orders.test.";

/// What it says of one name: records, or why there are none; nothing at all is silence.
type Said = Option<Result<Vec<RData>, ResponseCode>>;

/// A server of names over UDP, ended with the test.
struct Names {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for Names {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Names {
    async fn saying(of: impl Fn(&str, RecordType) -> Said + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let mut packet = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                let asked = Message::from_vec(&packet[..length]).unwrap();
                let query = asked.queries[0].clone();
                let mut answer = Message::response(asked.metadata.id, OpCode::Query);
                match of(&query.name().to_ascii(), query.query_type()) {
                    None => continue,
                    Some(Err(code)) => answer.metadata.response_code = code,
                    Some(Ok(records)) => {
                        let record = |data| Record::from_rdata(query.name().clone(), 1, data);
                        answer.add_answers(records.into_iter().map(record));
                    }
                }
                answer.add_query(query);
                // Whoever asked may have gone.
                let _ = socket.send_to(&answer.to_vec().unwrap(), from).await;
            }
        });
        Self { address, serving }
    }

    fn found(&self) -> Upstream {
        let by = DnsSettings { servers: vec![self.address], ttl_max: Duration::from_secs(1) };
        let at = Whereabouts::Dns { question: DnsQuestion::Services { name: SERVICE.into() }, by };
        Upstream::new(&UpstreamSettings { at, ..settings(&[]) }, &Outbound::new(None).unwrap())
    }
}

fn here(kind: RecordType) -> Said {
    let is_asked = kind == RecordType::A;
    Some(Ok(is_asked.then(|| RData::A(Ipv4Addr::LOCALHOST.into())).into_iter().collect()))
}

fn names(all: impl IntoIterator<Item = (String, u16)>) -> Said {
    let srv = |(target, port): (String, u16)| RData::SRV(SRV::new(0, 0, port, target.parse::<Name>().unwrap()));
    Some(Ok(all.into_iter().map(srv).collect()))
}

fn addresses(upstream: &Upstream) -> Vec<String> {
    upstream.report().into_iter().map(|of| of.address).collect()
}

#[tokio::test]
async fn a_name_that_cannot_be_asked_hides_no_other_and_is_told_once() {
    let (server, log) = (Server::answering("one").await, Log::default());
    let _listening = log.listen();
    let (port, rounds, is_down) =
        (server.address.port(), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (of_rounds, of_down) = (rounds.clone(), is_down.clone());
    let dns = Names::saying(move |name, kind| match name {
        SERVICE => {
            of_rounds.fetch_add(1, Relaxed);
            names([("bad.test.".into(), 1), ("good.test.".into(), port)])
        }
        "good.test." if !of_down.load(Relaxed) => here(kind),
        _ => Some(Err(ResponseCode::ServFail)),
    })
    .await;
    let upstream = dns.found();
    until("it is found", || !addresses(&upstream).is_empty()).await;
    assert_eq!(get(&upstream).await.unwrap(), "one");
    let seen = rounds.load(Relaxed);
    until("it was asked again, twice", || rounds.load(Relaxed) >= seen + 3).await;
    assert_eq!(addresses(&upstream), [server.url()]);
    let told = || log.text().matches("some addresses of a service are not known").count();
    assert!(told() == 1 && log.text().contains("bad.test"), "{}", log.text());

    is_down.store(true, Relaxed);
    until("all of them fail", || log.text().contains("where a service is cannot be asked")).await;
    assert_eq!(get(&upstream).await.unwrap(), "one", "what was known stays");
}

#[tokio::test]
async fn all_names_are_asked_for_at_once() {
    let asked = Arc::new(Mutex::new(BTreeSet::new()));
    let of = asked.clone();
    let dns = Names::saying(move |name, _| {
        if name == SERVICE {
            return names((0..20).map(|number| (format!("s{number}.test."), 1)));
        }
        of.lock().unwrap().insert(name.to_owned());
        None
    })
    .await;
    let _upstream = dns.found();
    // In turn, each takes seconds, and the round would be over before the fourth.
    until("all were asked for", || asked.lock().unwrap().len() == 20).await;
}
