//! Connections being made, from the point of view of the requests that they are made for.

use super::connections::connect_cause;
use super::requests::{Key, NONE};
use super::worker::Worker;
use crate::base::Nanos;
use crate::record::{Cause, Outcome};

impl Worker {
    /// Opens a connection for a request that cannot have an idle one.
    pub(super) fn connect(&mut self, key: Key) {
        let Some(request) = self.requests.get(key) else { return };
        let address = self.load.routes.current(request.route as usize);
        let now = self.now();
        match self.connections.connect(self.pacer.epoll(), address, key, now) {
            Ok(connection) => {
                if let Some(request) = self.requests.get_mut(key) {
                    request.connection = connection;
                }
            }
            Err(errno) => self.fail(key, connect_cause(errno)),
        }
    }

    /// Something happened on a connection that is being made for a request.
    pub(super) fn go_on_connecting(&mut self, connection: u32, key: Key, is_ending: bool) {
        match self.connections.go_on_connecting(self.pacer.epoll(), connection, is_ending) {
            Ok(false) => {}
            Ok(true) => {
                self.send(key, connection, self.now());
                if self.connections.get(connection).session.is_some() {
                    self.connections.list_shared(connection);
                }
                // Requests may wait for this one, or for their turn to have one made.
                if !self.waiting.is_empty() {
                    self.serve_waiting();
                }
            }
            Err(cause) => self.give_up_connecting(connection, key, cause),
        }
    }

    /// Gives up the connections that are not there within the connect time-out.
    pub(super) fn expire_connecting(&mut self, now: Nanos) {
        while let Some((connection, key)) = self.connections.overdue(now) {
            self.give_up_connecting(connection, key, Cause::ConnectTimeout);
        }
    }

    fn give_up_connecting(&mut self, connection: u32, key: Key, cause: Cause) {
        self.connections.close(connection);
        if let Some(request) = self.requests.get_mut(key) {
            request.connection = NONE;
        }
        self.fail(key, cause);
        self.serve_waiting();
    }

    pub(super) fn fail(&mut self, key: Key, cause: Cause) {
        let now = self.now();
        self.finish(key, Outcome::TransportError, Some(cause), now);
    }
}
