//! The service `my-service`: which path is whose.

use sdk::{Answer, Reply, Request, Response, Routes};

//~ events
mod events;
//~ postgres
mod notes;
//~ keyvalue
mod visits;
//~ end

sdk::handler!(answer);
sdk::section!("archipel:permissions", "/permissions.toml");
//~ events
sdk::consumer!(events::handle);
//~ end

fn answer(request: Request) -> Response {
    routes().answer(request)
}

fn routes() -> Routes {
    Routes::new()
        //~ !added
        .at("/", |path| path.get(hello))
        //~ added
        .at("/my-service", |path| path.get(hello))
        //~ end
        //~ postgres
        .at("/notes", |path| path.get(notes::list).post(notes::create))
        //~ keyvalue
        .at("/visits", |path| path.post(visits::count))
        //~ events
        .at("/events", |path| path.post(events::publish))
        //~ end
}

fn hello(_request: &mut Request) -> Answer {
    Reply::ok(&"hello from my-service")
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
