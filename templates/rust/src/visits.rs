//! A counter in the key-value store `cache`.

use sdk::{Data, Error, Request, keyvalue::Bucket};

pub(crate) fn count(_request: &mut Request) -> Result<Data<i64>, Error> {
    let visits = Bucket::open("cache")?.increment("visits", 1)?;
    Ok(Data(visits))
}

#[cfg(test)]
mod tests {
    use sdk::testing::{self, Fake};

    use crate::routes;

    #[test]
    fn each_visit_counts_one() {
        let fake = Fake::new();
        fake.keyvalue("cache");
        let count = || testing::json(&routes().answer(testing::post("/visits").into())).as_u64();
        assert_eq!((count(), count()), (Some(1), Some(2)));
    }
}
