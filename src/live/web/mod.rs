//! The live view for browsers and machines: `/` is a page that asks for `/live.json` once a second,
//! `/metrics` is for Prometheus. One thread, asleep while nobody asks, and it only ever reads.

mod metrics;
mod shown;

use crate::base::Nanos;
use crate::host::affinity;
use crate::run::{Progress, StudyNow, Watcher};
use crate::stack::http::serve;
use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use http_body_util::Full;
use shown::State;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Serves from when it is made until it is dropped.
pub struct Web {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    /// # Errors
    /// When the address is taken or not of this machine.
    pub fn listen(address: SocketAddr, page: String) -> io::Result<Web> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::default()));
        let (stop, stopped) = oneshot::channel();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let page = Bytes::from(page);
        let seen = state.clone();
        let thread = std::thread::Builder::new().name("dashboard".into()).spawn(move || {
            // As the generator: never on the target's cores.
            if let Ok(cores) = affinity::own() {
                let _ = affinity::pin_self(&affinity::split(&cores).brunt);
            }
            runtime.block_on(async move {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                let handler = move |request: http::Request<hyper::body::Incoming>| {
                    let answer = answer(request.method(), request.uri().path(), &page, &seen);
                    async move { answer }
                };
                tokio::select! {
                    () = serve(listener, handler) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Web { address, state, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens; the port is never 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(|e| e.into_inner()));
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Watcher for Web {
    fn progress(&mut self, progress: &Progress) {
        self.change(|state| state.progress(progress));
    }

    fn note(&mut self, at: Nanos, text: &str) {
        self.change(|state| state.note(Some(at), text));
    }

    fn study(&mut self, now: &StudyNow) {
        self.change(|state| state.study(now));
    }

    fn say(&mut self, text: &str) {
        self.change(|state| state.say(text));
    }
}

fn answer(
    method: &Method,
    path: &str,
    page: &Bytes,
    state: &Mutex<State>,
) -> Response<Full<Bytes>> {
    // A copy: the conductor does not wait until it is written out.
    let state = || state.lock().unwrap_or_else(|e| e.into_inner()).clone();
    let (status, kind, body) = match (method, path) {
        (&Method::GET | &Method::HEAD, "/") => {
            (StatusCode::OK, "text/html; charset=utf-8", page.clone())
        }
        (&Method::GET | &Method::HEAD, "/live.json") => {
            (StatusCode::OK, "application/json", state().json().into())
        }
        (&Method::GET | &Method::HEAD, "/metrics") => {
            (StatusCode::OK, metrics::CONTENT_TYPE, metrics::text(state().run()).into())
        }
        (&Method::GET | &Method::HEAD, "/favicon.ico") => {
            (StatusCode::NO_CONTENT, "image/x-icon", Bytes::new())
        }
        (&Method::GET | &Method::HEAD, _) => (
            StatusCode::NOT_FOUND,
            "text/plain; charset=utf-8",
            Bytes::from_static(b"there are /, /live.json and /metrics\n"),
        ),
        _ => (
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain; charset=utf-8",
            Bytes::from_static(b"this only shows: use GET\n"),
        ),
    };
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::block::tests::state;
    use std::io::{Read, Write};

    /// Status line, head and body.
    fn asked(web: &Web, line: &str) -> (String, String) {
        let mut stream = std::net::TcpStream::connect(web.address()).unwrap();
        write!(stream, "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.to_string(), body.to_string())
    }

    fn web() -> Web {
        Web::listen("127.0.0.1:0".parse().unwrap(), "<p>page".into()).unwrap()
    }

    #[test]
    fn a_browser_gets_the_page_and_how_it_stands() {
        let mut web = web();
        let (head, body) = asked(&web, "GET /");
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/html"), "{head}");
        assert_eq!(body, "<p>page");
        let (_, body) = asked(&web, "GET /live.json");
        assert!(body.contains("\"run\":null"), "{body}");
        web.progress(&state(24));
        web.note(Nanos::from_secs(24), "app-1 fell silent");
        let (head, body) = asked(&web, "GET /live.json");
        assert!(head.contains("no-store"), "{head}");
        let json: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(json["run"]["target"], "horizontal", "{body}");
        assert_eq!(json["notes"][0]["text"], "app-1 fell silent");
        let (head, body) = asked(&web, "GET /metrics");
        assert!(
            head.contains("version=0.0.4") && body.contains("brunt_in_flight_requests 7\n"),
            "{body}"
        );
        assert!(asked(&web, "GET /etc/passwd").0.starts_with("HTTP/1.1 404"));
        assert!(asked(&web, "POST /live.json").0.starts_with("HTTP/1.1 405"));
    }

    #[test]
    fn an_address_that_is_taken_is_refused() {
        let first = web();
        assert!(Web::listen(first.address(), String::new()).is_err());
    }
}
