//! The test guest once more, behind the quick door and no other: the same behaviours by plain values.

#[path = "../../probe/src/answer.rs"]
mod answer;
#[path = "../../probe/src/behaviour.rs"]
mod behaviour;
mod call;
#[path = "../../probe/src/crash.rs"]
mod crash;
#[path = "../../probe/src/take.rs"]
mod take;
#[path = "../../probe/src/tell.rs"]
mod tell;

use sdk::answering::{
    self,
    exports::archipel::http::handler::{Answer, Guest, Request},
};

use crate::call::{Call, Slot};

struct Probe;

answering::export!(Probe with_types_in sdk::answering);

impl Guest for Probe {
    fn handle(request: Request) -> Answer {
        let slot = Slot::default();
        // Only here: what an instance is told by `wasi:http` when it keeps its request.
        let retire = request.target == "/counter?name=retire";
        behaviour::behave(Call::new(request, slot.clone()));
        // Whoever leaves an answer unfinished has none.
        Answer { response: slot.take().expect("an answer"), retire }
    }
}
