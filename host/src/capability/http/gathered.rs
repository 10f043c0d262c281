//! A body as one piece of memory that is counted: what plain values need.

use bytes::Bytes;
use http_body_util::BodyExt;

use backend::memory::Held;

/// Why a body did not become one piece.
#[derive(Debug)]
pub enum NotWhole<E> {
    Broken(E),
    TooLong,
    /// Its memory's account is empty.
    NoRoom,
}

/// All of a body, at most `bytes_max`. What it takes is counted in `held` before it is used; trailers are
/// passed over. Cancel safe: dropping it drops what was read.
pub async fn gathered<B>(mut body: B, bytes_max: u64, held: &mut Held) -> Result<Vec<u8>, NotWhole<B::Error>>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let most = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(NotWhole::Broken)?.into_data() else { continue };
        let length = whole.len().saturating_add(data.len());
        if length > most {
            return Err(NotWhole::TooLong);
        }
        if length > whole.capacity() {
            let wanted = length.max(whole.capacity().saturating_mul(2)).min(most);
            if !held.grow((wanted - whole.capacity()) as u64) {
                return Err(NotWhole::NoRoom);
            }
            whole.reserve_exact(wanted - whole.len());
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::FutureExt;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    fn of(pieces: &[&'static str], bytes_max: u64) -> Result<(String, u64), NotWhole<Infallible>> {
        let frames: Vec<_> = pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))).collect();
        let mut held = Held::default();
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let whole = gathered(body, bytes_max, &mut held).now_or_never().expect("it is here")?;
        Ok((String::from_utf8(whole).expect("text"), held.bytes()))
    }

    #[test]
    fn a_body_is_whole_counted_and_no_longer_than_it_may_be() {
        assert_eq!(of(&[], 0).unwrap(), (String::new(), 0));
        assert_eq!(of(&["ab", "", "c"], 3).unwrap(), ("abc".to_owned(), 3));
        assert_eq!(of(&["abcd", "e"], 100).unwrap(), ("abcde".to_owned(), 8), "it grows by twice");
        assert!(matches!(of(&["ab", "cd"], 3), Err(NotWhole::TooLong)));
    }
}
