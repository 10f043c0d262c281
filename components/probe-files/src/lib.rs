//! The test guest that works in folders, with nothing but Rust's standard library.
//!
//! It tells what it found or how it was refused; whether it may is the host's to say.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
};

use sdk::{Query, Request, Response};
use wasip2::{
    filesystem::{
        preopens::get_directories,
        types::{DescriptorFlags, OpenFlags, PathFlags, filesystem_error_code},
    },
    io::streams::StreamError,
};

sdk::handler!(answer);

fn answer(request: Request) -> Response {
    let Ok(query) = request.query(&["path", "to", "text", "times"]) else {
        return Response::text(400, "the parameters are `path`, `to`, `text`, `times`\n");
    };
    let path = query.get("path").unwrap_or_default();
    let done = match request.path().as_str() {
        "/" => Ok("probe-files\n".to_owned()),
        "/read" => fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        "/size" => fs::metadata(path).map(|found| found.len().to_string()),
        "/list" => list(path),
        "/write" => fs::write(path, text(&query)).map(|()| "written\n".to_owned()),
        "/append" => append(path, &text(&query)),
        "/patch" => patch(path, &text(&query)),
        "/fill" => fill(path),
        "/fill-raw" => fill_raw(path),
        "/mkdir" => fs::create_dir(path).map(|()| "made\n".to_owned()),
        "/remove" => fs::remove_file(path).map(|()| "removed\n".to_owned()),
        "/rename" => fs::rename(path, to(&query)).map(|()| "renamed\n".to_owned()),
        "/hardlink" => fs::hard_link(path, to(&query)).map(|()| "linked\n".to_owned()),
        "/truncate" => OpenOptions::new().write(true).truncate(true).open(path).map(|_file| "emptied\n".to_owned()),
        "/hold" => hold(path, &query),
        _ => return Response::text(404, "no such behaviour\n"),
    };
    match done {
        Ok(text) => Response::text(200, &text),
        Err(refused) => Response::text(403, &format!("{:?}: {refused}\n", refused.kind())),
    }
}

/// `text`, so many times.
fn text(query: &Query) -> String {
    query.get("text").unwrap_or("text").repeat(times(query))
}

fn times(query: &Query) -> usize {
    query.get("times").map_or(1, |times| times.parse().expect("a number"))
}

fn to(query: &Query) -> &str {
    query.get("to").unwrap_or_default()
}

/// The names in a folder, each with what it is, in order.
fn list(path: &str) -> io::Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let kind = if kind.is_dir() {
            "/"
        } else if kind.is_symlink() {
            "@"
        } else {
            ""
        };
        names.push(format!("{}{kind}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    Ok(format!("{} {}", names.len(), names.join(" ")))
}

fn append(path: &str, text: &str) -> io::Result<String> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok("appended\n".to_owned())
}

/// Writes in the middle of what is there.
fn patch(path: &str, text: &str) -> io::Result<String> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    file.seek(SeekFrom::Start(2))?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    io::read_to_string(file)
}

/// Writes until that fails.
fn fill(path: &str) -> io::Result<String> {
    let mut file = File::create(path)?;
    let piece = [b'x'; 64 << 10];
    for _ in 0..1024 {
        file.write_all(&piece)?;
    }
    file.sync_all()?;
    Ok("64 MiB fit\n".to_owned())
}

/// The same with the interface's own functions, whose error it tells: as a whole, and of a stream.
fn fill_raw(path: &str) -> io::Result<String> {
    let told = |code: &dyn std::fmt::Debug| io::Error::other(format!("{code:?}"));
    let (_, folder, name) = path.splitn(3, '/').collect::<Vec<_>>()[..]
        .try_into()
        .map(|[a, b, c]: [&str; 3]| (a, b, c))
        .expect("/folder/name");
    let folders = get_directories();
    let (folder, _) =
        folders.iter().find(|(_, guest)| guest.trim_start_matches('/') == folder).expect("a granted folder");
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let file = folder.open_at(PathFlags::empty(), name, OpenFlags::CREATE, flags).map_err(|code| told(&code))?;
    let piece = [b'x'; 64 << 10];
    let mut offset = 0;
    let whole = loop {
        match file.write(&piece, offset) {
            Ok(written) => offset += written,
            Err(code) => break code,
        }
    };
    let stream = file.append_via_stream().map_err(|code| told(&code))?;
    let of_stream = loop {
        match stream.blocking_write_and_flush(&piece[..4096]) {
            Ok(()) => {}
            Err(StreamError::LastOperationFailed(error)) => break filesystem_error_code(&error),
            Err(StreamError::Closed) => break None,
        }
    };
    match of_stream == Some(whole) {
        true => Err(told(&whole)),
        false => Ok(format!("{whole:?} as a whole, {of_stream:?} of a stream")),
    }
}

/// Opens a file so many times, and tells how often that went well.
fn hold(path: &str, query: &Query) -> io::Result<String> {
    let mut held = Vec::new();
    for _ in 0..times(query) {
        match File::open(path) {
            Ok(file) => held.push(file),
            Err(full) => return Ok(format!("{} {full}\n", held.len())),
        }
    }
    Ok(format!("{}\n", held.len()))
}
