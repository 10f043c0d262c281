//! A file of authorities that changes, is broken, or goes away under a host that runs.

use rustls::pki_types::PrivateKeyDer;

use super::*;

struct Server {
    certificate: String,
    config: Arc<rustls::ServerConfig>,
}

fn server() -> Server {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    Server { certificate: made.cert.pem(), config: Arc::new(config) }
}

impl Server {
    /// Whether a whole handshake succeeds; each with a connection of its own and nothing kept of one before.
    fn is_believed(&self, judge: &Arc<ClientConfig>) -> bool {
        let mut client = (**judge).clone();
        client.resumption = rustls::client::Resumption::disabled();
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = rustls::ServerConnection::new(self.config.clone()).unwrap();
        for _flight in 0..4 {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut wire.as_slice()).unwrap();
            // What a client refuses, it says in an alert.
            let _ = server.process_new_packets();
            let mut wire = Vec::new();
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut wire.as_slice()).unwrap();
            if client.process_new_packets().is_err() {
                return false;
            }
        }
        !client.is_handshaking()
    }
}

#[test]
fn a_file_of_authorities_is_read_again_when_it_changes_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roots.pem");
    let put = |text: &str| {
        // As a volume of Kubernetes does it: a new file in the place of the one before.
        let new = folder.path().join("new.pem");
        fs::write(&new, text).unwrap();
        fs::rename(new, &file).unwrap();
    };
    let (first, second) = (server(), server());
    put(&first.certificate);
    let judge = Arc::new(Roots::only(&file, "sslrootcert").unwrap().client_config().unwrap());
    assert!(first.is_believed(&judge) && !second.is_believed(&judge));
    put(&second.certificate);
    assert!(!first.is_believed(&judge) && second.is_believed(&judge), "the new authority and no other");
    put("-----BEGIN CERTIFICATE-----\nno base64\n");
    assert!(!first.is_believed(&judge) && second.is_believed(&judge), "a broken file changes nothing");
    fs::remove_file(&file).unwrap();
    assert!(second.is_believed(&judge), "a file that is away changes nothing");
    put(&first.certificate);
    assert!(first.is_believed(&judge) && !second.is_believed(&judge), "and it comes back");
}

#[test]
fn a_file_that_is_no_list_of_authorities_is_refused_when_it_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let told = Roots::web(Some(file.path()), "SSL_CERT_FILE").unwrap_err().to_string();
    assert!(told.contains("(SSL_CERT_FILE) holds no certificate that can be trusted"), "{told}");
    let told = Roots::only(Path::new("/nowhere.pem"), "sslrootcert").unwrap_err().to_string();
    assert_eq!(told, "cannot read certificates from `/nowhere.pem` (sslrootcert)");
}
