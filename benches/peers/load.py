#!/usr/bin/env python3
"""brunt's generator beside wrk, h2load, oha and hey, and beside a loop that does nothing else.

One nginx worker on SERVER_CORE answers 12 bytes; every tool runs alone on LOAD_CORE. Rounds are
interleaved and each begins with another tool, so that a disturbance of the machine hits all of
them. CPU is user + system of the tool's whole process tree (wait4). `brunt` is the product:
`brunt load URL --json`, with all its histograms, its series and its ledger. Only loopback is used.

    cargo build --release && benches/peers/load.py            about 10 minutes
    benches/peers/load.py --quick                             about 1 minute, one short round
    benches/peers/load.py --long                              and ten minutes at full speed: memory
    benches/peers/load.py --only closed-h1,freeze --rounds 7

Writes generator.txt (the table) and generator.csv (every round) to --out [reports/examples].

To add a tool: a function from a Scenario to its command, one from its output to a dict, and a line
in TOOLS. To add a scenario: a line in SCENARIOS and, for its table, one in `report`.
"""

import argparse, contextlib, csv, ctypes, dataclasses, json, os, re, shutil, signal, statistics
import subprocess, sys, tempfile, threading, time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOST, SERVER_CORE, LOAD_CORE = "127.88.2.1", 0, 1
PORTS = {"h1": 18100, "tls": 18101, "h2": 18102, "h2-tls": 18103}
FIELDS = ["scenario", "round", "tool", "requests", "seconds", "cpu_s", "per_cpu_s", "rate", "errors",
          "p50_us", "p75_us", "p90_us", "p99_us", "max_us", "start_lag_p99_us", "rss_mib", "note"]
EXE = {}
LIBC = ctypes.CDLL(None)


# ---- scenarios ----

@dataclasses.dataclass
class Scenario:
    name: str
    tools: list
    server: str = "h1"
    connections: int = 64
    streams: int = 1
    rate: int = 0
    seconds: float = 5
    requests: int = 0
    frozen: tuple = ()
    url: str = ""

    def __post_init__(self):
        scheme = "https" if "tls" in self.server else "http"
        self.url = f"{scheme}://{HOST}:{PORTS[self.server]}/"


SCENARIOS = [
    Scenario("closed-h1", ["brunt", "bare", "wrk", "h2load", "oha", "hey"]),
    Scenario("closed-tls", ["brunt", "bare", "wrk", "h2load", "oha"], server="tls"),
    Scenario("closed-h2", ["brunt", "bare", "h2load", "oha"], server="h2", connections=16, streams=32),
    Scenario("closed-h2-tls", ["brunt", "h2load", "oha"], server="h2-tls", connections=16, streams=32),
    Scenario("open-10k", ["brunt", "oha", "oha-corrected"], rate=10_000),
    Scenario("one-connection", ["wrk"], connections=1),
    Scenario("open-50k", ["brunt"], rate=50_000, connections=256),
    Scenario("calm", ["brunt"], rate=2_000, seconds=10),
    Scenario("freeze", ["brunt"], rate=2_000, seconds=10, frozen=(3, 4)),
    Scenario("freeze-closed", ["wrk", "oha"], seconds=10, frozen=(3, 4)),
    Scenario("memory", ["brunt", "wrk", "h2load", "oha", "hey"], requests=500_000),
]


# ---- tools: the command, and what its output says ----

def brunt_command(s):
    how = ["-n", str(s.requests)] if s.requests else ["-d", f"{s.seconds:g}s"]
    rate = ["--rate", str(s.rate), "--arrivals", "constant"] if s.rate else []
    secure = ["-k"] if "tls" in s.server else []
    h2 = ["--http2", "--streams", str(s.streams)] if "h2" in s.server else []
    return [EXE["brunt"], "load", s.url, "-c", str(s.connections), *how, *rate, *secure, *h2,
            "--threads", "1", "--json", "--quiet"]


def brunt_read(text):
    d = json.loads(text)
    ledger, times = d["ledger"], d.get("response_time_ns") or {}
    lag = (d.get("start_lag_ns") or {}).get("p99")
    row = {"requests": ledger["ok"], "errors": ledger["planned"] - ledger["ok"],
           "rate": (d.get("rate") or {}).get("completed_per_s"), "note": d.get("verdict", "")}
    if sum(v for k, v in ledger.items() if k != "planned") != ledger["planned"]:
        row["note"] = "the ledger does not add up"
    for name in ("p50", "p75", "p90", "p99", "max"):
        if times.get(name) is not None:
            row[name + "_us"] = times[name] / 1e3
    if lag is not None:
        row["start_lag_p99_us"] = lag / 1e3
    return row


