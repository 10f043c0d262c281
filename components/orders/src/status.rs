//! The states that clients see an order in, and which may follow which.

use sdk::{
    Error, Fields, FromJson,
    openapi::Described,
    postgres::{FromValue, Value},
};
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Described)]
#[serde(rename_all = "lowercase")]
#[described(name = "OrderStatus")]
pub(crate) enum Status {
    Pending,
    Confirmed,
    Shipped,
    Delivered,
    Cancelled,
}

/// A step that somebody wants.
#[derive(Debug, PartialEq, Eq, Described)]
#[described(body, name = "OrderStep")]
pub(crate) struct Change {
    pub(crate) status: Status,
}

impl Status {
    const ALL: [Self; 5] = [Self::Pending, Self::Confirmed, Self::Shipped, Self::Delivered, Self::Cancelled];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
        }
    }

    /// The states that this one may follow.
    pub(crate) fn may_follow(self) -> &'static [Self] {
        match self {
            Self::Pending => &[],
            Self::Confirmed => &[Self::Pending],
            Self::Shipped => &[Self::Confirmed],
            Self::Delivered => &[Self::Shipped],
            Self::Cancelled => &[Self::Pending, Self::Confirmed],
        }
    }

    /// A word of a client's; 400 if it is none.
    pub(crate) fn parse(word: &str) -> Result<Self, Error> {
        let known = || Self::ALL.map(|status| format!("`{}`", status.as_str())).join(", ");
        let found = Self::ALL.into_iter().find(|status| status.as_str() == word);
        found.ok_or_else(|| Error::bad_request(format!("Field `status` must be one of {}", known())))
    }
}

impl FromValue for Status {
    fn from_value(value: &Value) -> Option<Self> {
        String::from_value(value).and_then(|word| Self::parse(&word).ok())
    }
}

impl FromJson for Change {
    const FIELDS: &'static [&'static str] = &["status"];

    fn from_json(fields: &Fields) -> Result<Self, Error> {
        let word = fields.verbatim("status")?.ok_or_else(|| Error::bad_request("Field `status` is required"))?;
        Ok(Self { status: Status::parse(word)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_takes_these_steps_and_no_others() {
        use Status::{Cancelled, Confirmed, Delivered, Pending, Shipped};
        let steps = [
            (Pending, Confirmed),
            (Confirmed, Shipped),
            (Shipped, Delivered),
            (Pending, Cancelled),
            (Confirmed, Cancelled),
        ];
        for from in Status::ALL {
            for to in Status::ALL {
                assert_eq!(to.may_follow().contains(&from), steps.contains(&(from, to)), "{from:?} {to:?}");
            }
        }
    }

    #[test]
    fn a_status_is_one_of_five_words() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Ok(status));
            assert_eq!(serde_json::to_string(&status).unwrap(), format!("\"{}\"", status.as_str()));
            assert_eq!(Status::from_value(&Value::from(status.as_str())), Some(status));
        }
        let sentence = "Field `status` must be one of `pending`, `confirmed`, `shipped`, `delivered`, `cancelled`";
        for word in ["", "Pending", "reserving", "failed", "canceled"] {
            assert_eq!(Status::parse(word), Err(Error::bad_request(sentence)), "{word}");
        }
        let change = |body: &str| Change::from_json(&Fields::parse(body.as_bytes(), Change::FIELDS)?);
        assert_eq!(change(r#"{"status":"shipped"}"#), Ok(Change { status: Status::Shipped }));
        assert_eq!(change("{}"), Err(Error::bad_request("Field `status` is required")));
        assert!(change(r#"{"status":7}"#).is_err());
    }
}
