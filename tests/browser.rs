//! The report in a browser: charts are drawn from data, nothing is loaded from anywhere, everything
//! is reached by keyboard. With `BRUNT_SCREENSHOTS=FOLDER` it leaves pictures of every width and both
//! colour schemes there.

#[path = "support/webdriver.rs"]
mod webdriver;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use webdriver::Browser;

/// Of runs, in the order of the page.
const CHARTS: [&str; 12] = [
    "lanes",
    "in-time",
    "rate",
    "errors",
    "latency",
    "heat",
    "cpu",
    "node-cpu",
    "hits",
    "lag",
    "nodes",
    "percentiles",
];

/// Of pairs.
const PAIR_CHARTS: [&str; 5] =
    ["pairs-cpu", "pairs-errors", "pairs-throughput", "pairs-p50", "pairs-p95"];
/// Of a capacity.
const CAPACITY_CHARTS: [&str; 4] = ["knee", "broken", "p99", "scaling"];

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

/// The stored comparison, in a folder of its own.
fn copy(to: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/examples/compare");
    let copied = to.join("compare");
    for target in ["garage", "vertical", "horizontal"] {
        copy_files(&from.join(target), &copied.join(target));
    }
    copied
}

/// What a gate and a search have left, each with two records of the comparison as those of runs.
fn copy_answers(to: &Path) -> [PathBuf; 2] {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let runs = [
        ("gate", ["pair-01-a", "pair-01-b"]),
        ("capacity", ["2-horizontal-2/trial-01", "2-horizontal-2/trial-02"]),
    ];
    runs.map(|(name, runs)| {
        copy_files(&crate_folder.join("tests/pages").join(name), &to.join(name));
        for (run, target) in runs.iter().zip(["vertical", "horizontal"]) {
            let record = crate_folder.join("reports/examples/compare").join(target);
            copy_files(&record, &to.join(name).join(run));
        }
        to.join(name)
    })
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// What a drill has left, with one of its runs.
fn copy_card(to: &Path) -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let card = to.join("drill");
    copy_files(&crate_folder.join("tests/pages/drill"), &card);
    let run = card.join("kill-leader");
    copy_files(&crate_folder.join("reports/examples/compare/horizontal"), &run);
    render(&run);
    card
}

fn brunt(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_brunt")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn render(folder: &Path) -> PathBuf {
    brunt(&["report", folder.to_str().unwrap()]);
    folder.join("report.html")
}

/// The reports of what is stored, written once for all tests: `compare`, `gate`, `capacity`, `drill`.
fn rendered() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
        let compared = copy(&folder);
        render(&compared);
        copy_answers(&folder).iter().for_each(|answer| drop(render(answer)));
        render(&copy_card(&folder));
        folder
    })
}

fn open_file(browser: &Browser, page: &Path) {
    open(browser, &format!("file://{}", page.display()));
}

/// Opens a page and waits until its charts are drawn, or cannot be.
fn open(browser: &Browser, url: &str) {
    browser.open(url);
    let state = browser.run(
        "return new Promise(done => { const root = document.documentElement; \
         const look = () => root.dataset.charts ? done(root.dataset.charts) : setTimeout(look, 10); \
         look(); });",
    );
    assert_eq!(state, "drawn", "{:#?}", browser.log("browser"));
}

#[test]
fn rendering_again_gives_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let compared = copy(folder.path());
    let single = compared.join("horizontal");
    let [gate, capacity] = copy_answers(folder.path());
    let card = copy_card(folder.path());
    for record in [&compared, &single, &gate, &capacity, &card] {
        let first = std::fs::read(render(record)).unwrap();
        assert!(first.len() < 3_000_000, "{}", first.len());
        assert!(first == std::fs::read(render(record)).unwrap(), "{}", record.display());
    }
}