def bare_command(s):
    return [EXE["bare"], s.server, f"{HOST}:{PORTS[s.server]}", f"{s.connections}x{s.streams}", f"{s.seconds:g}"]


def bare_read(text):
    return {"requests": int(text)}


def wrk_command(s):
    return [EXE["wrk"], "-t1", f"-c{s.connections}", f"-d{max(1, round(s.seconds))}s",
            "--timeout", "10s", "--latency", s.url]


def in_us(text):
    number, unit = re.match(r"([\d.]+)(us|ms|s|m)$", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6}[unit]


def wrk_read(text):
    row = {"requests": int(re.search(r"(\d+) requests in", text)[1]), "errors": 0}
    for q, value in re.findall(r"^\s+(50|75|90|99)%\s+(\S+)$", text, re.M):
        row[f"p{q}_us"] = in_us(value)
    if found := re.search(r"Latency\s+\S+\s+\S+\s+(\S+)", text):
        row["max_us"] = in_us(found[1])
    if found := re.search(r"Non-2xx.*: (\d+)", text):
        row["errors"] = int(found[1])
    return row


def h2load_command(s):
    how = ["-n", str(s.requests)] if s.requests else ["-D", str(max(1, round(s.seconds)))]
    h1 = ["--h1"] if "h2" not in s.server else ["-m", str(s.streams)]
    return [EXE["h2load"], "-t1", "-c", str(s.connections), *how, *h1, s.url]


def h2load_read(text):
    found = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", text)
    return {"requests": int(found[1]), "errors": int(found[2]) + int(found[3])}


def oha_command(s):
    how = ["-n", str(s.requests)] if s.requests else ["-z", f"{s.seconds:g}s"]
    rate = ["-q", str(s.rate)] if s.rate else []
    secure = ["--insecure"] if "tls" in s.server else []
    h2 = ["--http2", "-p", str(s.streams)] if "h2" in s.server else []
    return [EXE["oha"], "--no-tui", "--output-format", "json", "-c", str(s.connections),
            *how, *rate, *secure, *h2, s.url]


def oha_corrected_command(s):
    """From when its ticker wanted a request to start, as brunt counts, not from when it was sent."""
    command = oha_command(s)
    return [*command[:1], "--latency-correction", *command[1:]]


def oha_read(text):
    d = json.loads(text)
    row = {"requests": d["statusCodeDistribution"].get("200", 0), "rate": d["summary"]["requestsPerSec"]}
    # What is still in flight at the end it calls an error; that is not one.
    row["errors"] = sum(n for e, n in (d.get("errorDistribution") or {}).items() if "deadline" not in e)
    for q in ("p50", "p75", "p90", "p99"):
        if (value := d["latencyPercentiles"].get(q)) is not None:
            row[q + "_us"] = value * 1e6
    if d["summary"].get("slowest") is not None:
        row["max_us"] = d["summary"]["slowest"] * 1e6
    return row


def hey_command(s):
    how = ["-n", str(s.requests)] if s.requests else ["-z", f"{s.seconds:g}s"]
    return [EXE["hey"], *how, "-c", str(s.connections), s.url]


def hey_read(text):
    return {"requests": int(re.search(r"\[200\]\s+(\d+) responses", text)[1])}


TOOLS = {
    "brunt": (brunt_command, brunt_read),
    "bare": (bare_command, bare_read),
    "wrk": (wrk_command, wrk_read),
    "h2load": (h2load_command, h2load_read),
    "oha": (oha_command, oha_read),
    "oha-corrected": (oha_corrected_command, oha_read),
    "hey": (hey_command, hey_read),
}


# ---- what is there, and what has to be made ----

