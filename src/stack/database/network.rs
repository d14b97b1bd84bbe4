//! Consensus calls to the other database nodes, over their admin addresses. Every call has a
//! deadline: a stopped peer still accepts connections.

use super::raft::{Types, Vote};
use super::standing::Standing;
use crate::base::clock;
use crate::plan::NodePlan;
use crate::stack::http::Client;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use openraft::error::{InstallSnapshotError, RPCError, RaftError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// When the leader sent this message, on the host's monotonic clock.
pub const SENT_HEADER: &str = "x-brunt-sent-ns";

/// Dials the peers.
#[derive(Clone)]
pub struct Network {
    client: Client,
    addresses: Arc<HashMap<String, SocketAddr>>,
    standing: Arc<Standing>,
    deadline: Duration,
    backoff: Duration,
}

impl Network {
    pub fn new(plan: &NodePlan, standing: Arc<Standing>) -> Network {
        let peers = plan.peers_of(crate::target::Role::Database);
        let addresses = peers.map(|p| (p.name.clone(), p.dial_admin)).collect();
        let settings = &plan.settings.database;
        Network {
            client: Client::new(),
            addresses: Arc::new(addresses),
            standing,
            deadline: settings.peer_deadline.duration(),
            backoff: settings.heartbeat.duration(),
        }
    }

    /// Asks a peer something; `None` when it did not answer, or not with this.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        name: &str,
        path: &str,
        body: Vec<u8>,
        deadline: Duration,
    ) -> Option<T> {
        self.post(name, path, body, deadline).await.ok()
    }

    async fn post<T: DeserializeOwned>(
        &self,
        name: &str,
        path: &str,
        body: Vec<u8>,
        deadline: Duration,
    ) -> io::Result<T> {
        let unknown = || io::Error::other(format!("the plan has no address of {name}"));
        let address = *self.addresses.get(name).ok_or_else(unknown)?;
        let request = Request::post(path)
            .header(SENT_HEADER, clock::now().0)
            .body(Full::new(Bytes::from(body)))
            .expect("a path and a number make a request");
        let answer =
            self.client.call(address, request, deadline).await.map_err(io::Error::other)?;
        if answer.status() != StatusCode::OK {
            let text = format!("{name} answered {} to {path}", answer.status());
            return Err(io::Error::other(text));
        }
        Ok(serde_json::from_slice(answer.body())?)
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: u64, name: &String) -> Link {
        Link { network: self.clone(), peer: target, name: name.clone() }
    }
}

/// The way to one peer.
pub struct Link {
    network: Network,
    peer: u64,
    name: String,
}

impl Link {
    /// All failures are `Unreachable`, so that openraft waits before it tries again.
    async fn call<T: DeserializeOwned, E: std::error::Error>(
        &self,
        path: &str,
        body: Vec<u8>,
        option: &RPCOption,
    ) -> Result<T, RPCError<u64, String, E>> {
        let deadline = self.network.deadline.min(option.hard_ttl());
        self.network
            .post(&self.name, path, body, deadline)
            .await
            .map_err(|e| RPCError::Unreachable(Unreachable::new(&e)))
    }
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("consensus messages are plain data")
}

impl RaftNetwork<Types> for Link {
    async fn append_entries(
        &mut self,
        message: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RPCError<u64, String, RaftError<u64>>> {
        let sent = clock::now();
        let answer = self.call("/raft/append", encode(&message), &option).await?;
        if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
            self.network.standing.accepted(self.peer, sent);
        }
        Ok(answer)
    }

    async fn install_snapshot(
        &mut self,
        mut message: InstallSnapshotRequest<Types>,
        option: RPCOption,
    ) -> Result<
        InstallSnapshotResponse<u64>,
        RPCError<u64, String, RaftError<u64, InstallSnapshotError>>,
    > {
        let data = std::mem::take(&mut message.data);
        let answer: SnapshotAnswer =
            self.call("/raft/snapshot", with_data(&encode(&message), &data), &option).await?;
        match answer {
            SnapshotAnswer::Taken(vote) => Ok(InstallSnapshotResponse { vote }),
            SnapshotAnswer::Refused(error) => Err(RPCError::RemoteError(
                openraft::error::RemoteError::new(self.peer, RaftError::APIError(error)),
            )),
        }
    }

    async fn vote(
        &mut self,
        message: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, RPCError<u64, String, RaftError<u64>>> {
        self.call("/raft/vote", encode(&message), &option).await
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(self.network.backoff))
    }
}

/// What a replica says to a chunk of a snapshot.
#[derive(serde::Serialize, serde::Deserialize)]
pub enum SnapshotAnswer {
    Taken(Vote),
    /// It wants another chunk first.
    Refused(InstallSnapshotError),
}

/// A message's head and its raw bytes, in one body.
fn with_data(head: &[u8], data: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(4 + head.len() + data.len());
    body.extend_from_slice(&(head.len() as u32).to_le_bytes());
    body.extend_from_slice(head);
    body.extend_from_slice(data);
    body
}

/// Splits what [`with_data`] joined.
pub fn split_data(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = body.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_comes_apart_as_it_was_put_together() {
        let body = with_data(b"{}", b"rows");
        assert_eq!(split_data(&body), Some((&b"{}"[..], &b"rows"[..])));
        assert_eq!(split_data(&body[..5]), None);
        assert_eq!(split_data(b"xx"), None);
    }
}
