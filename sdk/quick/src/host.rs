//! The host's interfaces as functions, one file each; `js/host.js` makes of them what the sdk imports. What the host
//! refuses is thrown as an error with a `payload`: a tag, and what belongs to it.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use rquickjs::{BigInt, Ctx, Error, Exception, FromJs, Function, IntoJs, Object, Result, Value};

use crate::{bytes::bytes, world::service::wasi::cli::environment};

mod identity;
mod keyvalue;
mod messaging;
mod moment;
mod postgres;
mod spans;
mod statement;

/// Puts the functions into `native`.
pub fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("environment", Function::new(ctx.clone(), variables)?)?;
    postgres::install(ctx, native)?;
    keyvalue::install(ctx, native)?;
    messaging::install(ctx, native)?;
    identity::install(ctx, native)?;
    spans::install(ctx, native)
}

/// Names and values, one after the other.
fn variables() -> Vec<String> {
    environment::get_environment().into_iter().flat_map(|(name, value)| [name, value]).collect()
}

/// What the host refused, to throw.
pub struct Fault {
    pub tag: &'static str,
    pub text: Option<String>,
}

impl Fault {
    fn of(tag: &'static str) -> Self {
        Self { tag, text: None }
    }

    fn with(tag: &'static str, text: impl ToString) -> Self {
        Self { tag, text: Some(text.to_string()) }
    }

    fn thrown(self, ctx: &Ctx) -> Error {
        let text = self.text.clone();
        thrown(ctx, self.tag, move |ctx| text.into_js(ctx))
    }
}

/// An error with a payload.
fn thrown<'js>(ctx: &Ctx<'js>, tag: &str, val: impl FnOnce(&Ctx<'js>) -> Result<Value<'js>>) -> Error {
    let made = || {
        let payload = Object::new(ctx.clone())?;
        payload.set("tag", tag)?;
        payload.set("val", val(ctx)?)?;
        let error = Exception::from_message(ctx.clone(), tag)?.into_object();
        error.set("payload", payload)?;
        Ok(ctx.throw(error.into_value()))
    };
    made().unwrap_or_else(|error| error)
}

/// What the host gave, or what it refused.
fn given<'js, T, E: Into<Fault>>(ctx: &Ctx<'js>, result: std::result::Result<T, E>) -> Result<T> {
    result.map_err(|error| error.into().thrown(ctx))
}

/// A whole number of any size: `number` or `bigint`.
struct Whole(i64);

impl<'js> FromJs<'js> for Whole {
    fn from_js(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        match value.into_big_int() {
            Some(big) => Ok(Self(big.to_i64()?)),
            None => Err(Exception::throw_type(ctx, "a bigint is wanted")),
        }
    }
}

impl Whole {
    fn unsigned(self) -> u64 {
        self.0.cast_unsigned()
    }
}

fn big<'js>(ctx: &Ctx<'js>, number: u64) -> Result<BigInt<'js>> {
    BigInt::from_u64(ctx.clone(), number)
}

/// A list of two texts.
fn pair(texts: Vec<String>) -> Option<(String, String)> {
    <[String; 2]>::try_from(texts).ok().map(|[first, second]| (first, second))
}

/// Handles that JavaScript knows by number.
struct Handles<T> {
    all: RefCell<BTreeMap<u32, Rc<T>>>,
    names: RefCell<BTreeMap<String, u32>>,
}

impl<T> Handles<T> {
    const fn new() -> Self {
        Self { all: RefCell::new(BTreeMap::new()), names: RefCell::new(BTreeMap::new()) }
    }

    fn add(&self, handle: T) -> u32 {
        let mut all = self.all.borrow_mut();
        let number = all.last_key_value().map_or(1, |(last, _)| last.wrapping_add(1));
        all.insert(number, Rc::new(handle));
        number
    }

    /// The one of that name, opened once.
    fn named<E>(
        &self,
        name: String,
        open: impl FnOnce(&str) -> std::result::Result<T, E>,
    ) -> std::result::Result<u32, E> {
        if let Some(number) = self.names.borrow().get(&name) {
            return Ok(*number);
        }
        let number = self.add(open(&name)?);
        self.names.borrow_mut().insert(name, number);
        Ok(number)
    }

    fn get(&self, ctx: &Ctx, number: u32) -> Result<Rc<T>> {
        self.all.borrow().get(&number).cloned().ok_or_else(|| Fault::of("closed").thrown(ctx))
    }

    /// Takes it out, if nobody is using it.
    fn take(&self, ctx: &Ctx, number: u32) -> Result<T> {
        let taken = self.all.borrow_mut().remove(&number).and_then(Rc::into_inner);
        taken.ok_or_else(|| Fault::of("closed").thrown(ctx))
    }
}