def find_tools(arguments, wanted):
    """Paths of the tools that are wanted; installs from the package registries what is missing."""
    packages = {"wrk": "wrk", "hey": "hey", "h2load": "nghttp2-client", "nginx": "nginx-light", "openssl": "openssl"}
    path = os.environ["PATH"] + ":/usr/sbin"
    missing = [p for tool, p in packages.items()
               if (tool in wanted or tool in ("nginx", "openssl")) and not shutil.which(tool, path=path)]
    if missing:
        # A package's service must not start by itself.
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *missing], check=True,
                       stdout=sys.stderr, env={**os.environ, "RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"})
    for tool in packages:
        EXE[tool] = shutil.which(tool, path=path)
    EXE["brunt"] = str(Path(arguments.brunt).resolve())
    if not Path(EXE["brunt"]).exists():
        sys.exit(f"no {EXE['brunt']}: cargo build --release")
    if "oha" in wanted:
        EXE["oha"] = arguments.oha or shutil.which("oha") or install_oha()
    if "bare" in wanted:
        EXE["bare"] = arguments.bare or build_bare()


def install_oha():
    folder = ROOT / "target/peers"
    if not (folder / "bin/oha").exists():
        subprocess.run(["cargo", "install", "oha", "--version", "^1", "--locked", "--no-default-features",
                        "--features", "rustls", "--root", folder], check=True, stdout=sys.stderr)
    return str(folder / "bin/oha")