#[test]
fn charts_have_data_and_nothing_is_asked_for() {
    let browser = Browser::start(1280, 1000);
    let pages = [
        ("compare", CHARTS.as_slice(), 3),
        ("compare/horizontal", &CHARTS, 1),
        ("gate", &PAIR_CHARTS, 2),
        ("capacity", &CAPACITY_CHARTS, 2),
    ];
    for (folder, expected, checked) in pages {
        let page = rendered().join(folder).join("report.html");
        open_file(&browser, &page);
        let charts = browser.run(
            "return [...document.querySelectorAll('.plot')].map(p => ({ id: p.id, points: \
             p.data.reduce((n, t) => n + (t.y || []).filter(v => v !== null).length, 0), \
             drawn: p.querySelectorAll('.main-svg path, .main-svg image').length }));",
        );
        let charts = charts.as_array().unwrap();
        let ids: Vec<&str> = charts.iter().map(|c| c["id"].as_str().unwrap()).collect();
        assert_eq!(ids, expected, "{}", page.display());
        for chart in charts {
            assert!(chart["points"].as_u64() > Some(5), "{}: {chart}", page.display());
            assert!(chart["drawn"].as_u64() > Some(0), "{}: {chart}", page.display());
        }
        let strip = browser.run("return document.querySelectorAll('.strip tbody tr').length");
        assert_eq!(strip, checked, "the checks of each run: {}", page.display());
        assert_eq!(tables(&browser), json!([]), "{}", page.display());
        let console = browser.log("browser");
        assert!(console.is_empty(), "{}: {console:#?}", page.display());
        let asked: Vec<String> = requests(&browser.log("performance"));
        assert!(asked.iter().any(|url| url.ends_with("report.html")), "{asked:?}");
        let is_own = |url: &String| ["file:", "data:", "blob:"].iter().any(|s| url.starts_with(s));
        assert!(asked.iter().all(is_own), "{asked:?}");
        pictures(&browser, &page);
    }
}

/// Opens the numbers of every chart; those charts that have not at least three rows of them, or a
/// cell that is no number or word.
fn tables(browser: &Browser) -> Value {
    browser.run(
        "const all = [...document.querySelectorAll('details.numbers')]; \
         all.forEach(d => { d.open = true; }); \
         return new Promise(done => setTimeout(() => { \
           const wrong = all.filter(d => { const t = d.querySelector('table'); return !t || \
             t.querySelectorAll('thead th[scope=col]').length < 2 || \
             t.querySelectorAll('tbody th[scope=row]').length < 3 || \
             /NaN|undefined|null|Infinity/.test(t.textContent); }).map(d => d.dataset.of); \
           all.forEach(d => { d.open = false; }); done(wrong); }, 100));",
    )
}

/// Each search has its button, which draws its trials; each server its box, with what became of it.
#[test]
fn a_search_is_chosen_and_servers_have_their_fates() {
    let browser = Browser::start(1280, 1000);
    open_file(&browser, &rendered().join("capacity/report.html"));
    let drawn = browser.run(
        "const box = document.getElementById('searches'), names = [...box.children].map(b => b.textContent); \
         const rates = () => document.getElementById('knee').data[1].x.join(); const before = rates(); \
         box.children[1].click(); \
         return [names.length, box.children[1].getAttribute('aria-pressed'), before !== rates(), \
           document.getElementById('scaling').data.map(t => t.name)];",
    );
    let traces = ["linear", "Universal Scalability Law", "measured"];
    assert_eq!(drawn, json!([3, "true", true, traces]));
    open_file(&browser, &rendered().join("compare/report.html"));
    let topology = browser.run(
        "const all = [...document.querySelectorAll('#topology .server')]; \
         const app = all.filter(s => s.querySelector('h4').textContent === 'app-1').pop(); \
         return [all.length, [...app.querySelectorAll('.fates li')].map(l => l.textContent)];",
    );
    assert_eq!(topology[0], 13, "two big servers and eleven small ones");
    let fates = topology[1].to_string();
    for part in ["24.13 s lose-server: power-off", "taken out by balancer-1", "ready again"] {
        assert!(fates.contains(part), "{part}: {fates}");
    }
}

