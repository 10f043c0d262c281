//! `archipel reload`: the manifest's file on the host's machine is read again.

use std::process::ExitCode;

use http::Method;

use super::{Output, admin::Admin, apply::told};

pub(super) fn reload(admin: &Admin, output: Output) -> anyhow::Result<ExitCode> {
    let doing = "reading the manifest again: check, compile, start, smoke requests";
    let done = admin.call(Method::POST, "/v1/reload", None, doing)?.data()?;
    told(&done, "the manifest's file", output)
}