def build_bare():
    built = subprocess.run(["cargo", "bench", "--bench", "bare", "--no-run", "--message-format", "json"],
                           cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    made = (json.loads(line) for line in built.splitlines() if line.startswith("{"))
    return next(m["executable"] for m in made if m.get("executable") and m["target"]["name"] == "bare")


def on_core(core):
    """For a child: this core, and no longer than this process."""
    def prepare():
        os.sched_setaffinity(0, {core})
        LIBC.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    return prepare


class Server:
    """nginx, one process, on a core of its own."""

    def __init__(self, folder):
        self.folder = Path(folder)
        subprocess.run([EXE["openssl"], "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", self.folder / "key.pem",
                        "-out", self.folder / "cert.pem"], check=True, stderr=subprocess.DEVNULL)
        (self.folder / "nginx.conf").write_text(self.conf())
        self.process = subprocess.Popen([EXE["nginx"], "-p", folder, "-c", self.folder / "nginx.conf"],
                                        preexec_fn=on_core(SERVER_CORE))
        self.pidfd = os.pidfd_open(self.process.pid)
        self.wait()

    def conf(self):
        paths = "".join(f"{kind}_temp_path {self.folder}/{kind};\n"
                        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        tls = f"ssl_certificate {self.folder}/cert.pem; ssl_certificate_key {self.folder}/key.pem;"
        answer = "default_type text/plain; location / { return 200 'hello world\n'; }"
        listen = {"h1": "", "tls": "ssl", "h2": "http2", "h2-tls": "ssl http2"}
        servers = "".join(f"server {{ listen {HOST}:{PORTS[k]} {how} backlog=4096; {tls if 'ssl' in how else ''} {answer} }}\n"
                          for k, how in listen.items())
        return (f"daemon off; master_process off; worker_processes 1; pid {self.folder}/pid;\n"
                f"error_log {self.folder}/error.log;\nevents {{ worker_connections 8192; }}\n"
                f"http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s;\n"
                f"http2_max_concurrent_streams 256;\n{paths}{servers}}}\n")

    def wait(self):
        import socket
        for port in PORTS.values():
            for _ in range(100):
                with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
                    break
                time.sleep(0.05)
            else:
                sys.exit(f"nginx does not answer: {(self.folder / 'error.log').read_text()}")

    def freeze(self, after, lasts):
        def run():
            time.sleep(after)
            signal.pidfd_send_signal(self.pidfd, signal.SIGSTOP)
            time.sleep(lasts)
            signal.pidfd_send_signal(self.pidfd, signal.SIGCONT)
        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGCONT)
            signal.pidfd_send_signal(self.pidfd, signal.SIGTERM)
        self.process.wait()


# ---- one round of one tool ----

def descendants(pid):
    found = [pid]
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                found += descendants(int(child))
    return found


def resident_kib(pid):
    total = 0
    for each in descendants(pid):
        with contextlib.suppress(OSError):
            found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{each}/status").read_text())
            total += int(found[1]) if found else 0
    return total


class Watched:
    """Resident memory of a process tree, four times a second: (seconds, KiB)."""

    def __init__(self, pid):
        self.samples, self.is_over, self.started = [], threading.Event(), time.monotonic()
        self.thread = threading.Thread(target=self.run, args=(pid,))
        self.thread.start()

    def run(self, pid):
        while not self.is_over.wait(0.25):
            if (kib := resident_kib(pid)) > 0:
                self.samples.append((time.monotonic() - self.started, kib))

    def end(self):
        self.is_over.set()
        self.thread.join()
        return self.samples


def reap(main, others):
    """Waits for a process and everything it left behind; the status and the CPU of the whole tree."""
    _, status, used = os.wait4(main, 0)
    cpu = used.ru_utime + used.ru_stime
    # brunt's keeper outlives it for a moment; as a subreaper this process inherits it.
    end = time.monotonic() + 10
    while time.monotonic() < end:
        left = set(descendants(os.getpid())[1:]) - others
        if not left:
            break
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                done, _, used = os.wait4(pid, os.WNOHANG)
                cpu += used.ru_utime + used.ru_stime if done else 0
        time.sleep(0.005)
    return os.waitstatus_to_exitcode(status), cpu, used.ru_maxrss


class Pace:
    """Whether a core takes much longer for the same computation than at its best. On a shared machine it
    can do so for seconds, and neither steal nor anything else tells (src/docs/decisions/0008)."""
    SLOW, TRIES, PATIENCE = 1.5, 5, 60

    def __init__(self):
        self.best = {}
        self.repeated = 0

    def is_slow(self):
        allowed = os.sched_getaffinity(0)
        try:
            return any([self.of(core) > self.SLOW for core in (SERVER_CORE, LOAD_CORE)])
        finally:
            os.sched_setaffinity(0, allowed)

    def of(self, core):
        os.sched_setaffinity(0, {core})
        took = min(self.once() for _ in range(10))
        self.best[core] = min(took, self.best.get(core, took))
        return took / self.best[core]

    @staticmethod
    def once():
        began = time.perf_counter()
        sum(range(20_000))
        return time.perf_counter() - began

    def undisturbed(self, run):
        """The first of a few runs at both of whose ends the cores were at their best; else the last.
        What it measured plays no part in that."""
        for _ in range(self.TRIES - 1):
            until = time.monotonic() + self.PATIENCE
            while self.is_slow() and time.monotonic() < until:
                time.sleep(0.2)
            result = run()
            if not self.is_slow():
                return result
            self.repeated += 1
        return run()


def measure(tool, s, server, watches_memory):
    command, read = TOOLS[tool]
    arguments = command(s)
    freezing = server.freeze(*s.frozen) if s.frozen else None
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        started = time.monotonic()
        process = subprocess.Popen(arguments, stdout=out, stderr=errors, stdin=subprocess.DEVNULL,
                                   preexec_fn=on_core(LOAD_CORE))
        watched = Watched(process.pid) if watches_memory else None
        status, cpu, rss = reap(process.pid, {server.process.pid})
        process.returncode = status
        seconds = time.monotonic() - started
        samples = watched.end() if watched else []
        if freezing:
            freezing.join()
        out.seek(0), errors.seek(0)
        row = {"scenario": s.name, "tool": tool, "seconds": seconds, "cpu_s": cpu}
        try:
            row |= read(out.read())
        except Exception as error:
            row["note"] = f"failed ({status}): {errors.read().strip()[:160] or error}".replace("\n", "; ")
            return row, samples
    row["rss_mib"] = max([rss] + [kib for _, kib in samples]) / 1024
    row["per_cpu_s"] = row["requests"] / cpu
    row.setdefault("rate", row["requests"] / (s.seconds if not s.requests else seconds))
    return row, samples


def long_run(server, seconds, rows):
    """brunt at full speed for minutes: memory soon after its start and at its end, MiB."""
    s = Scenario("long", ["brunt"], seconds=seconds)
    row, samples = measure("brunt", s, server, True)
    rows.append({"round": 1, **row})
    around = lambda at: statistics.median([kib for t, kib in samples if abs(t - at) < 1.5] or [0]) / 1024
    return around(min(10, seconds / 3)), around(seconds - 2), row


# ---- the table ----

class Results:
    def __init__(self, rows):
        self.rows = [r for r in rows if not str(r.get("note", "")).startswith("failed")]
        self.failed = [r for r in rows if str(r.get("note", "")).startswith("failed")]

    def all(self, scenario, tool, field):
        return {r["round"]: float(r[field]) for r in self.rows
                if r["scenario"] == scenario and r["tool"] == tool and r.get(field) not in (None, "")}

    def median(self, scenario, tool, field):
        values = self.all(scenario, tool, field).values()
        return statistics.median(values) if values else None

    def ratio(self, one, other, field):
        """Median of the rounds' own ratios: both of a pair ran in the same minute."""
        a, b = self.all(*one, field), self.all(*other, field)
        pairs = [a[r] / b[r] for r in a if b.get(r)]
        return statistics.median(pairs) if pairs else None


def show(value, form="{:.2f}"):
    return "–" if value is None else form.format(value)


def goal(what, value, test, form="{:.2f}"):
    if value is None:
        return f"  [no figure] {what}"
    return f"  [{'met' if test(value) else 'NOT MET'}] {what}: {form.format(value)}"


def closed_table(r, scenario, title, base):
    lines = [title, f"  {'':8} {'requests/CPU-s':>15} {'× ' + base:>9} {'requests/s':>12} {'errors':>7}  rounds' requests/CPU-s"]
    for tool in scenario.tools:
        each = r.all(scenario.name, tool, "per_cpu_s")
        lines.append(f"  {tool:8} {show(r.median(scenario.name, tool, 'per_cpu_s'), '{:.0f}'):>15} "
                     f"{show(r.ratio((scenario.name, tool), (scenario.name, base), 'per_cpu_s')):>9} "
                     f"{show(r.median(scenario.name, tool, 'rate'), '{:.0f}'):>12} "
                     f"{show(r.median(scenario.name, tool, 'errors'), '{:.0f}'):>7}  "
                     + " ".join(f"{v:.0f}" for _, v in sorted(each.items())))
    return lines


def times_table(r, title, pairs, fields=("p50", "p75", "p90", "p99", "max")):
    lines = [title, f"  {'':24}" + "".join(f"{f:>11}" for f in fields) + f"{'lag p99':>11}{'rate':>9}{'CPU share':>11}"]
    for scenario, tool, what in pairs:
        cpu, seconds = r.median(scenario, tool, "cpu_s"), r.median(scenario, tool, "seconds")
        cells = "".join(f"{show(ms(r.median(scenario, tool, f + '_us')), '{:.3f}'):>11}" for f in (*fields, "start_lag_p99"))
        lines.append(f"  {what:24}{cells}{show(r.median(scenario, tool, 'rate'), '{:.0f}'):>9}"
                     f"{show(cpu / seconds if cpu else None):>11}")
    return lines


def ms(us):
    return None if us is None else us / 1e3


def best_of(r, scenario, tools):
    ratios = [r.ratio((scenario, "brunt"), (scenario, tool), "per_cpu_s") for tool in tools]
    return min((x for x in ratios if x is not None), default=None)


def goals(r, ran, long):
    at = lambda *where: r.median(*where)
    out = []
    if "closed-h1" in ran:
        ratio = lambda tool: r.ratio(("closed-h1", "brunt"), ("closed-h1", tool), "per_cpu_s")
        out.append(goal("HTTP/1.1 per CPU-second, × wrk, at least 1.05", ratio("wrk"), lambda v: v >= 1.05))
        out.append(goal("HTTP/1.1 per CPU-second, × oha, at least 1.25", ratio("oha"), lambda v: v >= 1.25))
    for name, kind, tools in [("closed-tls", "TLS", ["bare", "wrk", "h2load", "oha"]), ("closed-h2", "HTTP/2", ["bare", "h2load", "oha"])]:
        if name in ran:
            value = best_of(r, name, tools)
            out.append(goal(f"{kind} per CPU-second, × the best of {', '.join(tools)}, at least 0.9", value, lambda v: v >= 0.9))
    if "open-10k" in ran:
        to_oha = r.ratio(("open-10k", "brunt"), ("open-10k", "oha-corrected"), "p50_us")
        to_raw = r.ratio(("open-10k", "brunt"), ("open-10k", "oha"), "p50_us")
        out.append(goal("p50 at 10,000/s, × wrk's with one connection, at most 1.4",
                        r.ratio(("open-10k", "brunt"), ("one-connection", "wrk"), "p50_us"), lambda v: v <= 1.4))
        out.append(goal("p50 at 10,000/s, × oha's from the same instant (--latency-correction), at most 0.7", to_oha, lambda v: v <= 0.7))
        out.append(goal("the same × oha's from when it sent (a later start of the clock), at most 0.7", to_raw, lambda v: v <= 0.7))
        out.append(goal("p99 at 10,000/s, ms, at most 0.5", ms(at("open-10k", "brunt", "p99_us")), lambda v: v <= 0.5, "{:.3f}"))
        out.append(goal("start lag p99 at 10,000/s, µs, at most 100", at("open-10k", "brunt", "start_lag_p99_us"), lambda v: v <= 100, "{:.0f}"))
    if "open-50k" in ran:
        # A backlog sent later counts as answered too, so the lag's part of the run counts as well.
        rate, lag = at("open-50k", "brunt", "rate"), at("open-50k", "brunt", "start_lag_p99_us")
        off = rate and lag and max(abs(rate / 50_000 - 1), lag / 1e6 / ran["open-50k"].seconds) * 100
        out.append(goal("achieved of 50,000/s (and start lag p99, of the run), off by at most 0.5 %", off, lambda v: v <= 0.5, "{:.3f} %"))
    if "freeze" in ran and "calm" in ran:
        q = lambda name: ms(at("freeze", "brunt", name + "_us"))
        calm = ms(at("calm", "brunt", "p50_us"))
        # max(0, P - (1 - q)(1 - rho) T): P of T seconds frozen, by the server's utilisation rho.
        frozen, lasts = next((s.frozen[1], s.seconds) for s in ran.values() if s.name == "freeze")
        out.append(goal("frozen run's p50 above the calm one's, ms, at most 1", q("p50") and calm and q("p50") - calm, lambda v: v <= 1, "{:.3f}"))
        for name, share in [("p75", 0.75), ("p90", 0.9), ("max", 1.0)]:
            wanted = max(0, frozen - (1 - share) * lasts) * 1e3
            out.append(goal(f"frozen run's {name}, ms, {wanted:.0f} ± 5 % of the freeze", q(name), lambda v: abs(v - wanted) <= 50 * frozen, "{:.0f}"))
    if long:
        early, late, _ = long
        out.append(goal("memory at the end of the long run, off by at most 5 % from that after ten seconds",
                        (late / early - 1) * 100 if early else None, lambda v: abs(v) <= 5, "{:+.1f} %"))
    return out


def machine():
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    versions = [re.search(p, subprocess.run([EXE[t], *a], capture_output=True, text=True).stdout +
                          subprocess.run([EXE[t], *a], capture_output=True, text=True).stderr)
                for t, a, p in [("wrk", ["-v"], r"wrk \S*?([\d.]+\d)"), ("h2load", ["--version"], r"nghttp2/(\S+)"),
                                ("oha", ["--version"], r"oha (\S+)"), ("nginx", ["-v"], r"nginx/(\S+)")] if EXE.get(t)]
    names = [t for t in ("wrk", "h2load", "oha", "nginx") if EXE.get(t)]
    tools = ", ".join(f"{n} {v[1]}" for n, v in zip(names, versions) if v)
    return f"{os.cpu_count()} cores ({cpu[1].strip() if cpu else 'unknown'}), Linux {os.uname().release}; {tools}"


def report(rows, ran, rounds, long):
    r = Results(rows)
    lines = ["brunt's generator beside others", "",
             f"{rounds} interleaved round{'s' * (rounds > 1)}, medians; ratios are medians of the rounds' own ratios.",
             f"nginx, one worker, 12 bytes, on core {SERVER_CORE}; each tool alone on core {LOAD_CORE}; keep-alive.",
             "CPU is user + system of a tool's whole process tree. `bare` parses and records nothing: the limit.",
             machine(), "", "What is asked of brunt", *goals(r, ran, long), ""]
    titles = {"closed-h1": ("Closed loop, HTTP/1.1", "wrk"), "closed-tls": ("Closed loop, HTTP/1.1 over TLS", "wrk"),
              "closed-h2": ("Closed loop, HTTP/2 (cleartext)", "h2load"), "closed-h2-tls": ("Closed loop, HTTP/2 over TLS", "h2load")}
    for name, (title, base) in titles.items():
        if s := ran.get(name):
            streams = f" × {s.streams} streams" if s.streams > 1 else ""
            lines += [*closed_table(r, s, f"{title}, {s.connections} connections{streams}, {s.seconds:g} s", base), ""]
    opened = [("open-10k", "brunt", "brunt, open 10,000/s"), ("open-10k", "oha-corrected", "oha --latency-correction"), ("open-10k", "oha", "oha -q 10000"),
              ("one-connection", "wrk", "wrk, one connection"), ("open-50k", "brunt", "brunt, open 50,000/s")]
    lines += [*times_table(r, "Open loop, response times in ms (brunt: from when a request was due)",
                           [o for o in opened if o[0] in ran]), ""]
    frozen = [("calm", "brunt", "brunt 2,000/s, calm"), ("freeze", "brunt", "brunt 2,000/s, frozen"),
              ("freeze-closed", "wrk", "wrk, frozen"), ("freeze-closed", "oha", "oha, frozen")]
    if "freeze" in ran:
        s = ran["freeze"]
        lines += [*times_table(r, f"The server stands still for {s.frozen[1]:g} s of {s.seconds:g}, response times in ms",
                               [f for f in frozen if f[0] in ran]), ""]
    if s := ran.get("memory"):
        lines += [f"Resident memory of the process tree, most, {s.requests} requests (wrk: {s.seconds:g} s)"]
        lines += [f"  {tool:8} {show(r.median('memory', tool, 'rss_mib'), '{:.0f} MiB'):>9}" for tool in s.tools] + [""]
    if long:
        lines += [f"brunt at full speed, {long[2]['requests'] if 'requests' in long[2] else 0} requests: "
                  f"{long[0]:.1f} MiB after 10 s, {long[1]:.1f} MiB at the end", ""]
    lines += [f"FAILED {f['scenario']} {f['tool']} (round {f['round']}): {f['note']}" for f in r.failed]
    return "\n".join(lines).rstrip() + "\n"


# ---- all of it ----

def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seconds", type=float, help="length of each run of a closed or open loop [5]")
    p.add_argument("--quick", action="store_true", help="one round of short runs")
    p.add_argument("--long", action="store_true", help="ten minutes at full speed as well")
    p.add_argument("--long-seconds", type=float, default=600)
    p.add_argument("--rounds", type=int, help="[5]")
    p.add_argument("--only", help="scenarios, like closed-h1,freeze")
    p.add_argument("--brunt", default=ROOT / "target/release/brunt")
    p.add_argument("--oha", help="an oha 1.x [the one on PATH, or installed by cargo]")
    p.add_argument("--bare", help="the built benches/bare.rs")
    p.add_argument("--out", type=Path, default=ROOT / "reports/examples")
    return p.parse_args()


def chosen(a):
    wanted = a.only.split(",") if a.only else [s.name for s in SCENARIOS]
    if unknown := set(wanted) - {s.name for s in SCENARIOS}:
        sys.exit(f"no scenario {', '.join(unknown)}; there are {', '.join(s.name for s in SCENARIOS)}")
    picked = [s for s in SCENARIOS if s.name in wanted]
    if a.seconds:
        for s in SCENARIOS:
            s.seconds = a.seconds if s.seconds == 5 else s.seconds
    if a.quick:
        for s in picked:
            s.seconds = 5 if s.seconds > 5 else 1
            s.frozen = (1.5, 2) if s.frozen else ()
            s.requests //= 5
    return picked


def main():
    a = arguments()
    if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        sys.exit("needs two cores: one for the server, one for the tools")
    picked = chosen(a)
    rounds = a.rounds or (1 if a.quick else 5)
    find_tools(a, {tool for s in picked for tool in s.tools})
    LIBC.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    rows, long, pace = [], None, Pace()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(folder)
        try:
            for number in range(1, rounds + 1):
                for s in picked:
                    turn = (number - 1) % len(s.tools)
                    for tool in s.tools[turn:] + s.tools[:turn]:
                        row, _ = pace.undisturbed(lambda: measure(tool, s, server, s.requests > 0))
                        rows.append({"round": number, **row})
                        print(f"round {number} {s.name:14} {tool:7} {show(row.get('per_cpu_s'), '{:.0f}'):>8}/CPU-s "
                              f"p50 {show(row.get('p50_us'), '{:.0f}')} µs {row.get('note', '')}", file=sys.stderr)
            if a.long:
                long = long_run(server, a.long_seconds, rows)
        finally:
            server.stop()
    a.out.mkdir(parents=True, exist_ok=True)
    with (a.out / "generator.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, FIELDS, lineterminator="\n")
        table.writeheader()
        table.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    text = report(rows, {s.name: s for s in picked}, rounds, long)
    text += f"\n{pace.repeated} runs were made again, since a core was slow before or after them.\n"
    (a.out / "generator.txt").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