/// The live view as a page: the run's own numbers, asked for from brunt alone, until it has ended.
#[test]
fn a_run_that_goes_on_is_seen_in_a_browser() {
    let browser = Browser::start(1280, 1000);
    let folder = tempfile::tempdir().unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_brunt"))
        // Its faults come, however busy the machine is.
        .args(["run", "garage", "-p", "smoke[steady.in_time=0.01]", "--dashboard", "0", "--out"])
        .arg(folder.path().join("record"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.find_map(|line| line.strip_prefix("dashboard ").map(str::to_string));
    let address = address.expect("it says where the dashboard is");
    std::thread::spawn(move || lines.for_each(drop));
    open(&browser, &address);
    let seen = browser.run(
        "const all = [...document.querySelectorAll('.plot')], by = id => document.getElementById(id); \
         return new Promise(done => { const look = () => all.every(p => p.data && p.data[0].x.length > 2) \
           && by('standing').children.length ? done({ \
             charts: all.map(p => p.id), state: by('state').textContent, title: document.querySelector('h1').textContent, \
             phases: by('phases').textContent, nodes: [...by('node-rows').children].map(r => r.cells[0].textContent), \
             standing: by('standing').textContent, bands: by('rate').layout.shapes.length, notes: by('notes').children.length, \
             done: Number(by('progress').getAttribute('aria-valuenow')), share: by('share').textContent \
           }) : setTimeout(look, 50); look(); });",
    );
    assert_eq!(seen["charts"], json!(["rate", "in-time", "latency"]), "{seen:#}");
    assert_eq!(seen["state"], "RUNNING", "{seen:#}");
    assert!(seen["title"].as_str().unwrap().starts_with("garage under smoke"), "{seen:#}");
    assert_eq!(seen["nodes"], json!(["database-1", "app-1"]), "{seen:#}");
    let phases = seen["phases"].as_str().unwrap();
    let is_in = |phase: &&str| phases.contains(&format!("→ [{phase}]"));
    assert!(["server lost", "leader lost", "brown-out"].iter().any(is_in), "{phases}");
    assert!(seen["standing"].as_str().unwrap().starts_with("in force: "), "{seen:#}");
    assert!(seen["bands"].as_u64() > Some(0) && seen["notes"].as_u64() > Some(0), "{seen:#}");
    assert!(seen["done"].as_f64() > Some(10.0), "{seen:#}");
    assert_eq!(tables(&browser), json!([]));
    if let Some(folder) = std::env::var_os("BRUNT_SCREENSHOTS") {
        picture(&browser, &Path::new(&folder).join("dashboard.png"));
    }
    assert!(browser.log("browser").is_empty());
    let asked = requests(&browser.log("performance"));
    let is_own = |url: &String| url.starts_with(&address) || url.starts_with("data:");
    assert!(asked.len() > 3 && asked.iter().all(is_own), "{asked:?}");
    assert!(run.wait().unwrap().code().is_some());
    let state = browser.run(
        "return new Promise(done => { const look = () => { \
           const text = document.getElementById('state').textContent; \
           text === 'ENDED' ? done(text) : setTimeout(look, 50); }; look(); });",
    );
    assert_eq!(state, "ENDED");
}

/// A run of so many requests has no length in its plan; this one is over within a second, and has
/// one point of each line.
#[test]
fn a_run_shorter_than_a_second_is_drawn_over_its_whole_width() {
    let folder = tempfile::tempdir().unwrap();
    let (record, other) = (folder.path().join("record"), folder.path().join("other"));
    let url = answering();
    for (n, record) in [("40", &record), ("400", &other)] {
        let load = ["load", &url, "-n", n, "-c", "2", "--quiet", "--out"];
        brunt(&[load.as_slice(), &[record.to_str().unwrap()]].concat());
    }
    let browser = Browser::start(1280, 1000);
    open_file(&browser, &record.join("report.html"));
    let seen = browser.run(
        "const rate = document.getElementById('rate'); return { range: rate.layout.xaxis.range, \
         dots: rate.querySelectorAll('.scatterlayer .point').length, \
         text: document.querySelector('.meta').textContent + document.querySelector('#numbers').textContent, \
         repeat: document.querySelector('#repeat').textContent };",
    );
    assert_eq!(seen["range"], json!([0, 1]), "{seen:#}");
    assert!(seen["dots"].as_u64() > Some(1), "asked and answered: {seen:#}");
    assert!(!seen["text"].as_str().unwrap().contains("86400"), "{seen:#}");
    assert!(seen["repeat"].as_str().unwrap().contains("No command is known"), "{seen:#}");
    let both = folder.path().join("both");
    brunt(&[
        "compare",
        record.to_str().unwrap(),
        other.to_str().unwrap(),
        "--out",
        both.to_str().unwrap(),
    ]);
    open_file(&browser, &both.join("report.html"));
    let asked =
        browser.run("return document.getElementById('rate').data.slice(0, 2).map(t => t.name)");
    assert_eq!(asked, json!(["127.0.0.1 asked", "127.0.0.1 (2) asked"]), "not the same for both");
}

/// The address of a server that answers anything, until the tests end.
fn answering() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                while lines.find(String::is_empty).is_some() {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    if (&stream).write_all(answer).is_err() {
                        break;
                    }
                }
            });
        }
    });
    format!("http://{address}/")
}

