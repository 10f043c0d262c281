//! Files that change while they are used.

use std::{fs, os::unix::fs::symlink};

use super::*;

pub(crate) struct Made {
    certificate: String,
    key: String,
}

pub(crate) fn made(until: i32) -> Made {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut wanted = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    wanted.not_after = rcgen::date_time_ymd(until, 1, 1);
    Made { certificate: wanted.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

/// A folder of its own, gone with the test.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        let place = std::env::temp_dir().join(format!("gateway-tls-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&place).unwrap();
        Self(place)
    }

    pub(crate) fn write(&self, folder: &str, made: &Made) {
        fs::create_dir_all(self.0.join(folder)).unwrap();
        fs::write(self.0.join(folder).join("chain.pem"), &made.certificate).unwrap();
        fs::write(self.0.join(folder).join("key.pem"), &made.key).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn files(&self, folder: &str) -> Files {
        let folder = self.0.join(folder);
        Files {
            certificate: folder.join("chain.pem"),
            key: folder.join("key.pem"),
            client_ca: None,
            without_too: false,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left of it is in the folder for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The year in which what is used ends.
fn year(tls: &Tls) -> i64 {
    let seconds = tls.not_after().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    1970 + (seconds as f64 / 31_556_952.0).round() as i64
}

#[test]
fn renewed_files_are_used_and_unchanged_ones_are_not_read_into_anything() {
    let (place, first, second) = (Place::new(), made(2041), made(2042));
    place.write("", &first);
    let tls = Tls::read(place.files("")).unwrap();
    let before = tls.0.now.load_full();
    assert!(!tls.refresh().unwrap());
    assert!(Arc::ptr_eq(&before, &tls.0.now.load_full()));
    place.write("", &second);
    assert!(tls.refresh().unwrap());
    assert_eq!((year(&tls), year(&tls.clone())), (2042, 2042));
    assert!(!tls.refresh().unwrap());
}

#[test]
fn a_replaced_symlink_is_noticed() {
    let place = Place::new();
    place.write("a", &made(2041));
    place.write("b", &made(2042));
    symlink("a", place.0.join("data")).unwrap();
    let tls = Tls::read(place.files("data")).unwrap();
    symlink("b", place.0.join("new")).unwrap();
    fs::rename(place.0.join("new"), place.0.join("data")).unwrap();
    assert!(tls.refresh().unwrap());
    assert_eq!(year(&tls), 2042);
}

#[test]
fn a_pair_that_is_written_by_halves_keeps_the_old_one_and_is_told_once() {
    let (place, first, second) = (Place::new(), made(2041), made(2042));
    place.write("", &first);
    let tls = Tls::read(place.files("")).unwrap();
    fs::write(place.files("").certificate, &second.certificate).unwrap();
    assert!(!tls.refresh().unwrap(), "the key may be on its way");
    assert!(matches!(tls.refresh(), Err(TlsError::Mismatch { .. })));
    assert!(!tls.refresh().unwrap(), "told");
    assert_eq!(year(&tls), 2041);
    // Another trouble is told again, and so is a file that is gone.
    fs::write(place.files("").key, &second.key[..40]).unwrap();
    assert!(!tls.refresh().unwrap());
    assert!(matches!(tls.refresh(), Err(TlsError::Key { .. })));
    fs::remove_file(place.files("").key).unwrap();
    assert!(!tls.refresh().unwrap());
    assert!(matches!(tls.refresh(), Err(TlsError::Key { source: pem::Error::Io(_), .. })));
    place.write("", &second);
    assert!(tls.refresh().unwrap());
    assert_eq!(year(&tls), 2042);
}

#[test]
fn what_does_not_work_together_is_refused_at_the_start() {
    let (place, first, second) = (Place::new(), made(2041), made(2042));
    place.write("", &Made { certificate: first.certificate.clone(), key: second.key });
    assert!(matches!(Tls::read(place.files("")).err(), Some(TlsError::Mismatch { .. })));
    place.write("", &first);
    let mut files = place.files("");
    files.client_ca = Some(files.key.clone());
    assert!(matches!(Tls::read(files.clone()).err(), Some(TlsError::NoCertificate { .. })));
    files.client_ca = Some(files.certificate.clone());
    assert!(Tls::read(files).is_ok());
}
