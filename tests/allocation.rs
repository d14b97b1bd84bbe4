//! The steady loop of the generator allocates nothing per request.
//!
//! Every allocation of the process is counted by the name of its thread; what the workers allocate
//! between two instants of a run may not grow with the requests between them. What is left is
//! bounded by the number of snapshots: a channel's block, and lists that reach their lasting size.

use brunt::base::{Nanos, clock};
use brunt::plan::{Arrivals, LoadPlan, PhasePlan, RequestPlan, RoutePlan, ValueKind, ValuePlan};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

const WORKER: &str = "brunt-load-";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
/// Requests of a run before the counting begins, and while it lasts.
const WARM_UP: u64 = 20_000;
const COUNTED: u64 = 50_000;
/// Allocations allowed per snapshot of the counted stretch: one channel block in 31 messages, and
/// the doublings of a few lists.
const PER_SNAPSHOT: u64 = 4;
/// Allowed once: a machine that stalls makes queues longer than ever before, which double for it.
const ONCE: u64 = 100;

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
/// One run at a time: the counters are the process's.
static ALONE: Mutex<()> = Mutex::new(());

thread_local! {
    /// Whether this is a worker's thread: not known yet, no, yes.
    static IS_WORKER: Cell<Option<bool>> = const { Cell::new(None) };
}

struct Counting;

// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: as the caller promised.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn note() {
    if IS_COUNTING.load(Ordering::Relaxed) && is_worker() {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

/// Asks the kernel for the thread's name, which allocates nothing, once per thread.
fn is_worker() -> bool {
    let known = IS_WORKER.try_with(Cell::get).unwrap_or(Some(false));
    known.unwrap_or_else(|| {
        let mut name = [0u8; 16];
        // SAFETY: PR_GET_NAME writes at most sixteen bytes, which is what there is.
        let result = unsafe { nix::libc::prctl(nix::libc::PR_GET_NAME, name.as_mut_ptr()) };
        let is = result == 0 && name.starts_with(WORKER.as_bytes());
        let _ = IS_WORKER.try_with(|known| known.set(Some(is)));
        is
    })
}

/// Answers every request of every connection, a thread each.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let (mut piece, mut ending) = ([0; 4096], 0);
    while let Ok(n @ 1..) = stream.read(&mut piece) {
        for byte in &piece[..n] {
            // Requests have no body: each ends with the first empty line.
            ending = match (ending, byte) {
                (0 | 2, b'\r') | (1 | 3, b'\n') => ending + 1,
                (_, b'\r') => 1,
                _ => 0,
            };
            if ending == 4 {
                ending = 0;
                if stream.write_all(ANSWER).is_err() {
                    return;
                }
            }
        }
    }
}

fn plan(arrivals: Arrivals, rate: f64) -> LoadPlan {
    let phase = PhasePlan::level("main", Nanos::ZERO, Nanos::from_secs(60), rate);
    let fixed = RequestPlan::get("root", "test", "/");
    let mut drawn = RequestPlan::get("video", "test", "/videos/{video}?of={kind}");
    drawn.headers = vec![("Idempotency-Key".into(), "{id}".into())];
    let kinds = ValueKind::Choice { of: vec!["new".into(), "old".into()] };
    LoadPlan {
        connections_max: 16,
        values: vec![
            ValuePlan { name: "video".into(), kind: ValueKind::Zipf { n: 1000, exponent: 1.0 } },
            ValuePlan { name: "kind".into(), kind: kinds },
            ValuePlan { name: "id".into(), kind: ValueKind::WriteId },
        ],
        ..LoadPlan::new(arrivals, vec![phase], vec![fixed, drawn], vec![RoutePlan::Fixed(server())])
    }
}

/// Allocations of the workers while at least [`COUNTED`] requests ended, and snapshots meanwhile.
fn count(load: LoadPlan) -> (u64, u64) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (sink, snapshots) = std::sync::mpsc::channel();
    let epoch = clock::now() + Nanos::from_millis(5);
    let generator = brunt::generator::start(load, 2, &[], epoch, sink).expect("a load");
    let (mut ended, mut counted_from, mut n_snapshots) = (0, None, 0);
    for snapshot in snapshots {
        ended += snapshot.cells.iter().map(|cell| cell.ledger.ok).sum::<u64>();
        match counted_from {
            None if ended >= WARM_UP => {
                ALLOCATIONS.store(0, Ordering::Relaxed);
                IS_COUNTING.store(true, Ordering::Relaxed);
                counted_from = Some(ended);
            }
            Some(from) if ended - from >= COUNTED => break,
            Some(_) => n_snapshots += 1,
            None => {}
        }
    }
    IS_COUNTING.store(false, Ordering::Relaxed);
    assert!(counted_from.is_some_and(|from| ended - from >= COUNTED), "only {ended} requests");
    generator.stop();
    generator.join().expect("every worker ended");
    (ALLOCATIONS.load(Ordering::Relaxed), n_snapshots + 2)
}

fn check(load: LoadPlan) {
    let (allocations, snapshots) = count(load);
    let allowed = PER_SNAPSHOT * snapshots + ONCE;
    assert!(
        allocations <= allowed,
        "{allocations} allocations in {snapshots} snapshots, {COUNTED} requests or more; {allowed} allowed"
    );
}

#[test]
fn a_closed_loop_allocates_nothing_per_request() {
    check(plan(Arrivals::Closed { connections: 16, think: Nanos::ZERO }, 0.0));
}

#[test]
fn an_open_loop_allocates_nothing_per_request() {
    check(plan(Arrivals::Poisson, 12_000.0));
}

#[test]
fn the_counter_counts_what_a_worker_allocates() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    ALLOCATIONS.store(0, Ordering::Relaxed);
    IS_COUNTING.store(true, Ordering::Relaxed);
    let body = || (0..100).for_each(|n| drop(std::hint::black_box(vec![0u8; n + 1])));
    let worker = std::thread::Builder::new().name(format!("{WORKER}9")).spawn(body);
    worker.expect("a thread").join().expect("it ends");
    IS_COUNTING.store(false, Ordering::Relaxed);
    assert!(ALLOCATIONS.load(Ordering::Relaxed) >= 100);
}
