//! The least that a load generator can do, for measuring how far brunt is from it: sends the same
//! request on every connection, again as soon as so many bytes have come back as the first answer
//! had. It parses nothing, times nothing and records nothing.
//!
//! `cargo bench --bench bare -- h1 127.0.0.1:8080 64 5` (or `tls`; `h2` has streams: `16x32`)
//! prints the number of answers. `h2` is the h2 crate on one tokio thread, which parses what it must.

use rustix::event::epoll;
use rustls::ClientConnection;
use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bare\r\n\r\n";
/// Most answers between two looks at the clock.
const EVENTS: usize = 64;

/// What is spoken on a connection: bytes in, whole answers out.
trait Wire {
    fn ask(&mut self, stream: &mut TcpStream) -> std::io::Result<()>;
    /// The plain bytes that one look at the socket brought.
    fn take(&mut self, stream: &mut TcpStream, room: &mut [u8]) -> std::io::Result<usize>;
}

struct Plain;

impl Wire for Plain {
    fn ask(&mut self, stream: &mut TcpStream) -> std::io::Result<()> {
        stream.write_all(REQUEST)
    }

    fn take(&mut self, stream: &mut TcpStream, room: &mut [u8]) -> std::io::Result<usize> {
        some(stream.read(room)?)
    }
}

impl Wire for ClientConnection {
    fn ask(&mut self, stream: &mut TcpStream) -> std::io::Result<()> {
        self.writer().write_all(REQUEST)?;
        flush(self, stream)
    }

    fn take(&mut self, stream: &mut TcpStream, room: &mut [u8]) -> std::io::Result<usize> {
        some(self.read_tls(stream)?)?;
        let state = self.process_new_packets().map_err(std::io::Error::other)?;
        let n = state.plaintext_bytes_to_read().min(room.len());
        flush(self, stream)?;
        self.reader().read_exact(&mut room[..n])?;
        Ok(n)
    }
}

fn flush(connection: &mut ClientConnection, stream: &mut TcpStream) -> std::io::Result<()> {
    while connection.wants_write() {
        connection.write_tls(stream)?;
    }
    Ok(())
}

fn some(n: usize) -> std::io::Result<usize> {
    if n == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(n) }
}

struct Connection<W> {
    stream: TcpStream,
    wire: W,
    /// Bytes of the present answer that are here.
    here: usize,
}

/// A connection that has had its first answer, and that answer's length.
fn connect<W: Wire>(address: SocketAddr, mut wire: W) -> Result<(Connection<W>, usize), Failure> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    wire.ask(&mut stream)?;
    let mut room = [0; 16 * 1024];
    let mut length = 0;
    // More than one look: a TLS handshake and its tickets come first. Silence ends the answer.
    loop {
        match wire.take(&mut stream, &mut room) {
            Ok(n) => length += n,
            Err(e) if e.kind() == ErrorKind::WouldBlock && length > 0 => break,
            Err(e) => return Err(e.into()),
        }
        if length > 0 {
            stream.set_read_timeout(Some(Duration::from_millis(5)))?;
        }
    }
    stream.set_nonblocking(true)?;
    Ok((Connection { stream, wire, here: 0 }, length))
}

fn drive<W: Wire>(
    address: SocketAddr,
    connections: usize,
    lasts: Duration,
    wire: impl Fn() -> Result<W, Failure>,
) -> Result<u64, Failure> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut all = Vec::new();
    let mut length = 0;
    for index in 0..connections {
        let (connection, first) = connect(address, wire()?)?;
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&poll, &connection.stream, data, epoll::EventFlags::IN)?;
        length = first;
        all.push(connection);
    }
    let mut room = vec![0; 64 * 1024];
    let mut events = Vec::with_capacity(EVENTS);
    let mut answers = 0;
    let end = Instant::now() + lasts;
    for connection in &mut all {
        connection.wire.ask(&mut connection.stream)?;
    }
    while Instant::now() < end {
        let patience = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), Some(&patience))?;
        for event in &events {
            let connection = &mut all[event.data.u64() as usize];
            connection.here += connection.wire.take(&mut connection.stream, &mut room)?;
            if connection.here >= length {
                connection.here -= length;
                answers += 1;
                connection.wire.ask(&mut connection.stream)?;
            }
        }
    }
    Ok(answers)
}

/// Takes any certificate: the server is this machine's own.
#[derive(Debug)]
struct AnyCertificate(Arc<rustls::crypto::CryptoProvider>);

mod any_certificate {
    use super::AnyCertificate;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};

    impl ServerCertVerifier for AnyCertificate {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}

fn tls_config() -> Result<Arc<rustls::ClientConfig>, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Connections × streams of HTTP/2 with prior knowledge.
async fn drive_h2(
    address: SocketAddr,
    connections: usize,
    streams: usize,
    lasts: Duration,
) -> Result<u64, Failure> {
    let end = Instant::now() + lasts;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = h2::client::handshake(stream).await?;
        tokio::task::spawn_local(connection);
        for _ in 0..streams {
            asking.spawn_local(ask_h2(sender.clone(), end));
        }
    }
    let mut answers = 0;
    while let Some(n) = asking.join_next().await {
        answers += n??;
    }
    Ok(answers)
}

async fn ask_h2(
    mut sender: h2::client::SendRequest<bytes::Bytes>,
    end: Instant,
) -> Result<u64, h2::Error> {
    let mut answers = 0;
    while Instant::now() < end {
        sender = sender.ready().await?;
        let mut request = http::Request::new(());
        *request.uri_mut() = http::Uri::from_static("http://bare/");
        *request.version_mut() = http::Version::HTTP_2;
        let (answer, _) = sender.send_request(request, true)?;
        let mut body = answer.await?.into_body();
        while let Some(piece) = poll_fn(|context| body.poll_data(context)).await {
            let n = piece?.len();
            body.flow_control().release_capacity(n)?;
        }
        answers += 1;
    }
    Ok(answers)
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [kind, address, connections, seconds] = arguments.as_slice() else {
        eprintln!("usage: bare h1|tls|h2 ADDRESS CONNECTIONS[xSTREAMS] SECONDS");
        return Ok(());
    };
    let address: SocketAddr = address.parse()?;
    if !address.ip().is_loopback() {
        return Err("only loopback addresses".into());
    }
    let (connections, streams) = connections.split_once('x').unwrap_or((connections, "1"));
    let (connections, streams) = (connections.parse()?, streams.parse()?);
    let lasts = Duration::from_secs_f64(seconds.parse()?);
    let answers = match kind.as_str() {
        "h1" => drive(address, connections, lasts, || Ok(Plain))?,
        "tls" => {
            let config = tls_config()?;
            let name = rustls::pki_types::ServerName::try_from("localhost")?;
            let wire = || Ok(ClientConnection::new(config.clone(), name.clone())?);
            drive(address, connections, lasts, wire)?
        }
        "h2" => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let set = tokio::task::LocalSet::new();
            set.block_on(&runtime, drive_h2(address, connections, streams, lasts))?
        }
        other => return Err(format!("`{other}` is not h1, tls or h2").into()),
    };
    println!("{answers}");
    Ok(())
}
