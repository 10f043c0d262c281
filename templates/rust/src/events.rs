//! Events: one is published, and handled here as any service that subscribes would.

use sdk::{
    Data, Error, Request, Uuid,
    messaging::{self, Delivery, Event, Failure},
};

pub(crate) fn publish(_request: &mut Request) -> Result<Data<Uuid>, Error> {
    let id = messaging::publish(&Event::json("note.made", &"hello")?)?;
    Ok(Data(id))
}

/// Each event at least once: its id is the same each time.
pub(crate) fn handle(delivery: &Delivery) -> Result<(), Failure> {
    let text: String = delivery.json()?;
    println!("{} says {text}", delivery.topic()); // a line of the log
    Ok(())
}

#[cfg(test)]
mod tests {
    use sdk::testing::{self, Fake};

    use super::*;
    use crate::routes;

    #[test]
    fn what_is_published_is_what_the_handler_understands() {
        let fake = Fake::new();
        assert_eq!(routes().answer(testing::post("/events").into()).status, 200);
        let event = &fake.events()[0];
        assert_eq!(event.topic, "note.made");
        assert_eq!(handle(&testing::delivery(&event.topic, &event.json())), Ok(()));
    }
}
