//! Where a link's connections come in: one of its addresses, or none while its cable is pulled.

use super::connection::{carry, reset};
use super::deaf::Deaf;
use super::link::Port;
use crate::base::Nanos;
use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;

/// Connections at once on one address; one more is reset.
const CONNECTIONS_MAX: usize = 4096;
const BACKLOG: u32 = 4096;
/// Between two looks at a listener that does not work.
const RETRY_AFTER: Duration = Duration::from_millis(5);

/// With address reuse: a relay that is started again takes its addresses again at once.
///
/// # Errors
/// When the address is taken or not of this machine.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

pub struct Door {
    pub listener: TcpListener,
    pub service: SocketAddr,
    pub round_trip: Nanos,
    pub port: Port,
}

impl Door {
    /// Lets connections in until the process ends.
    pub async fn keep(self) {
        let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut fillers = HashSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.port.link().is_parted(true) => {
                    fillers.extend(self.shut().await);
                    continue;
                }
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((_, peer)) if fillers.remove(&peer) => {}
                Ok((client, _)) => self.let_in(client, &free),
                // Out of descriptors, or the client gave up: neither ends a relay.
                Err(_) => tokio::time::sleep(RETRY_AFTER).await,
            }
        }
    }

    fn let_in(&self, client: TcpStream, free: &Arc<Semaphore>) {
        let Ok(permit) = free.clone().try_acquire_owned() else {
            self.port.link().counts.refused.add(1);
            return reset(&client);
        };
        let connection = self.port.connect();
        let (service, round_trip) = (self.service, self.round_trip);
        tokio::spawn(async move {
            carry(client, service, round_trip, connection).await;
            drop(permit);
        });
    }

    /// Until the link is whole again. The connections that are given are nobody's.
    async fn shut(&self) -> HashSet<SocketAddr> {
        let deaf = Deaf::new(&self.listener);
        self.port.link().is_parted(false).await;
        loop {
            match deaf.hear(BACKLOG) {
                Ok(fillers) => return fillers,
                // The kernel refuses no length of a queue.
                Err(_) => tokio::time::sleep(RETRY_AFTER).await,
            }
        }
    }
}
