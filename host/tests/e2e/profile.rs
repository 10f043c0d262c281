//! A user with their orders, put together by the gateway.

use serde_json::json;

use crate::harness::{
    Host,
    shop::{data, email, member, refused, shop},
};

const UNKNOWN: &str = "/api/users/0190a6f4-1b1e-7c3a-9f00-000000000000/profile";

#[test]
fn a_profile_is_the_user_and_what_of_the_orders_could_be_had() {
    let host = shop("", "");
    let (ada, bob) = (member(&host, &email("ada")), member(&host, &email("bob")));
    let ask =
        |host: &Host, path: &str, authorization: &str| host.send("GET", path, &[("authorization", authorization)], b"");
    let own = format!("{}/profile", ada.path);
    let user = data(&ask(&host, &ada.path, &ada.authorization), 200);
    let answer = ask(&host, &own, &ada.authorization);
    // Nobody answers for the orders: the user is there all the same, and the answer says what is not.
    assert_eq!(data(&answer, 200), json!({"user": user, "orders": [], "partial": ["orders"]}));
    assert_eq!(answer.header("x-service"), None, "no single component answered");

    data(&host.get(&own), 200); // the operator
    assert_eq!(ask(&host, &own, &bob.authorization).status, 403);
    assert_eq!(ask(&host, UNKNOWN, &bob.authorization).status, 403, "whether it exists or not");
    refused(&host.get(UNKNOWN), 404, "User not found");
    assert_eq!(host.get("/api/users/7/profile").status, 400);
    assert_eq!(ask(&host, &own, "Bearer x").status, 401);
    assert_eq!(ask(&host, &own, "").status, 401);
}
