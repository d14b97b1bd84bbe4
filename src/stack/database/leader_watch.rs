//! Notices at once when the leader's process has ended, which silence tells only much later.
//!
//! A connection to the leader's admin side is kept open. When it ends, the leader is called once
//! more: refused, or accepted and ended again (as by a proxy in between), means that nobody is
//! there. A leader that is stopped, slow or cut off keeps its connection or takes a new one, and is
//! judged by its silence alone: only an ended process shortens the wait, so a slow one is not
//! deposed for being slow.

use super::standing::Standing;
use crate::plan::NodePlan;
use crate::target::Role;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Between two looks at who leads, while nobody does or it is this node.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Runs until the process ends.
pub async fn run(plan: NodePlan, standing: Arc<Standing>) {
    let peers = plan.peers_of(Role::Database);
    let addresses: HashMap<&str, SocketAddr> =
        peers.map(|p| (p.name.as_str(), p.dial_admin)).collect();
    if addresses.is_empty() {
        return;
    }
    let patience = plan.settings.database.heartbeat.duration();
    loop {
        let leader = standing.leader().filter(|id| *id != standing.own());
        let address = leader.and_then(|id| addresses.get(standing.name_of(id)?));
        let (Some(leader), Some(address)) = (leader, address) else {
            tokio::time::sleep(LOOK_AGAIN).await;
            continue;
        };
        ended(*address).await;
        match answers(*address, patience).await {
            true => {}
            false if standing.leader() == Some(leader) => {
                standing.leader_ended(leader);
                while standing.leader() == Some(leader) && standing.has_leader_ended() {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            }
            false => {}
        }
    }
}

/// Returns when a connection to this address has ended, or could not be made.
async fn ended(address: SocketAddr) {
    if let Ok(mut stream) = TcpStream::connect(address).await {
        // Nothing is ever asked, so nothing is ever answered.
        let mut byte = [0u8; 1];
        while matches!(stream.read(&mut byte).await, Ok(1)) {}
    }
}

/// Whether a new connection is taken and lasts for a moment.
async fn answers(address: SocketAddr, patience: Duration) -> bool {
    let lasts = async {
        match TcpStream::connect(address).await {
            Ok(mut stream) => matches!(stream.read(&mut [0u8; 1]).await, Ok(1)),
            Err(_) => false,
        }
    };
    // No word within the patience: it is there, whatever it is doing.
    tokio::time::timeout(patience, lasts).await.unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const PATIENCE: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn who_takes_connections_is_there_even_if_it_says_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        assert!(answers(listener.local_addr().unwrap(), PATIENCE).await);
    }

    #[tokio::test]
    async fn who_refuses_or_hangs_up_is_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = tokio::spawn(async move {
            drop(listener.accept().await.unwrap());
        });
        assert!(!answers(address, Duration::from_secs(5)).await);
        proxy.await.unwrap();
        assert!(!answers(address, Duration::from_secs(5)).await);
    }
}
