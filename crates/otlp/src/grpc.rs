//! The way to a collector by gRPC: calls whose messages are written already.

use bytes::{Buf, BufMut, Bytes};
use http::{HeaderMap, uri::PathAndQuery};
use tonic::{
    Code, Request, Status,
    client::Grpc as Caller,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataMap,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::{
    Settings, authorities,
    error::{InvalidSettings, Untaken, chain},
    signal::Signal,
};

#[derive(Debug)]
pub(crate) struct Grpc {
    channel: Channel,
    metadata: MetadataMap,
    /// Of one call.
    timeout: std::time::Duration,
}

impl Grpc {
    pub(crate) fn new(settings: &Settings, headers: HeaderMap) -> Result<Self, InvalidSettings> {
        let invalid = |error: tonic::transport::Error| InvalidSettings(chain(&error));
        let mut endpoint = Endpoint::from_shared(settings.endpoint.clone()).map_err(invalid)?;
        endpoint = endpoint.timeout(settings.timeout).connect_timeout(settings.timeout);
        if settings.endpoint.starts_with("https://") {
            let tls = match &settings.ca {
                Some(file) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authorities::read(file)?)),
                None => ClientTlsConfig::new().with_webpki_roots(),
            };
            endpoint = endpoint.tls_config(tls).map_err(invalid)?;
        }
        let metadata = MetadataMap::from_headers(headers);
        Ok(Self { channel: endpoint.connect_lazy(), metadata, timeout: settings.timeout })
    }

    pub(crate) async fn send(&self, signal: Signal, message: Bytes) -> Result<u64, Untaken> {
        let call = async {
            let mut caller = Caller::new(self.channel.clone());
            caller.ready().await.map_err(|error| Untaken::for_now(chain(&error)))?;
            let mut request = Request::new(message);
            *request.metadata_mut() = self.metadata.clone();
            let method = PathAndQuery::from_static(signal.method());
            caller.unary(request, method, Written).await.map_err(|status| untaken(&status))
        };
        let late = |_elapsed| Untaken::for_now("it does not answer in time");
        let answer = tokio::time::timeout(self.timeout, call).await.map_err(late)??;
        Ok(signal.unwanted(answer.get_ref(), false))
    }
}

fn untaken(status: &Status) -> Untaken {
    let is_refusal = matches!(
        status.code(),
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::FailedPrecondition
            | Code::Unimplemented
    );
    Untaken { is_refusal, ..Untaken::for_now(chain(status)) }
}

/// Messages as bytes, both ways.
struct Written;

impl Codec for Written {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Written {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.reserve(message.len());
        into.put(message);
        Ok(())
    }
}

impl Decoder for Written {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = from.remaining();
        Ok(Some(from.copy_to_bytes(length)))
    }
}
