//! The admin side of the process that the keeper starts.

use super::*;
use crate::host::http;
use serde_json::{Value, json};

fn ask(admin: SocketAddr, method: &str, path: &str, body: &Value) -> Result<Value, String> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    http::ask(admin, method, path, body.as_bytes(), BOUND)
        .map(|answer| serde_json::from_slice(&answer).unwrap())
        .map_err(|e| e.to_string())
}

/// A port that is free, and stays so for a moment.
fn free() -> SocketAddr {
    std::net::TcpListener::bind(any()).unwrap().local_addr().unwrap()
}

#[test]
fn rules_are_put_listed_and_deleted_over_http() {
    use std::io::{Read, Write};
    let service = std::net::TcpListener::bind(any()).unwrap();
    let (dial, admin) = (free(), free());
    let link = json!({
        "from": "app-1", "to": "database-1", "dial": dial,
        "service": service.local_addr().unwrap(), "round_trip": 0,
    });
    let input = json!({ "links": [link], "admin": admin, "seed": 3 }).to_string();
    std::thread::spawn(move || serve(input.as_bytes()));
    let began = std::time::Instant::now();
    while std::net::TcpStream::connect(admin).is_err() {
        assert!(began.elapsed() < BOUND, "the relay does not come up");
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut client = std::net::TcpStream::connect(dial).unwrap();
    let mut server = service.accept().unwrap().0;
    client.write_all(b"ab").unwrap();
    server.read_exact(&mut [0u8; 2]).unwrap();

    let rule = json!({ "effect": { "effect": "reset" } });
    let body = json!({ "from": "app-1", "to": "database-1", "rule": rule });
    let said = ask(admin, "PUT", "/faults/f%40app-1-%3Edatabase-1", &body).unwrap();
    assert_eq!(said["proof"], "in force on 1 of 1 open connection");
    // It has happened when it is answered.
    let failed = client.read(&mut [0u8; 1]).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::ConnectionReset);
    let listed = ask(admin, "GET", "/faults", &Value::Null).unwrap();
    assert_eq!(listed[0]["hold"], "f@app-1->database-1");
    assert_eq!(listed[0]["rule"]["effect"]["effect"], "reset");
    let counters = ask(admin, "GET", "/counters", &Value::Null).unwrap();
    let expected = json!([{
        "from": "app-1", "to": "database-1", "connects": 1, "open": 0,
        "bytes_there": 2, "bytes_back": 0, "resets": 1, "refused": 0,
    }]);
    assert_eq!(counters, expected);
    let path = "/faults/f%40app-1-%3Edatabase-1";
    let said = ask(admin, "DELETE", path, &Value::Null).unwrap();
    assert_eq!(said["proof"], "1 connection reset");
    assert_eq!(ask(admin, "DELETE", path, &Value::Null).unwrap()["proof"], "");
    assert_eq!(ask(admin, "GET", "/faults", &Value::Null).unwrap(), json!([]));

    for (wrong, expected) in [
        (json!({ "from": "x", "to": "database-1", "rule": rule }), "there are app-1->database-1"),
        (json!({ "from": "app-1" }), "missing field"),
        (
            json!({ "from": "app-1", "to": "database-1",
                "rule": { "share": 1.5, "effect": { "effect": "stall" } } }),
            "write a number from 0 to 1",
        ),
        (
            json!({ "from": "app-1", "to": "database-1",
                "rule": { "effect": { "effect": "bandwidth", "rate": 0 } } }),
            "bytes per second",
        ),
        (
            json!({ "from": "app-1", "to": "database-1",
                "rule": { "effect": { "effect": "slow-close", "delay": u64::MAX } } }),
            "stall the link instead",
        ),
    ] {
        let refused = ask(admin, "PUT", "/faults/wrong", &wrong).unwrap_err();
        assert!(refused.contains(expected), "{refused}");
    }
}
