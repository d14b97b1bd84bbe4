//! One TLS session over bytes: what the socket gave goes in, plaintext comes out, and the other
//! way round. It never touches a socket.
//!
//! rustls' unbuffered interface: no buffer is kept per connection but the part of a record that has
//! not come yet, so that an idle connection costs its keys and little more.

use super::tls_config::TlsClient;
use rustls::Error;
use rustls::client::UnbufferedClientConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};

/// How often a session may be asked to go on for one piece of input; each turn takes a record or
/// yields one, and the smallest record is 5 bytes.
const TURNS_MAX: usize = 1 << 16;

pub(in crate::generator) struct Tls {
    session: UnbufferedClientConnection,
    /// What the socket gave and no whole record took.
    held: Vec<u8>,
    /// What must go out before anything else.
    outgoing: Vec<u8>,
    /// Plaintext that came with the handshake.
    early: Vec<u8>,
    is_open: bool,
    has_ended: bool,
    /// Must not be asked for anything again.
    is_failed: bool,
}

impl Tls {
    /// # Errors
    /// When the session cannot be made.
    pub fn new(client: &TlsClient, address: u32) -> Result<Tls, Error> {
        let session = UnbufferedClientConnection::new(client.config.clone(), client.name(address))?;
        let mut tls = Tls {
            session,
            held: Vec::new(),
            outgoing: Vec::new(),
            early: Vec::new(),
            is_open: false,
            has_ended: false,
            is_failed: false,
        };
        tls.advance(&mut [], |_| {})?;
        Ok(tls)
    }

    /// Whether the handshake is over and requests may be sent.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether the server said that nothing more will come.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    pub fn speaks_http2(&self) -> bool {
        self.session.alpn_protocol() == Some(b"h2")
    }

    /// Bytes of an incomplete record; they come first in the next piece.
    pub fn held(&self) -> &[u8] {
        &self.held
    }

    /// Takes what the socket gave, [`Tls::held`] first; hands on plaintext.
    ///
    /// # Errors
    /// When the other side does not speak TLS as it must. [`Tls::take_outgoing`] may then have an
    /// alert for it.
    pub fn take(&mut self, piece: &mut [u8], plain: impl FnMut(&[u8])) -> Result<(), Error> {
        let used = self.advance(piece, plain)?;
        self.held.clear();
        self.held.extend_from_slice(&piece[used..]);
        Ok(())
    }

    /// As [`Tls::take`], during the handshake: plaintext is kept until it is asked for.
    ///
    /// # Errors
    /// As [`Tls::take`].
    pub fn shake_hands(&mut self, piece: &mut [u8]) -> Result<(), Error> {
        let mut early = std::mem::take(&mut self.early);
        let result = self.take(piece, |bytes| early.extend_from_slice(bytes));
        self.early = early;
        result
    }

    /// Moves plaintext that came with the handshake into `buffer`; says how much.
    pub fn take_early(&mut self, buffer: &mut [u8]) -> usize {
        let n = self.early.len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.early[..n]);
        self.early.drain(..n);
        n
    }

    /// Moves what must be sent to the end of `out`.
    pub fn take_outgoing(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.outgoing);
    }

    /// Encrypts to the end of `out`.
    ///
    /// # Errors
    /// When the session cannot send any more.
    pub fn encrypt(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        if self.is_failed || !self.is_open {
            return Err(Error::HandshakeNotComplete);
        }
        let UnbufferedStatus { discard, state } = self.session.process_tls_records(&mut self.held);
        let ConnectionState::WriteTraffic(mut traffic) = state? else {
            return Err(Error::HandshakeNotComplete);
        };
        // A record holds 16 KiB and adds fewer than 32 bytes.
        let room = plain.len() + 32 * (plain.len() / 16_384 + 1);
        let result = fill(out, room, |space| {
            traffic.encrypt(plain, space).map_err(|error| match error {
                EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => {
                    Some(required_size)
                }
                EncryptError::EncryptExhausted => None,
            })
        });
        self.held.drain(..discard);
        result
    }

    /// Writes the alert that ends our side to the end of `out`, if the session can.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if self.is_failed || !self.is_open {
            return;
        }
        let UnbufferedStatus { state, .. } = self.session.process_tls_records(&mut self.held);
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = state {
            let _ = fill(out, 64, |space| traffic.queue_close_notify(space).map_err(|_| None));
        }
    }

    /// Lets the session work through `piece`; says how much of it is used up.
    fn advance(&mut self, piece: &mut [u8], mut plain: impl FnMut(&[u8])) -> Result<usize, Error> {
        let mut used = 0;
        for _ in 0..TURNS_MAX {
            let UnbufferedStatus { discard, state } =
                self.session.process_tls_records(&mut piece[used..]);
            used += discard;
            let is_done = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        used += record.discard;
                        plain(record.payload);
                    }
                    false
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    fill(&mut self.outgoing, 1024, |space| {
                        data.encode(space).map_err(|error| match error {
                            EncodeError::InsufficientSize(e) => Some(e.required_size),
                            EncodeError::AlreadyEncoded => None,
                        })
                    })?;
                    false
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    false
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.has_ended = true;
                    false
                }
                Ok(ConnectionState::WriteTraffic(_)) => {
                    self.is_open = true;
                    true
                }
                Ok(_) => true,
                Err(error) => {
                    self.is_failed = true;
                    self.collect_alert(&mut piece[used..]);
                    return Err(error);
                }
            };
            if is_done {
                return Ok(used);
            }
        }
        Err(Error::General("a piece of input has no end".into()))
    }

    /// The session has failed: what it has to say about that is kept to be sent.
    fn collect_alert(&mut self, rest: &mut [u8]) {
        let state = self.session.process_tls_records(rest).state;
        if let Ok(ConnectionState::EncodeTlsData(mut data)) = state {
            let _ = fill(&mut self.outgoing, 64, |space| data.encode(space).map_err(|_| None));
        }
    }
}

/// Has `write` fill space at the end of `out`: at first `room` bytes, then what it says it needs.
fn fill(
    out: &mut Vec<u8>,
    room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> Result<(), Error> {
    let from = out.len();
    out.resize(from + room, 0);
    let mut result = write(&mut out[from..]);
    if let Err(Some(needed)) = result {
        out.resize(from + needed, 0);
        result = write(&mut out[from..]);
    }
    out.truncate(from + result.unwrap_or(0));
    result.map(|_| ()).map_err(|_| Error::General("a record cannot be written".into()))
}
