//! Drives a generator against an address and prints what it cost, for measuring brunt beside other
//! tools: `cargo bench --bench load -- 127.0.0.1:8080 closed:64 5` or `open:10000`, `poisson:10000`.

use brunt::base::{Histogram, Nanos, clock};
use brunt::plan::{Arrivals, LoadPlan, PhasePlan, Protocol, RequestPlan, RoutePlan, TlsPlan};
use brunt::record::{Ledger, Tag};
use std::net::SocketAddr;

fn plan(address: SocketAddr, arrivals: Arrivals, rate: f64, seconds: u64) -> LoadPlan {
    let phase = PhasePlan::level("main", Nanos::ZERO, Nanos::from_secs(seconds), rate);
    let request = RequestPlan::get("root", &address.to_string(), "/");
    LoadPlan {
        shards: 64,
        connections_max: 256,
        ..LoadPlan::new(arrivals, vec![phase], vec![request], vec![RoutePlan::Fixed(address)])
    }
}

/// `BRUNT_BENCH=tls`, `h2:16x32` or `h2s:16x32` (connections × streams): what is spoken.
fn speak(load: &mut LoadPlan) {
    let Ok(spoken) = std::env::var("BRUNT_BENCH") else { return };
    let (name, shape) = spoken.split_once(':').unwrap_or((&spoken, ""));
    if name != "h2" {
        load.transport.tls = Some(TlsPlan::default());
    }
    if let Some((connections, streams)) = shape.split_once('x') {
        load.transport.protocol = Protocol::Http2;
        load.connections_max = connections.parse().expect("connections");
        load.transport.http2.streams_max = streams.parse().expect("streams");
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [address, mode, seconds, rest @ ..] = arguments.as_slice() else {
        eprintln!(
            "usage: load ADDRESS closed:CONNECTIONS|open:RATE|poisson:RATE SECONDS [WORKERS [CPU]]"
        );
        return;
    };
    let (kind, number) = mode.split_once(':').expect("KIND:NUMBER");
    let rate: f64 = number.parse().expect("a number");
    let arrivals = match kind {
        "closed" => Arrivals::Closed { connections: rate as u32, think: Nanos::ZERO },
        "poisson" => Arrivals::Poisson,
        _ => Arrivals::Constant,
    };
    let seconds = seconds.parse().expect("seconds");
    let mut load = plan(address.parse().expect("an address"), arrivals, rate, seconds);
    speak(&mut load);
    let (sink, snapshots) = std::sync::mpsc::channel();
    let epoch = clock::now() + Nanos::from_millis(10);
    let workers = rest.first().map_or(1, |n| n.parse().expect("workers"));
    let cpus: Vec<u32> = rest.iter().skip(1).map(|n| n.parse().expect("a cpu")).collect();
    let generator = brunt::generator::start(load, workers, &cpus, epoch, sink).expect("a load");
    let (mut ledger, mut times) = (Ledger::default(), [const { None::<Histogram> }; 4]);
    let mut worker_cpu = std::collections::BTreeMap::new();
    for snapshot in snapshots {
        snapshot.cells.iter().for_each(|cell| ledger.add(&cell.ledger));
        worker_cpu.insert(snapshot.worker, snapshot.cpu);
        for (tag, histogram) in &snapshot.histograms {
            let at = match tag {
                Tag::Response { .. } => 0,
                Tag::Service { .. } => 1,
                Tag::StartLag => 2,
                Tag::ConnectionWait => 3,
                Tag::PlannedGap | Tag::DueGap | Tag::Hiccup => continue,
            };
            times[at].get_or_insert_default().merge(histogram);
        }
    }
    generator.join().expect("every worker ended");
    let cpu: f64 = worker_cpu.values().map(|n| n.as_secs_f64()).sum();
    println!("{ledger:?}");
    println!(
        "{:.0}/s; worker CPU {cpu:.2} s, {:.0} requests per CPU-second; process CPU {}",
        ledger.ok as f64 / seconds as f64,
        ledger.ok as f64 / cpu,
        clock::process_cpu()
    );
    for (name, histogram) in ["response", "service", "start_lag", "wait"].iter().zip(&times) {
        let Some(histogram) = histogram else { continue };
        let at = |q| Nanos(histogram.hdr().value_at_quantile(q));
        println!("{name:10} p50 {} p99 {} p99.9 {} max {}", at(0.5), at(0.99), at(0.999), at(1.0));
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or(""));
}