/// Everything that the page has asked for, from the browser's own log of its network.
fn requests(log: &[Value]) -> Vec<String> {
    let messages = log.iter().filter_map(|entry| entry["message"].as_str());
    let parsed = messages.filter_map(|text| serde_json::from_str::<Value>(text).ok());
    let sent = parsed.filter(|m| m["message"]["method"] == "Network.requestWillBeSent");
    sent.filter_map(|m| m["message"]["params"]["request"]["url"].as_str().map(str::to_string))
        .collect()
}

fn pictures(browser: &Browser, page: &Path) {
    let Some(folder) = std::env::var_os("BRUNT_SCREENSHOTS").map(PathBuf::from) else { return };
    let name = page.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    for (width, is_phone) in [(1280, false), (390, true)] {
        for scheme in ["light", "dark"] {
            let feature = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
            browser.tell("Emulation.setEmulatedMedia", json!({ "features": feature }));
            let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": is_phone });
            browser.tell("Emulation.setDeviceMetricsOverride", size);
            open_file(browser, page);
            picture(browser, &folder.join(format!("{name}-{width}-{scheme}.png")));
        }
    }
    browser.tell("Emulation.clearDeviceMetricsOverride", json!({}));
    browser.tell("Emulation.setEmulatedMedia", json!({ "features": [] }));
}

fn picture(browser: &Browser, to: &Path) {
    let whole = json!({ "captureBeyondViewport": true, "format": "png" });
    let picture = browser.tell("Page.captureScreenshot", whole);
    let coded = picture["data"].as_str().unwrap();
    use base64::Engine;
    std::fs::write(to, base64::engine::general_purpose::STANDARD.decode(coded).unwrap()).unwrap();
}

