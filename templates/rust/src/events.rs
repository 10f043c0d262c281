//! Events: one is published, and handled here as any service that subscribes would.

use sdk::{
    Answer, Reply, Request,
    messaging::{self, Delivery, Event, Failure},
};

pub(crate) fn publish(_request: &mut Request) -> Answer {
    let id = messaging::publish(&Event::json("note.made", &"hello")?)?;
    Reply::ok(&id)
}

/// Each event at least once: its id is the same each time.
pub(crate) fn handle(delivery: &Delivery) -> Result<(), Failure> {
    let text: String = delivery.json()?;
    println!("{} says {text}", delivery.topic()); // a line of the log
    Ok(())
}
