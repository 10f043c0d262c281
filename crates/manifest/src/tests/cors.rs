//! What a manifest may say of pages of other origins.

use ::gateway::cors::RouteCors;

use super::*;

#[test]
fn cors_is_for_the_whole_gateway_and_a_route_has_its_own_or_none() {
    let text = format!(
        "[cors]\norigins = ['https://app.example', 'https://*.example']\ncredentials = true\n{SERVICE}\
         [[routes]]\npath = '/'\npublic = true\nservice = 'a'\n\
         [[routes]]\npath = '/off'\npublic = true\nservice = 'a'\ncors = false\n\
         [[routes]]\npath = '/own'\npublic = true\nservice = 'a'\ncors = {{ origins = ['*'], methods = ['GET'] }}\n"
    );
    let manifest = loaded(&text, &[]).manifest;
    assert!(manifest.gateway.cors.is_some());
    let [whole, off, own] = &manifest.routes[..] else { panic!("{:?}", manifest.routes) };
    assert_eq!((&whole.cors, &off.cors), (&RouteCors::Gateways, &RouteCors::Off));
    assert!(matches!(own.cors, RouteCors::Own(_)));
    assert_eq!(loaded("", &[]).manifest.gateway.cors, None);
}

#[test]
fn mistakes_of_cors_are_told_with_their_keys() {
    check(
        "[cors]\norigins = ['app.example', 'https://app.example/']\nmethods = ['get']\nheaders = ['a b']\nmax_age = '25h'\n",
        &[
            "3:12 cors.origins[0]: `app.example` has no scheme; write `https://app.example`",
            "3:27 cors.origins[1]: `https://app.example/` has a path; an origin is only `https://app.example`",
            "4:11 cors.methods: `get` is no method; methods are written in capitals, such as `GET`",
            "5:12 cors.headers[0]: `a b` is no name of a header",
            "6:11 cors.max_age: max_age is 25h; it must be 0s to 24h",
        ],
    );
    check(
        "[cors]\norigins = ['*']\ncredentials = true\n",
        &[
            "4:15 cors.credentials: `credentials = true` with the origin `*` would let any page act as whoever visits it; \
             name the origins",
        ],
    );
}
