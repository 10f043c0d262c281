//! The envelope that every answer with data goes out in. One that failed has the platform's own, which is the same
//! without `data`.

use sdk::{Answer, Request, Response, Timestamp, respond};

/// The answer as it goes out: its data in the envelope, or the failure.
pub(crate) fn enveloped(answer: Answer, request: &mut Request) -> Response {
    let trace_id = request.trace_id();
    let now = Timestamp::now();
    let answer = answer.map(|reply| reply.map_json(|data| envelope(&data, now, &trace_id)));
    respond(answer, &trace_id, now)
}

/// `data`, which is JSON, in the envelope.
pub fn envelope(data: &str, now: Timestamp, trace_id: &str) -> String {
    format!(r#"{{"success":true,"data":{data},"timestamp":"{now}","traceId":"{trace_id}"}}"#)
}

#[cfg(test)]
mod tests {
    use sdk::{Error, Reply, testing};

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    fn sent(answer: Answer) -> (u16, Response) {
        let asked = testing::get("/").header("traceparent", &format!("00-{TRACE}-b7ad6b7169203331-01"));
        let response = enveloped(answer, &mut asked.into());
        (response.status, response)
    }

    #[test]
    fn a_success_carries_its_data_in_the_envelope() {
        let (status, response) = sent(Reply::created("/api/users/7".to_owned(), &["a"]));
        let body = testing::json(&response);
        assert_eq!(
            (status, &body["success"], &body["data"][0], &body["traceId"]),
            (201, &true.into(), &"a".into(), &TRACE.into())
        );
        assert!(body["timestamp"].as_str().is_some_and(|moment| moment.ends_with('Z')));
        let length = response.body.len().to_string().into_bytes();
        assert!(response.headers.contains(&("content-length".to_owned(), length)), "of the envelope, not of the data");
        assert!(response.headers.contains(&("location".to_owned(), b"/api/users/7".to_vec())));
    }

    #[test]
    fn a_failure_has_no_data_and_a_raw_reply_no_envelope() {
        let (status, response) = sent(Err(Error::bad_request("Say \"please\"")));
        let body = testing::json(&response);
        assert_eq!(
            (status, body["success"].as_bool(), body["error"].as_str()),
            (400, Some(false), Some("Say \"please\""))
        );
        assert!(body.get("data").is_none());
        assert_eq!(sent(Reply::raw(Response::text(203, "tea"))).1.body, b"tea");
        assert_eq!(sent(Reply::no_content()).1, Response::empty(204));
    }
}
