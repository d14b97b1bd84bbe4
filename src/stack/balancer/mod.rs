//! The balancer role: the public HTTP entry in front of the apps.
//!
//! Apps send heartbeats to its admin side; a member that missed three, or that fails again and
//! again, gets no requests. The core is plain values told the instant ([`members`], [`choice`],
//! [`retry`], [`queue`]); [`table`] shares it between the control thread ([`control`]) and the
//! service threads ([`shard`], [`front`], [`proxy`]), each of which runs alone. It does not keep
//! sessions, cache, or speak TLS.

mod answer;
mod choice;
mod control;
mod front;
mod headers;
mod link;
mod members;
mod proxy;
mod queue;
mod retry;
mod seat;
mod shard;
mod table;
#[cfg(test)]
mod tests;

use super::node::{Node, NodeError, run_sides};
use crate::record::NodeEventKind;
use std::sync::Arc;
use table::Table;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

/// Runs this node until the process ends.
///
/// # Errors
/// When one of its addresses cannot be listened on, or a service thread ends.
pub fn serve(node: Node) -> Result<(), NodeError> {
    let threads = node.plan().threads.max(1) as usize;
    let table = Table::new(&node, threads);
    let service = service(node.clone(), table.clone(), threads);
    let control = control::run(node.clone(), table);
    run_sides(&node, service, control)
}

/// Starts the service threads, tells when all of them listen, and waits for the first to end.
async fn service(node: Node, table: Arc<Table>, threads: usize) -> Result<(), NodeError> {
    let (report, mut reports) = mpsc::channel(2 * threads);
    for index in 0..threads {
        let (node, table, report) = (node.clone(), table.clone(), report.clone());
        std::thread::Builder::new()
            .name(format!("service-{index}"))
            .spawn(move || thread(&node, table, index, &report))
            .expect("a node may start its service threads");
    }
    drop(report);
    for _ in 0..threads {
        reports.recv().await.unwrap_or(Ok(()))?;
    }
    node.emit(NodeEventKind::Ready);
    let what = "a service thread ended".to_string();
    reports.recv().await.unwrap_or(Ok(()))?;
    Err(NodeError::Role { node: node.plan().name.clone(), what })
}

/// One service thread: a runtime, a listener and a shard of its own.
fn thread(
    node: &Node,
    table: Arc<Table>,
    index: usize,
    report: &mpsc::Sender<Result<(), NodeError>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs only an epoll descriptor");
    LocalSet::new().block_on(&runtime, async {
        let listening = front::listen(node);
        let (told, listener) = match listening {
            Ok(listener) => (Ok(()), Some(listener)),
            Err(error) => (Err(error), None),
        };
        let _ = report.send(told).await;
        if let Some(listener) = listener {
            front::run(listener, shard::Shard::new(node, table, index)).await;
        }
    });
}
