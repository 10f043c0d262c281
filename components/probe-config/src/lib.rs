//! The test guest that asks for its configuration, in both versions of `wasi:config`.
//!
//! It tells what it was told or how it was refused.

use sdk::{Request, Response};

#[allow(unsafe_code, unreachable_pub, reason = "generated from wit/")]
mod candidate {
    wit_bindgen::generate!({
        world: "wasi:config/imports@0.2.0-rc.1",
        path: "../../wit/deps/wasi-config",
        generate_all,
    });
}

#[allow(unsafe_code, unreachable_pub, reason = "generated from the text below")]
mod draft {
    wit_bindgen::generate!({
        inline: "
            package probe:config;

            world draft {
                import wasi:config/store@0.2.0-draft-2024-09-27;
            }

            package wasi:config@0.2.0-draft-2024-09-27 {
                interface store {
                    variant error { upstream(string), io(string) }
                    get: func(key: string) -> result<option<string>, error>;
                    get-all: func() -> result<list<tuple<string, string>>, error>;
                }
            }
        ",
        generate_all,
    });
}

sdk::handler!(answer);

fn answer(request: Request) -> Response {
    let Ok(query) = request.query(&["key"]) else {
        return Response::text(400, "the parameter is `key`\n");
    };
    let key = query.get("key").unwrap_or_default();
    let told = match request.path().as_str() {
        "/" => Ok("probe-config\n".to_owned()),
        "/get" => candidate::wasi::config::store::get(key)
            .map(|value| format!("{value:?}"))
            .map_err(|error| format!("{error:?}")),
        "/all" => candidate::wasi::config::store::get_all()
            .map(|all| format!("{all:?}"))
            .map_err(|error| format!("{error:?}")),
        "/draft/get" => {
            draft::wasi::config::store::get(key).map(|value| format!("{value:?}")).map_err(|error| format!("{error:?}"))
        }
        "/draft/all" => {
            draft::wasi::config::store::get_all().map(|all| format!("{all:?}")).map_err(|error| format!("{error:?}"))
        }
        _ => return Response::text(404, "no such behaviour\n"),
    };
    match told {
        Ok(text) => Response::text(200, &text),
        Err(refused) => Response::text(403, &format!("{refused}\n")),
    }
}
