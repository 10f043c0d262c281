//! The smallest service: one text for every request. It imports nothing but HTTP's types.

use sdk::{Request, Response};

sdk::handler!(answer);

fn answer(_request: Request) -> Response {
    Response::text(200, "hello from archipel\n")
}
