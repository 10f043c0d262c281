//! Stock that orders reserve and release, called by a service of that name.

use std::thread;

use serde_json::{Value, json};

use crate::harness::{
    Answer, Connection, Host,
    shop::{data, open_folder, refused, with_products_manifest},
};

/// A guest that passes requests on, under the name that may reserve, and under another.
const CALLERS: &str = r#"
[services.orders]
component = "COMPONENTS/probe_net.wasm"
permissions = { call = ["products"] }
[services.somebody]
component = "COMPONENTS/probe_net.wasm"
permissions = { call = ["products"] }
[[routes]]
host = "orders.test"
path = "/proxy"
service = "orders"
[[routes]]
host = "somebody.test"
path = "/proxy"
service = "somebody"
"#;

/// `product` is a path; `caller` the service that asks.
fn ask(host: &Host, caller: &str, product: &str, what: &str, body: &Value) -> Answer {
    let path = format!("/proxy?url=http%3A%2F%2Fproducts.internal{}%2F{what}", product.replace('/', "%2F"));
    let body = body.to_string();
    let mut head = format!("POST {path} HTTP/1.1\r\nhost: {caller}.test\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in host.signed(&[("content-type", "application/json")]) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut connection = Connection::open(host.gateway);
    connection.write(format!("{head}\r\n{body}").as_bytes());
    connection.answer(false).expect("an answer")
}

fn order(number: u32) -> String {
    format!("0190b5a2-7c3e-7d4f-8a1b-{number:012}")
}

#[test]
fn stock_is_taken_and_given_back_once_however_often_it_is_said() {
    let host = Host::running_in(open_folder(), &format!("{}{CALLERS}", with_products_manifest())).for_admin();
    let new = json!({"name": "Tea", "price": 1.5, "inventory": 30});
    let tea = data(&host.json("POST", "/api/products", &new), 201);
    let tea = format!("/api/products/{}", tea["id"].as_str().unwrap());
    let reserve = |number: u32, quantity: u32| {
        ask(&host, "orders", &tea, "reserve", &json!({"quantity": quantity, "orderId": order(number)}))
    };
    let release = |number: u32| ask(&host, "orders", &tea, "release", &json!({"orderId": order(number)}));
    let left = || data(&host.get(&tea), 200)["inventory"].clone();

    // Twenty orders want two each of thirty, and each says so twice at once.
    let statuses: Vec<(u32, u16)> = thread::scope(|scope| {
        let ask = |number| (number, reserve(number, 2).status);
        let asking: Vec<_> = (0..40).map(|n| scope.spawn(move || ask(n % 20))).collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    let served: Vec<u32> = statuses.iter().filter(|(_, status)| *status == 200).map(|(number, _)| *number).collect();
    assert!(statuses.iter().all(|(_, status)| matches!(status, 200 | 409)), "{statuses:?}");
    assert_eq!((served.len(), left()), (30, json!(0)), "{statuses:?}");

    let first = served[0];
    assert_eq!(data(&reserve(first, 2), 200)["inventory"], 0, "the same again changes nothing more");
    refused(&reserve(first, 1), 409, "The order has reserved another quantity of this product");
    refused(&reserve(100, 1), 409, "Insufficient inventory");
    thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(|| assert_eq!(release(first).status, 200)))));
    assert_eq!(left(), 2, "given back once");
    refused(&reserve(first, 2), 409, "The order has released this product");
    data(&release(101), 200);
    refused(&reserve(101, 1), 409, "The order has released this product");
    refused(&reserve(102, 3), 409, "Insufficient inventory");
    assert_eq!(left(), 2, "what is refused changes nothing");
    data(&reserve(102, 2), 200);

    let body = json!({"quantity": 1, "orderId": order(103)});
    refused(&ask(&host, "somebody", &tea, "reserve", &body), 403, "Your token does not allow this");
    let unknown = "/api/products/0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f6071";
    refused(&ask(&host, "orders", unknown, "reserve", &body), 404, "Product not found");
    refused(&reserve(104, 0), 400, "Field `quantity` must be a whole number from 1 to 100000");
}
