//! Calls between services of the shop: what is wanted is the `data` of the envelope.

use sdk::call::{Call, Failure};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// A call whose answer is in the envelope.
pub trait Enveloped {
    /// Makes the call and reads the `data` of its answer; `T` names the fields that are wanted, others are passed over.
    ///
    /// # Errors
    /// As [`Call::send`] has them, and a broken answer where there is no such data.
    fn answer<T: DeserializeOwned>(&self) -> Result<T, Failure>;
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl Enveloped for Call {
    fn answer<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let body = self.send()?.body;
        data(&body).map_err(|reason| Failure::Broken(format!("`{}` {reason}", self.service())))
    }
}

fn data<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let data = serde_json::from_slice::<Envelope<'_>>(body).ok().and_then(|envelope| envelope.data);
    let data = data.ok_or("answered without data")?;
    serde_json::from_str(data.get()).map_err(|error| format!("answered with other data than expected: {error}"))
}

#[cfg(test)]
mod tests {
    use sdk::{call, testing::Fake};
    use serde_json::json;

    use super::*;
    use crate::Money;

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    struct Priced {
        price: Money,
    }

    #[test]
    fn the_data_of_an_answer_is_read_without_rounding() {
        let body = br#"{"success":true,"data":{"price":9999999.90,"name":"Tea"},"timestamp":"","traceId":""}"#;
        assert_eq!(data(body), Ok(Priced { price: Money::parse("9999999.9").unwrap() }));
        for body in [&b""[..], b"{}", b"{\"data\":{}}", b"{\"data\":{\"price\":\"1\"}}", b"[]", b"\xff"] {
            assert!(data::<Priced>(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn another_services_refusal_is_one_and_its_answer_is_what_is_in_the_envelope() {
        let fake = Fake::new();
        fake.service("products").get("/api/products/7").json(200, &json!({ "success": true, "data": "Tea" }));
        fake.service("products").get("/api/products/8").json(404, &json!({ "error": "Product not found" }));
        fake.service("products").get("/api/products/9").json(200, &json!({}));
        let of = |id: u8| call::get("products", format!("/api/products/{id}")).answer::<String>();
        assert_eq!(of(7), Ok("Tea".to_owned()));
        assert_eq!(of(8), Err(Failure::Refused { status: 404, sentence: "Product not found".to_owned() }));
        assert_eq!(of(9), Err(Failure::Broken("`products` answered without data".to_owned())));
    }
}
