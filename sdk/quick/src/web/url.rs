//! Addresses by the WHATWG's rules: parsed here, cut up in `js/url.js`.

use rquickjs::{Array, Ctx, Function, Object, Result, Value};
use url::{Position, Url, quirks};

pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("urlParse", Function::new(ctx.clone(), parse)?)?;
    native.set("urlSet", Function::new(ctx.clone(), set)?)?;
    native.set("urlOrigin", Function::new(ctx.clone(), origin)?)?;
    native.set("formDecode", Function::new(ctx.clone(), decode)?)?;
    native.set("formEncode", Function::new(ctx.clone(), encode)?)
}

/// The text, and where its parts are: an address is ASCII. Nothing if it is none.
fn parse<'js>(ctx: Ctx<'js>, text: String, base: Option<String>) -> Result<Value<'js>> {
    let parsed = match base {
        None => Url::parse(&text),
        Some(base) => Url::parse(&base).and_then(|base| base.join(&text)),
    };
    match parsed {
        Ok(url) => parts(ctx, &url),
        Err(_) => Ok(Value::new_undefined(ctx)),
    }
}

/// With another part; as it was, where the rules say so.
fn set<'js>(ctx: Ctx<'js>, text: String, part: String, value: String) -> Result<Value<'js>> {
    let Ok(mut url) = Url::parse(&text) else { return Ok(Value::new_undefined(ctx)) };
    // What cannot be set stays, which is no failure.
    let _ = match &*part {
        "protocol" => quirks::set_protocol(&mut url, &value),
        "username" => quirks::set_username(&mut url, &value),
        "password" => quirks::set_password(&mut url, &value),
        "host" => quirks::set_host(&mut url, &value),
        "hostname" => quirks::set_hostname(&mut url, &value),
        "port" => quirks::set_port(&mut url, &value),
        "pathname" => {
            quirks::set_pathname(&mut url, &value);
            Ok(())
        }
        "search" => {
            quirks::set_search(&mut url, &value);
            Ok(())
        }
        "hash" => {
            quirks::set_hash(&mut url, &value);
            Ok(())
        }
        _ => Err(()),
    };
    parts(ctx, &url)
}

/// The ends of scheme, user name, password; host from and to; port from and to; where path, query and fragment begin.
fn parts<'js>(ctx: Ctx<'js>, url: &Url) -> Result<Value<'js>> {
    let at = |position: Position| url[..position].len();
    let found = Array::new(ctx)?;
    found.set(0, url.as_str())?;
    let positions = [
        Position::AfterScheme,
        Position::BeforeUsername,
        Position::AfterUsername,
        Position::BeforePassword,
        Position::AfterPassword,
        Position::BeforeHost,
        Position::AfterHost,
        Position::BeforePort,
        Position::AfterPort,
        Position::BeforePath,
        Position::AfterPath,
        Position::BeforeQuery,
        Position::AfterQuery,
        Position::BeforeFragment,
    ];
    for (index, position) in positions.into_iter().enumerate() {
        found.set(index + 1, at(position))?;
    }
    Ok(found.into_value())
}

fn origin(text: String) -> String {
    Url::parse(&text).map_or_else(|_| "null".to_owned(), |url| quirks::origin(&url))
}

/// Names and values, one after the other.
fn decode(text: String) -> Vec<String> {
    form_urlencoded::parse(text.as_bytes()).flat_map(|(name, value)| [name.into_owned(), value.into_owned()]).collect()
}

fn encode(list: Vec<String>) -> String {
    let pairs = list.chunks_exact(2).map(|pair| (&pair[0], &pair[1]));
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}
