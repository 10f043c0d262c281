//! A counter in the key-value store `cache`.

use sdk::{Answer, Reply, Request, keyvalue::Bucket};

pub(crate) fn count(_request: &mut Request) -> Answer {
    let visits = Bucket::open("cache")?.increment("visits", 1)?;
    Reply::ok(&visits)
}
