//! One connection, from its first byte to its last.

use super::link::Connection;
use super::pipe::{Over, Pipe};
use super::rule::Rule;
use super::timer::Timer;
use super::way::Way;
use crate::base::{Nanos, clock};
use crate::fault::Direction;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// Longest wait for the service to take a connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// Carries the connection. It ends as its ends want, or is reset by a rule.
pub async fn carry(
    mut client: TcpStream,
    service: SocketAddr,
    round_trip: Nanos,
    connection: Connection,
) {
    let counts = &connection.link.counts;
    let (mut there, mut back) = (connection.way(Direction::There), connection.way(Direction::Back));
    if let Err(rule) = admit(&mut there, &mut back).await {
        rule.did.resets.add(1);
        counts.resets.add(1);
        return reset(&client);
    }
    let connected = tokio::time::timeout(CONNECT_DEADLINE, TcpStream::connect(service)).await;
    let Ok(Ok(mut service)) = connected else {
        counts.refused.add(1);
        if let Some(rule) = refuse(&mut there, &mut back, round_trip).await {
            rule.did.resets.add(1);
        }
        counts.resets.add(1);
        return reset(&client);
    };
    let _ = client.set_nodelay(true);
    let _ = service.set_nodelay(true);
    let delay = Nanos(round_trip.0 / 2);
    let (client_read, client_write) = client.split();
    let (service_read, service_write) = service.split();
    let there = Pipe::new(client_read, service_write, delay, there, &counts.bytes_there);
    let back = Pipe::new(service_read, client_write, delay, back, &counts.bytes_back);
    if let Err(by) = until_over(there, back).await {
        if let Some(rule) = by {
            rule.did.resets.add(1);
        }
        counts.resets.add(1);
        reset(&client);
        reset(&service);
    }
}

/// Looks at the rules anew: the one that resets the connection, either way.
fn resetting(there: &mut Way, back: &mut Way) -> Option<Rule> {
    there.look(0);
    back.look(0);
    there.reset().or(back.reset()).cloned()
}

/// Waits while the cable is pulled: neither way may be cut for a connection to be made. The rule
/// that resets it is the error.
async fn admit(there: &mut Way, back: &mut Way) -> Result<(), Rule> {
    loop {
        if let Some(rule) = resetting(there, back) {
            return Err(rule);
        }
        if !there.is_parted() && !back.is_parted() {
            return Ok(());
        }
        there.changed().await;
    }
}

/// Returns when the client is to hear that the service does not take it: after a round trip, and
/// when the way back lets it through. The rule is the one that resets it before.
async fn refuse(there: &mut Way, back: &mut Way, round_trip: Nanos) -> Option<Rule> {
    let Ok(mut timer) = Timer::new() else { return None };
    let asked = clock::now();
    loop {
        if let Some(rule) = resetting(there, back) {
            return Some(rule);
        }
        if there.is_silent() || back.is_silent() {
            there.changed().await;
            continue;
        }
        let due = asked + round_trip + there.latency() + back.latency();
        tokio::select! {
            biased;
            () = there.changed() => {}
            _ = timer.until(due) => return None,
        }
    }
}

/// Until both directions have ended; an error when the connection is to be reset, with the rule
/// that wants it, if it is one.
async fn until_over(mut there: Pipe<'_>, mut back: Pipe<'_>) -> Result<(), Option<Rule>> {
    let (mut there_runs, mut back_runs) = (true, true);
    while there_runs || back_runs {
        let (is_there, over) = tokio::select! {
            over = there.run(), if there_runs => (true, over),
            over = back.run(), if back_runs => (false, over),
        };
        let (own, other) = if is_there { (&mut there, &mut back) } else { (&mut back, &mut there) };
        let mut own_runs = false;
        let mut other_runs = if is_there { back_runs } else { there_runs };
        match over {
            Over::Ended => own_runs = !own.is_done(),
            Over::Broken(by) => return Err(by),
            Over::Gone => {
                other.break_off();
                other_runs = true;
            }
        }
        (there_runs, back_runs) =
            if is_there { (own_runs, other_runs) } else { (other_runs, own_runs) };
    }
    Ok(())
}

/// Makes the drop of this socket a RST instead of a FIN.
pub fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}
