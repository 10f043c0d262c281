//! Where a service is by DNS: addresses of a name (A and AAAA), or of what its SRV records name.
//!
//! Decides what an answer means and how long it holds: as long as the least of its records, within bounds. That a
//! name has no records is an answer; that nobody answers is none, and changes nothing. Of several names that SRV
//! records name, those that are not answered are left out, as long as others are.

use std::{net::IpAddr, time::Duration};

use futures_util::future::join_all;
use hickory_resolver::{
    Resolver, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{RData, RecordType},
    },
};
use tokio::time::timeout;

use super::instances::Instances;
use grant::net::{Scheme, Target};
use manifest::{DnsQuestion, DnsSettings};

/// A server's time for one question, and how often it is asked.
const TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;
/// For all questions that it takes.
const ROUND_MAX: Duration = Duration::from_secs(10);
/// However short the records hold.
const HELD_MIN: Duration = Duration::from_secs(1);
/// More addresses than these of one service are left out, and more SRV records.
const ADDRESSES_MAX: usize = 1000;
const SERVICES_MAX: usize = 64;

/// One name, and who is asked for it.
pub(super) struct Dns {
    resolver: Result<TokioResolver, String>,
    question: DnsQuestion,
    scheme: Scheme,
    held_max: Duration,
}

/// Addresses and how long they hold.
type Found = (Vec<IpAddr>, Duration);

/// Addresses with their ports, how long they hold, and why some are missing.
type Places = (Vec<(IpAddr, u16)>, Duration, Option<String>);

impl Dns {
    pub(super) fn new(settings: &DnsSettings, question: DnsQuestion, scheme: Scheme) -> Self {
        let resolver = resolver(settings).map_err(|error| error.to_string());
        Self { resolver, question, scheme, held_max: settings.ttl_max }
    }

    /// Where it is now; takes ten seconds at most. Cancel safe.
    ///
    /// # Errors
    /// Nobody answers; a sentence.
    pub(super) async fn instances(&self) -> Result<Instances, String> {
        let late = |_elapsed| format!("it takes longer than {ROUND_MAX:?}");
        let (addresses, held, left_out) = timeout(ROUND_MAX, self.places()).await.map_err(late)??;
        let target = |(address, port): (IpAddr, u16)| {
            let host = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
            Target::new(self.scheme, &format!("{host}:{port}")).ok()
        };
        let addresses = addresses.into_iter().take(ADDRESSES_MAX).filter_map(target).collect();
        let again = held.clamp(HELD_MIN, self.held_max.max(HELD_MIN));
        Ok(Instances { index: 0, addresses, again, left_out })
    }

    async fn places(&self) -> Result<Places, String> {
        match &self.question {
            DnsQuestion::Hosts { name, port } => {
                let (found, held) = self.addresses(name).await?;
                Ok((found.into_iter().map(|address| (address, *port)).collect(), held, None))
            }
            DnsQuestion::Services { name } => self.services(name).await,
        }
    }

    /// Of the SRV records that go before the others: what they name, and at which port.
    async fn services(&self, name: &str) -> Result<Places, String> {
        let (records, mut held) = self.records(name, RecordType::SRV).await?;
        let all = || records.iter().filter_map(|record| if let RData::SRV(srv) = record { Some(srv) } else { None });
        let first = all().map(|srv| srv.priority).min();
        let named = all().filter(|srv| Some(srv.priority) == first).take(SERVICES_MAX);
        let each = named.map(|srv| async move { (self.addresses(&srv.target.to_ascii()).await, srv.port) });
        let (mut places, mut left_out) = (Vec::new(), None);
        for (found, port) in join_all(each).await {
            match found {
                Ok((addresses, of_name)) => {
                    places.extend(addresses.into_iter().map(|address| (address, port)));
                    held = held.min(of_name);
                }
                Err(reason) => (left_out, held) = (left_out.or(Some(reason)), HELD_MIN),
            }
        }
        match left_out {
            Some(reason) if places.is_empty() => Err(reason),
            left_out => Ok((places, held, left_out)),
        }
    }

    /// Of either family; one that is not answered does not hide the other.
    async fn addresses(&self, name: &str) -> Result<Found, String> {
        let (four, six) = tokio::join!(self.records(name, RecordType::A), self.records(name, RecordType::AAAA));
        let has_any = [&four, &six].iter().any(|found| found.as_ref().is_ok_and(|(records, _)| !records.is_empty()));
        let (mut found, mut held) = (Vec::new(), self.held_max);
        for records in [four, six] {
            match records {
                Ok((records, of_records)) => {
                    held = if records.is_empty() { held } else { held.min(of_records) };
                    found.extend(records.iter().filter_map(address));
                }
                Err(_other_is_there) if has_any => {}
                Err(reason) => return Err(reason),
            }
        }
        Ok((found, if has_any { held } else { HELD_MIN }))
    }

    async fn records(&self, name: &str, kind: RecordType) -> Result<(Vec<RData>, Duration), String> {
        let resolver = self.resolver.as_ref().map_err(Clone::clone)?;
        match resolver.lookup(name, kind).await {
            Ok(answer) => {
                let held = answer.answers().iter().map(|record| record.ttl).min().unwrap_or_default();
                let data = answer.answers().iter().map(|record| record.data.clone());
                Ok((data.collect(), Duration::from_secs(held.into())))
            }
            Err(error) if is_nothing(&error) => Ok((Vec::new(), HELD_MIN)),
            Err(error) => Err(format!("`{name}` ({kind}): {error}")),
        }
    }
}

/// The servers of the manifest, or those of the system.
fn resolver(settings: &DnsSettings) -> Result<TokioResolver, NetError> {
    let mut builder = match settings.servers.is_empty() {
        true => TokioResolver::builder_tokio()?,
        false => {
            let server = |address: &std::net::SocketAddr| {
                let mut server = NameServerConfig::udp_and_tcp(address.ip());
                let at = |connection: &mut ConnectionConfig| connection.port = address.port();
                server.connections.iter_mut().for_each(at);
                server
            };
            let servers = settings.servers.iter().map(server).collect();
            Resolver::builder_with_config(ResolverConfig::from_name_servers(servers), TokioRuntimeProvider::default())
        }
    };
    let options = builder.options_mut();
    // What was found holds here, not in there as well.
    (options.timeout, options.attempts, options.cache_size) = (TIMEOUT, ATTEMPTS, 0);
    builder.build()
}

/// There is no such name, or nothing of this kind at it.
fn is_nothing(error: &NetError) -> bool {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
        }
        _ => false,
    }
}

fn address(record: &RData) -> Option<IpAddr> {
    match record {
        RData::A(four) => Some(IpAddr::V4(four.0)),
        RData::AAAA(six) => Some(IpAddr::V6(six.0)),
        _ => None,
    }
}
