//! Attacks inside chunked bodies and their trailers.

use super::{Refusal, feed, get, post};

#[test]
fn attacks_on_bodies_end_the_body_and_the_stream_of_requests() {
    for attack in [
        "\r\n0\r\n\r\n",
        "x\r\n",
        "-1\r\n",
        "+1\r\na\r\n",
        "0x1\r\na\r\n",
        " 1\r\na\r\n",
        "1 \r\na\r\n",
        "1 ;x\r\na\r\n",
        "1\na\r\n",
        "1\r\na\n",
        "1\r\nab\r\n",
        "1\r\naX",
        "1;\nGET / HTTP/1.1\r\n",
        "1;a\rb\r\na\r\n",
        "1;\0\r\na\r\n",
        "FFFFFFFFFFFFFFFF\r\n",
        "10000000000000000\r\n",
        "0000000000000000\r\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\nHost: b\r\n\r\n",
        "0\r\n X: y\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\nX: y\n\r\n",
        "0\r\nX: y\0\r\n\r\n",
        "0\r\n\n",
        &format!("1;{}\r\na\r\n", "x".repeat(2000)),
        &format!("0\r\nX: {}\r\n\r\n", "y".repeat(9000)),
        &format!("0\r\n{}\r\n", "X: y\r\n".repeat(40)),
    ] {
        let input = post("Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n") + attack + &get("X-Smuggled: yes\r\n");
        for cuts in [&[][..], &(0..input.len()).collect::<Vec<_>>()] {
            let (_, heads, refusal) = feed(input.as_bytes(), cuts);
            assert!(matches!(refusal, Some(Refusal::Body(_))), "{attack:?}");
            assert_eq!(heads, 1, "{attack:?}");
        }
    }
}
