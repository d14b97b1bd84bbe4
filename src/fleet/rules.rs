//! Levers that a process of the run pulls at itself when it is asked at its admin address: rules of
//! bundled nodes and of the proxy. They live in that process and end with it, so no journal is
//! needed; a node that is started again is told again before it counts as ready.

use super::FleetError;
use super::protocol::Stamp;
use crate::base::clock;
use crate::fault::Lever;
use crate::host::http;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(2);
/// Before a process is asked again.
const AGAIN: Duration = Duration::from_millis(50);

/// One rule and whom to tell.
pub struct Rule {
    /// Its name in the run.
    pub process: String,
    admin: SocketAddr,
    body: String,
    mechanism: &'static str,
}

#[derive(Deserialize)]
struct Said {
    proof: String,
}

impl Rule {
    /// `None` for a lever that is the keeper's. `admins` are the admin addresses by process name,
    /// the relay's among them.
    pub fn of(
        lever: &Lever,
        admins: &BTreeMap<String, SocketAddr>,
    ) -> Option<Result<Rule, FleetError>> {
        let (name, body, mechanism) = match lever {
            Lever::Node { node, rule } => {
                let body = serde_json::to_string(rule).expect("a rule is plain data");
                (node.as_str(), body, "rule in the node")
            }
            Lever::Link { from, to, rule } => {
                let body = serde_json::json!({ "from": from, "to": to, "rule": rule }).to_string();
                (super::RELAY, body, "brunt's proxy")
            }
            _ => return None,
        };
        Some(match admins.get(name) {
            Some(admin) => Ok(Rule { process: name.into(), admin: *admin, body, mechanism }),
            None => {
                let what = format!("a rule for {}", lever.object());
                let why = format!("{name} has no admin address in this run");
                Err(FleetError::Refused { what, why })
            }
        })
    }

    /// In force when this returns.
    pub fn put(&self, hold: &str) -> Result<Stamp, FleetError> {
        self.ask("PUT", hold, self.body.as_bytes())
    }

    /// Not in force when this returns `Ok`: the process took it off, or ended and took it along.
    /// It is asked until then, within the bound.
    pub fn take_off(
        &self,
        hold: &str,
        bound: Duration,
        is_gone: impl Fn() -> bool,
    ) -> Result<Stamp, FleetError> {
        let until = Instant::now() + bound;
        let mut was_absent = false;
        loop {
            match self.delete(hold) {
                // The rule may be on its way still, on a connection that is served a moment later.
                Ok(stamp) if stamp.proof.is_empty() && !was_absent => was_absent = true,
                Ok(stamp) => return Ok(stamp),
                Err(_) if is_gone() => return Ok(self.ended_with_it()),
                Err(e) if Instant::now() >= until => return Err(e),
                Err(_) => {}
            }
            std::thread::sleep(AGAIN);
        }
    }

    fn ended_with_it(&self) -> Stamp {
        let (now, proof) = (clock::now(), format!("ended with {}", self.process));
        Stamp { before: now, after: now, mechanism: self.mechanism.into(), proof }
    }

    pub fn delete(&self, hold: &str) -> Result<Stamp, FleetError> {
        self.ask("DELETE", hold, b"")
    }

    fn ask(&self, method: &str, hold: &str, body: &[u8]) -> Result<Stamp, FleetError> {
        let path = format!("/faults/{}", encoded(hold));
        let refused = |why: String| FleetError::Refused { what: format!("{method} {path}"), why };
        let before = clock::now();
        let answer = http::ask(self.admin, method, &path, body, DEADLINE)
            .map_err(|e| refused(e.to_string()))?;
        let after = clock::now();
        let said: Said = serde_json::from_slice(&answer).map_err(|e| refused(e.to_string()))?;
        Ok(Stamp { before, after, mechanism: self.mechanism.into(), proof: said.proof })
    }
}

/// RFC 3986 §2.1, for one segment of a path.
fn encoded(segment: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    let one = |b: u8| if is_plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    segment.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// Answers one request after the other: with a proof, or by closing.
    fn process(answers: &'static [Option<&str>]) -> (Rule, std::thread::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = listener.local_addr().unwrap();
        let serving = std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = [0; 1024];
                let n = stream.read(&mut head).unwrap();
                assert!(head[..n].starts_with(b"DELETE /faults/f%40a "));
                let Some(proof) = answer else { continue };
                let body = serde_json::json!({ "proof": proof }).to_string();
                let length = body.len();
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
                    .unwrap();
            }
            answers.len()
        });
        let (process, body, mechanism) = ("a".to_string(), String::new(), "rule in the node");
        (Rule { process, admin, body, mechanism }, serving)
    }

    fn taken_off(rule: &Rule, is_gone: bool) -> Result<String, String> {
        let stamp = rule.take_off("f@a", Duration::from_secs(20), || is_gone);
        stamp.map(|s| s.proof).map_err(|e| e.to_string())
    }

    #[test]
    fn a_rule_is_asked_off_until_it_is() {
        let (rule, serving) = process(&[None, None, Some("delayed 3 of 9")]);
        assert_eq!(taken_off(&rule, false), Ok("delayed 3 of 9".into()));
        assert_eq!(serving.join().unwrap(), 3);
    }

    #[test]
    fn one_that_was_not_there_may_have_come_late() {
        let (rule, serving) = process(&[Some(""), Some("delayed 0 of 1")]);
        assert_eq!(taken_off(&rule, false), Ok("delayed 0 of 1".into()));
        assert_eq!(serving.join().unwrap(), 2);
        let (rule, serving) = process(&[Some(""), Some("")]);
        assert_eq!(taken_off(&rule, false), Ok(String::new()));
        assert_eq!(serving.join().unwrap(), 2);
    }

    #[test]
    fn a_rule_is_gone_with_its_process() {
        let (rule, serving) = process(&[None]);
        assert_eq!(taken_off(&rule, true), Ok("ended with a".into()));
        assert_eq!(serving.join().unwrap(), 1);
    }

    #[test]
    fn an_id_is_one_segment() {
        assert_eq!(encoded("slow@app-1->database-1"), "slow%40app-1-%3Edatabase-1");
    }
}
