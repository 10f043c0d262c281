//! Amounts of money: whole cents, exact from the client's text to the database and back.

use std::fmt;

use sdk::{
    Error, FromField, Wanted, decimal,
    openapi::{Described, Schema},
    postgres::{FromValue, Value},
};
use serde_json::value::RawValue;

/// 0 to 9999999999.99, as much as `NUMERIC(12,2)` holds. As text and in JSON the shortest form:
/// `20`, `20.5`, `19.99`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(i64);

impl Money {
    /// What a document adds to what is a price.
    pub const A_PRICE: &str = r#""maximum":9999999.99"#;
    /// What a document adds to what is a sum.
    pub const A_SUM: &str = r#""maximum":9999999999.99"#;
    pub const MAX: Self = Self(999_999_999_999);
    /// The most that one thing may cost; what a client gives is never more.
    pub const PRICE_MAX: Self = Self(999_999_999);

    /// Nothing if it is not within 0 and [`Money::MAX`].
    pub fn from_cents(cents: i64) -> Option<Self> {
        (0..=Self::MAX.0).contains(&cents).then_some(Self(cents))
    }

    pub const fn cents(self) -> i64 {
        self.0
    }

    /// Reads a JSON number; nothing if it has more than two decimals or is out of range.
    pub fn parse(number: &str) -> Option<Self> {
        decimal::scaled(number, 2).and_then(Self::from_cents)
    }

    /// Nothing if the sum is over [`Money::MAX`].
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(Self::from_cents)
    }

    /// Nothing if the product is over [`Money::MAX`], or `quantity` is negative.
    pub fn times(self, quantity: i32) -> Option<Self> {
        self.0.checked_mul(quantity.into()).and_then(Self::from_cents)
    }
}

impl Described for Money {
    const SCHEMA: &'static Schema = &Schema::Plain(r#""type":"number","minimum":0,"multipleOf":0.01"#);
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, cents) if cents % 10 == 0 => write!(f, "{whole}.{}", cents / 10),
            (whole, cents) => write!(f, "{whole}.{cents:02}"),
        }
    }
}

/// As a number, by serde_json only: other formats see a private wrapper.
impl serde::Serialize for Money {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = RawValue::from_string(self.to_string()).map_err(serde::ser::Error::custom)?;
        number.serialize(serializer)
    }
}

/// From serde_json's text only, where a number still has its own digits.
impl<'de> serde::Deserialize<'de> for Money {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(number.get()).ok_or_else(|| serde::de::Error::custom("it is no amount of money"))
    }
}

impl From<Money> for Value {
    fn from(value: Money) -> Self {
        Self::Numeric(value.to_string())
    }
}

impl FromValue for Money {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Numeric(number) => Self::parse(number),
            _ => None,
        }
    }
}

/// A price, given as a number: at most [`Money::PRICE_MAX`].
impl FromField for Money {
    fn from_field(wanted: &Wanted<'_>) -> Result<Option<Self>, Error> {
        let price = |number: &str| Self::parse(number).filter(|price| *price <= Self::PRICE_MAX);
        wanted.number(price, || format!("an amount from 0 to {} with at most two decimals", Self::PRICE_MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sdk::Fields;

    use super::*;

    #[test]
    fn money_has_two_decimals_at_most_and_bounds() {
        assert_eq!(Money::parse("9999999999.99"), Some(Money::MAX));
        assert_eq!(Money::parse("9999999.99"), Some(Money::PRICE_MAX));
        assert_eq!(Money::parse("0"), Money::from_cents(0));
        assert_eq!(Money::parse("20"), Money::parse("20.00"));
        for refused in ["10000000000", "9999999.991", "19.999", "1e99", "-0.01", "-1"] {
            assert_eq!(Money::parse(refused), None, "{refused}");
        }
    }

    #[test]
    fn money_is_written_as_the_shortest_exact_number() {
        for (cents, text) in [(0, "0"), (1, "0.01"), (10, "0.1"), (1999, "19.99"), (2000, "20"), (2050, "20.5")] {
            let money = Money::from_cents(cents).unwrap();
            assert_eq!(serde_json::to_string(&money).unwrap(), text);
            assert_eq!(serde_json::to_string(&[money]).unwrap(), format!("[{text}]"));
        }
        assert_eq!(serde_json::to_string(&Money::MAX).unwrap(), "9999999999.99");
    }

    #[test]
    fn money_is_read_from_json_without_rounding_and_nothing_else_is() {
        let read = |text: &str| serde_json::from_str::<Money>(text).ok();
        assert_eq!(read("19.90"), Money::from_cents(1990));
        assert_eq!(read("9999999999.99"), Some(Money::MAX));
        for refused in ["19.999", "\"19.99\"", "null", "-1", "{}"] {
            assert_eq!(read(refused), None, "{refused}");
        }
    }

    #[test]
    fn what_is_over_the_most_is_no_amount() {
        let cent = Money::from_cents(1).unwrap();
        assert_eq!(Money::MAX.plus(cent), None);
        assert_eq!(Money::PRICE_MAX.times(1000), Money::from_cents(999_999_999_000));
        assert_eq!(Money::PRICE_MAX.times(1001), None);
        assert_eq!(cent.times(-1), None);
        assert_eq!(cent.times(0), Some(Money::default()));
    }

    #[test]
    fn a_price_in_a_body_is_read_exactly_or_refused_by_its_name() {
        let price = |value: &str| {
            let fields = Fields::parse(format!("{{\"n\":{value}}}").as_bytes(), &["n"]).unwrap();
            Wanted::of(&fields, "n").read::<Option<Money>>()
        };
        for same in ["20", "20.0", "2e1"] {
            assert_eq!(price(same), Ok(Money::parse("20")));
        }
        for refused in ["19.999", "1e99", "-1", "10000000", "\"5\"", "null", "{}"] {
            assert!(price(refused).is_err(), "{refused}");
        }
        let sentence = "Field `n` must be an amount from 0 to 9999999.99 with at most two decimals";
        assert_eq!(price("19.999"), Err(Error::bad_request(sentence)));
    }

    proptest! {
        #[test]
        fn every_amount_comes_back_as_it_went(cents in 0..=999_999_999_999_i64) {
            let money = Money::from_cents(cents).unwrap();
            prop_assert_eq!(Money::parse(&money.to_string()), Some(money));
            prop_assert_eq!(Money::parse(&format!("{}.{:02}", cents / 100, cents % 100)), Some(money));
            prop_assert_eq!(Money::from_value(&money.into()), Some(money));
            let json = serde_json::to_string(&money).unwrap();
            prop_assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), money);
        }
    }
}