#[test]
fn a_keyboard_reaches_the_data_of_every_chart() {
    let page = rendered().join("compare/report.html");
    let browser = Browser::start(1280, 1000);
    open_file(&browser, &page);
    let first = press_and_see(&browser);
    assert_eq!(first, "a.skip", "the first stop is the link to the verdict");
    browser.press(ENTER);
    assert_eq!(browser.run("return location.hash"), "#verdict");
    let (mut stops, mut last) = (BTreeSet::new(), String::new());
    // Every stop has an outline that can be seen; the chain ends where the page does.
    for _ in 0..120 {
        let stop = press_and_see(&browser);
        if stop.starts_with("body") {
            break;
        }
        let outline = browser.run(
            "const s = getComputedStyle(document.activeElement); \
             return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2;",
        );
        assert_eq!(outline, true, "no outline at {stop}");
        if stop == "summary:plan" {
            browser.press(ENTER);
        } else if let Some(chart) = stop.strip_prefix("summary:") {
            browser.press(ENTER);
            let rows = browser.run(
                "return new Promise(done => setTimeout(() => { const t = \
                 document.activeElement.parentElement.querySelector('table'); done(t && \
                 t.querySelectorAll('thead th[scope=col]').length > 1 && \
                 t.querySelectorAll('tbody th[scope=row]').length); }, 50));",
            );
            assert!(rows.as_u64() > Some(2), "{chart}: {rows}");
        }
        last.clone_from(&stop);
        stops.insert(stop);
    }
    for chart in CHARTS {
        assert!(stops.contains(&format!("summary:{chart}")), "{chart}: {stops:?}");
    }
    for choice in ["button:phases", "button:heat", "button:node-cpu"] {
        assert!(stops.contains(choice), "{choice}: {stops:?}");
    }
    assert!(last.contains("pre"), "the last stop is the last plan: {last}");
}

/// Presses the tab key; what has the focus then, in a word.
fn press_and_see(browser: &Browser) -> String {
    browser.press(TAB);
    let seen = browser.run(
        "const e = document.activeElement, tag = e.tagName.toLowerCase(); \
         if (tag === 'summary') return 'summary:' + (e.parentElement.dataset.of || 'plan'); \
         if (tag === 'button') return 'button:' + (e.parentElement.dataset.for || e.parentElement.id); \
         return tag + (e.className ? '.' + e.className : '');",
    );
    seen.as_str().unwrap_or_default().to_string()
}

/// Headings that skip no level, tables with heads, and a name for all that can be reached.
#[test]
fn a_screen_reader_finds_its_way() {
    let browser = Browser::start(390, 800);
    for page in ["compare", "gate", "capacity", "drill"] {
        let file = rendered().join(page).join("report.html");
        match page {
            // The card has no charts to wait for.
            "drill" => browser.open(&format!("file://{}", file.display())),
            _ => open_file(&browser, &file),
        }
        let wrong = browser.run(
        "const wrong = []; let before = 0; \
         for (const h of document.querySelectorAll('h1,h2,h3,h4')) { const level = +h.tagName[1]; \
           if (level > before + 1) wrong.push('skips a level: ' + h.textContent); before = level; } \
         if (document.querySelectorAll('h1').length !== 1) wrong.push('not one h1'); \
         for (const tag of ['header', 'main', 'nav', 'footer']) \
           if (!document.querySelector(tag)) wrong.push('no ' + tag); \
         for (const th of document.querySelectorAll('th')) \
           if (!th.scope || !th.textContent.trim()) wrong.push('th: ' + th.outerHTML); \
         for (const p of document.querySelectorAll('.plot')) { const by = p.getAttribute('aria-labelledby'); \
           if (!by || !document.getElementById(by)) wrong.push('unnamed chart: ' + p.id); \
           if (!document.getElementById(p.getAttribute('aria-describedby'))) wrong.push('no words: ' + p.id); } \
         for (const s of document.querySelectorAll('.scroll')) \
           if (s.tabIndex !== 0 || !s.getAttribute('aria-label')) wrong.push('scroll: ' + s.innerText.slice(0, 40)); \
         if (document.documentElement.lang !== 'en') wrong.push('no language'); \
         if (document.documentElement.scrollWidth > innerWidth) wrong.push('wider than a phone: ' + \
           document.documentElement.scrollWidth); \
         return wrong;",
    );
        assert_eq!(wrong, json!([]), "{page}");
        let skip = "return document.querySelector(document.querySelector('a.skip').hash).tabIndex";
        assert_eq!(browser.run(skip), -1, "{page}");
    }
}
