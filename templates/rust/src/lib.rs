//! The service `my-service`: which path is whose.

use sdk::{Data, Error, Request, Response};

//~ events
mod events;
//~ postgres
mod notes;
//~ keyvalue
mod visits;
//~ end

sdk::service!(answer, OPENAPI);
//~ events
sdk::consumer!(events::handle);
//~ end

fn answer(request: Request) -> Response {
    routes().answer(request)
}

// What answers, and what `GET /openapi.json` says of it.
sdk::routes! {
    //~ !added
    "/" {
    //~ added
    "/my-service" {
    //~ end
        /// A greeting
        get hello;
    }
    //~ postgres
    "/notes" {
        /// The newest notes
        get notes::list;
        /// Keeps a note
        post notes::create;
    }
    //~ keyvalue
    "/visits" {
        /// Counts a visit
        post visits::count;
    }
    //~ events
    "/events" {
        /// Publishes an event
        post events::publish;
    }
    //~ end
}

fn hello(_request: &mut Request) -> Result<Data<&'static str>, Error> {
    Ok(Data("hello from my-service"))
}

#[cfg(test)]
mod tests {
    use sdk::testing;

    use super::*;

    #[test]
    fn everybody_is_greeted() {
        //~ !added
        let response = answer(testing::get("/").into());
        //~ added
        let response = answer(testing::get("/my-service").into());
        //~ end
        assert_eq!(response.status, 200);
        assert_eq!(testing::json(&response), "hello from my-service");
    }
}
