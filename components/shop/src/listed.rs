//! How a part of a list is answered.

use sdk::{
    Answer, Listing, Replies, Reply, Uuid,
    openapi::{Content, Described, Header, Schema, Success},
};
use serde::Serialize;

/// 200 with the items, `X-Total-Count`, and `X-Next-Cursor` if there is more.
#[derive(Debug)]
pub struct Listed<T>(pub Listing<T, Uuid>);

impl<T: Serialize + Described> Replies for Listed<T> {
    const ANSWERS: &'static Success = &Success {
        status: 200,
        content: Content::Json(&Schema::List(T::SCHEMA)),
        headers: &[
            Header { name: "X-Total-Count", doc: "How many there are in all", schema: u32::SCHEMA },
            Header { name: "X-Next-Cursor", doc: "The next page's `cursor`; absent at the end", schema: &Schema::Text },
        ],
    };

    fn reply(self) -> Answer {
        let Self(listing) = self;
        let reply = Reply::ok(&listing.items)?;
        let counted = [("x-total-count", listing.total.map(|total| total.to_string()))];
        let headers = counted.into_iter().chain([("x-next-cursor", listing.next.map(|next| next.to_string()))]);
        let known = headers.filter_map(|(name, value)| Some((name, value?)));
        Ok(known.fold(reply, |reply, (name, value)| reply.header(name, value)))
    }
}

#[cfg(test)]
mod tests {
    use sdk::{Request, Start, testing};

    use super::*;
    use crate::{Routes, Who};

    #[test]
    fn a_list_says_how_many_there_are_and_where_to_go_on() {
        fn list(next: Option<Uuid>) -> Vec<(String, Vec<u8>)> {
            let handler = move |_: &mut Request| {
                let listing = Listing { items: vec![1], limit: 1, start: Start::Offset(0), total: Some(7), next };
                Ok::<_, sdk::Error>(Listed(listing))
            };
            let response =
                Routes::new().at("/", |path| path.get(Who::Anyone, handler)).answer(testing::get("/").into());
            assert_eq!(testing::json(&response)["data"], serde_json::json!([1]));
            response.headers
        }
        let headers = list(Some(Uuid::nil()));
        assert!(headers.contains(&("x-total-count".to_owned(), b"7".to_vec())));
        assert!(headers.contains(&("x-next-cursor".to_owned(), Uuid::nil().to_string().into_bytes())));
        assert!(!list(None).iter().any(|(name, _)| name == "x-next-cursor"));
    }
}
