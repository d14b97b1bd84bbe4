//! A worker process: the hidden command `__worker`, which brunt starts by itself. It does what its
//! plan says with the same workers as brunt's own threads, and tells brunt over a socket.

use super::courier::Whose;
use super::crew::WorkerPlan;
use super::frames::{FromWorker, Inbox, ToWorker, encode};
use super::gauges::Gauges;
use super::team::{Stop, Team};
use crate::base::Nanos;
use crate::record::Snapshot;
use std::io::{self, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// Where brunt puts the socket and the page of gauges.
const SOCKET: i32 = 0;
const GAUGES: i32 = 1;

/// Runs a worker process to its end. `cli` calls this before it starts any thread.
pub fn main() -> ExitCode {
    // SAFETY: brunt put them there for us alone; anything else is refused before it is used.
    let (socket, page) = unsafe { (OwnedFd::from_raw_fd(SOCKET), OwnedFd::from_raw_fd(GAUGES)) };
    let is_socket = rustix::net::sockopt::socket_type(&socket).is_ok();
    let gauges = match Gauges::map(page) {
        Ok(gauges) if is_socket => Arc::new(gauges),
        _ => {
            eprintln!("worker: brunt starts this by itself; it is not for use by hand");
            return ExitCode::FAILURE;
        }
    };
    match work(UnixStream::from(socket), &gauges) {
        Ok(()) => ExitCode::SUCCESS,
        // brunt has gone, and with it whoever could be told.
        Err(_) => ExitCode::FAILURE,
    }
}

fn work(mut socket: UnixStream, gauges: &Arc<Gauges>) -> io::Result<()> {
    let mut inbox = Inbox::default();
    let Some(ToWorker::Plan(plan)) = inbox.wait(&mut socket)? else { return Ok(()) };
    let (sink, snapshots) = std::sync::mpsc::channel();
    let prepared = plan.read::<WorkerPlan>().map_err(|e| e.to_string()).and_then(|plan| {
        Team::prepare(vec![plan], gauges, Whose::Worker, sink).map_err(|e| e.to_string())
    });
    let team = match prepared {
        Ok(team) => team,
        Err(why) => return say(&mut socket, &FromWorker::Ended(Err(why))),
    };
    say(&mut socket, &FromWorker::Ready)?;
    let Some(ToWorker::Begin(epoch)) = inbox.wait(&mut socket)? else { return Ok(()) };
    generate(socket, inbox, team, epoch, &snapshots)
}

fn generate(
    mut socket: UnixStream,
    inbox: Inbox,
    team: Team,
    epoch: Nanos,
    snapshots: &Receiver<Snapshot>,
) -> io::Result<()> {
    team.begin(epoch);
    let (ear, stop) = (socket.try_clone()?, team.stopper());
    std::thread::Builder::new()
        .name("brunt-ear".into())
        .spawn(move || listen(ear, inbox, &stop))?;
    for snapshot in snapshots {
        say(&mut socket, &FromWorker::Snapshot(Box::new(snapshot)))?;
    }
    let ended = team.join().map_err(|e| e.to_string());
    say(&mut socket, &FromWorker::Ended(ended))
}

/// Hears brunt's wish to stop. Without brunt the process has no reason to be.
fn listen(mut socket: UnixStream, mut inbox: Inbox, stop: &Stop) {
    while let Ok(Some(ToWorker::Stop)) = inbox.wait(&mut socket) {
        stop.now();
    }
    std::process::exit(1)
}

fn say(socket: &mut UnixStream, what: &FromWorker) -> io::Result<()> {
    socket.write_all(&encode(what)?)
}
