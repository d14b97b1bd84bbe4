//! A generator that gets too little CPU says that its numbers may not be believed; it never blames
//! the target.

use brunt::base::Nanos;
use brunt::host::cgroup::Cgroups;
use brunt::host::quota::Quota;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Answers every request at once, on a thread a connection, until the test ends.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: std::net::TcpStream) {
    let mut buffer = [0u8; 16 << 10];
    while let Ok(n) = stream.read(&mut buffer) {
        let asked = buffer[..n].windows(4).filter(|w| w == b"\r\n\r\n").count();
        let answers = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".repeat(asked);
        if n == 0 || stream.write_all(&answers).is_err() {
            return;
        }
    }
}

#[test]
fn a_generator_starved_by_a_cgroup_makes_the_run_invalid_and_blames_itself() {
    let run = format!("test-{}-starved", std::process::id());
    let cgroups = Cgroups::probe(&run);
    assert!(
        cgroups.has_quota(),
        "this test starves brunt by a cgroup's CPU quota, and none is writable here: run it as root \
         (tests/run does), or in a delegated cgroup"
    );
    let group = cgroups.create("generator").unwrap();
    group.set_quota(Quota::new(0.05, Nanos::from_millis(100))).unwrap();
    let attach = group.attach_files().unwrap();
    let url = format!("http://{}/", server());
    let mut command = Command::new(env!("CARGO_BIN_EXE_brunt"));
    command
        .args(["load", &url, "-r", "5000", "-d", "3s", "--json", "--quiet"])
        .args(["--threshold", "response_time: p(99)<200ms"])
        .stdin(Stdio::null());
    // SAFETY: between fork and exec only writes to files that are open already.
    unsafe {
        command.pre_exec(move || {
            for mut file in &attach {
                file.write_all(b"0")?;
            }
            Ok(())
        });
    }
    let output = command.output().unwrap();
    let left = cgroups.remove_all();
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let reasons = summary["reasons"].to_string();
    eprintln!("{reasons}\nstart lag p99 {} ns", summary["start_lag_ns"]["p99"]);
    assert_eq!(output.status.code(), Some(4), "{summary}");
    assert_eq!(summary["verdict"], "invalid");
    assert!(reasons.contains("generator"), "{reasons}");
    assert_eq!(left, Vec::<String>::new());
}
