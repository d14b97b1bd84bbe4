//! Whether a service of the user's own serves: asked in its own protocol, again and again, never
//! taken for granted after some time.

use super::ready::{ATTEMPT_BOUND, accepts, status_of};
use crate::host::heal::RUN_VARIABLE;
use crate::target::Ready;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A command that does not end by then says no.
const COMMAND_BOUND: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub struct Readiness {
    pub address: SocketAddr,
    pub by: Ready,
    pub within: Duration,
    /// A command bears the run's id, as all that a run starts.
    pub run: String,
}

impl Readiness {
    /// Right now.
    pub fn holds(&self) -> bool {
        match &self.by {
            Ready::Tcp(_) => accepts(self.address),
            Ready::Http(path) => {
                status_of(self.address, path).is_ok_and(|s| (200..400).contains(&s))
            }
            Ready::Resp(command) => self.answers(command).unwrap_or(false),
            Ready::Command(command) => self.succeeds(command).unwrap_or(false),
        }
    }

    /// For people: what is asked.
    pub fn words(&self) -> String {
        match &self.by {
            Ready::Tcp(_) => format!("a connection to {}", self.address),
            Ready::Http(path) => format!("GET {path} at {}", self.address),
            Ready::Resp(command) => format!("{command} at {}", self.address),
            Ready::Command(command) => format!("`{}`", command.join(" ")),
        }
    }

    fn answers(&self, command: &str) -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&self.address, ATTEMPT_BOUND)?;
        stream.set_read_timeout(Some(ATTEMPT_BOUND))?;
        stream.set_write_timeout(Some(ATTEMPT_BOUND))?;
        let words: Vec<&str> = command.split_whitespace().collect();
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(request.as_bytes())?;
        let mut first = [0u8; 1];
        stream.read_exact(&mut first)?;
        Ok(b"+:$*_#,(%~".contains(&first[0]))
    }

    fn succeeds(&self, command: &[String]) -> std::io::Result<bool> {
        let Some((program, arguments)) = command.split_first() else { return Ok(false) };
        let mut child = Command::new(program)
            .args(arguments)
            .env(RUN_VARIABLE, &self.run)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let until = Instant::now() + COMMAND_BOUND;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status.success());
            }
            if Instant::now() > until {
                child.kill()?;
                child.wait()?;
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn readiness(by: Ready, address: SocketAddr) -> Readiness {
        Readiness { address, by, within: Duration::from_secs(1), run: "test".into() }
    }

    /// What is asked of a server that answers one connection with this.
    fn ask(by: Ready, answer: &'static str) -> (bool, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut request = [0u8; 1024];
            let n = stream.read(&mut request).unwrap();
            let _ = stream.write_all(answer.as_bytes());
            String::from_utf8_lossy(&request[..n]).into_owned()
        });
        let holds = readiness(by, address).holds();
        (holds, server.join().unwrap())
    }

    #[test]
    fn each_protocol_is_spoken() {
        let http = || Ready::Http("/up".into());
        let (holds, asked) = ask(http(), "HTTP/1.1 204 No Content\r\n\r\n");
        assert!(holds && asked.starts_with("GET /up HTTP/1.1\r\n"), "{asked}");
        assert!(!ask(http(), "HTTP/1.1 503 Service Unavailable\r\n\r\n").0);
        let (holds, asked) = ask(Ready::Resp("PING".into()), "+PONG\r\n");
        assert_eq!((holds, asked.as_str()), (true, "*1\r\n$4\r\nPING\r\n"));
        assert!(!ask(Ready::Resp("PING".into()), "-LOADING data\r\n").0);
    }

    #[test]
    fn who_does_not_listen_is_not_ready() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for by in [Ready::Tcp(true), Ready::Http("/".into()), Ready::Resp("PING".into())] {
            assert!(!readiness(by, free).holds());
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(readiness(Ready::Tcp(true), listener.local_addr().unwrap()).holds());
    }

    #[test]
    fn a_command_is_ready_when_it_ends_well() {
        let address = "127.0.0.1:1".parse().unwrap();
        let by = |text: &str| Ready::Command(vec!["/bin/sh".into(), "-c".into(), text.into()]);
        assert!(readiness(by("exit 0"), address).holds());
        assert!(!readiness(by("exit 3"), address).holds());
        assert!(!readiness(Ready::Command(vec!["/no/such".into()]), address).holds());
    }
}
