//! What the build calls, once, in a machine of its own: the script in, the state of the memory out. None of it is in the
//! component.

use std::{
    cell::RefCell,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::engine;

/// As a static and no part of the state that is kept: it is false again when the build is done.
static UNDER_WAY: AtomicBool = AtomicBool::new(false);

thread_local! {
    static SCRIPT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Whether a service is being prepared: the host is not there.
pub fn is_under_way() -> bool {
    UNDER_WAY.load(Ordering::Relaxed)
}

/// Keeps a line for who builds.
pub fn say(line: &str) {
    SAID.with(|said| said.borrow_mut().push_str(line));
}

/// Room for a script of so many bytes; where it begins.
#[allow(unsafe_code, reason = "an export of the module, which is no component yet")]
#[unsafe(export_name = "build-room")]
pub extern "C" fn room(length: usize) -> *mut u8 {
    SCRIPT.with(|script| {
        let mut script = script.borrow_mut();
        script.resize(length, 0);
        script.as_mut_ptr()
    })
}

/// Evaluates the script; 0, or 1 with the reason in what was said.
#[allow(unsafe_code, reason = "an export of the module, which is no component yet")]
#[unsafe(export_name = "build-prepare")]
pub extern "C" fn prepare() -> u32 {
    let script = SCRIPT.take();
    UNDER_WAY.store(true, Ordering::Relaxed);
    let prepared = match String::from_utf8(script) {
        Ok(script) => engine::prepare(&script),
        Err(_) => Err(engine::Broken("the script is no UTF-8".to_owned())),
    };
    UNDER_WAY.store(false, Ordering::Relaxed);
    match prepared {
        Ok(()) => 0,
        Err(broken) => {
            SAID.with(|said| *said.borrow_mut() += &broken.0);
            1
        }
    }
}

/// Where the text begins that was said.
#[allow(unsafe_code, reason = "an export of the module, which is no component yet")]
#[unsafe(export_name = "build-said")]
pub extern "C" fn said() -> *const u8 {
    SAID.with(|said| said.borrow().as_ptr())
}

/// How many bytes it has.
#[allow(unsafe_code, reason = "an export of the module, which is no component yet")]
#[unsafe(export_name = "build-said-length")]
pub extern "C" fn said_length() -> usize {
    SAID.with(|said| said.borrow().len())
}
