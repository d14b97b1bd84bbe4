//! The steps of one request on a worker's path, each alone.

use brunt::base::{Histogram, Nanos};
use brunt::generator::template::Template;
use brunt::plan::{RequestPlan, ValueKind, ValuePlan};
use brunt::wire::http1::{ResponseReader, parse_head, scan_head};
use brunt::workload::{
    Agenda, Curve, Draws, Segment, Shape, ShardStarts, Spacing, Value, Values, Zipf,
};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;

fn curve(shape: Shape) -> Arc<Curve> {
    let segment = Segment {
        start: Nanos::ZERO,
        end: Nanos::from_secs(1 << 30),
        rate_from: 10_000.0,
        shape,
        rate_to: 20_000.0,
    };
    Arc::new(Curve::new(vec![segment]).expect("a curve"))
}

fn shapes(c: &mut Criterion) {
    for shape in [
        Shape::Linear,
        Shape::Steps { levels: 10 },
        Shape::Sine { period: Nanos::from_secs(30) },
        Shape::Spike { decay: Nanos::from_secs(1 << 28) },
    ] {
        let mut starts = ShardStarts::new(curve(shape), Spacing::Constant, 1, 0, 1);
        c.bench_function(&format!("next start of one shard, {shape:?}"), |b| {
            b.iter(|| black_box(starts.next()));
        });
    }
}

fn schedule(c: &mut Criterion) {
    let curve = curve(Shape::Linear);
    for spacing in [Spacing::Poisson, Spacing::Constant] {
        let shards = (0..64)
            .map(|shard| (shard, ShardStarts::new(curve.clone(), spacing, 1, shard, 64)))
            .collect();
        let mut agenda = Agenda::open(shards);
        let name = format!("schedule, next of 64 shards, {spacing:?}");
        c.bench_function(&name, |b| b.iter(|| black_box(agenda.take(Nanos::MAX))));
    }
}

fn render(c: &mut Criterion) {
    let request = RequestPlan {
        method: "POST".into(),
        headers: vec![("Idempotency-Key".into(), "{id}".into())],
        body: Some(r#"{"id":"{id}"}"#.into()),
        ..RequestPlan::get("like", "shop.test", "/api/videos/{video}/likes")
    };
    let names = [
        ValuePlan { name: "video".into(), kind: ValueKind::Zipf { n: 1_000_000, exponent: 1.0 } },
        ValuePlan { name: "id".into(), kind: ValueKind::WriteId },
    ];
    let values = Values::new(vec![Value::Zipf(Zipf::new(1_000_000, 1.0)), Value::WriteId]);
    let template = Template::new(&request, &names, &values, true).expect("a template");
    let mut out = Vec::new();
    let mut index = 0;
    c.bench_function("render, with a Zipf value and an id", |b| {
        b.iter(|| {
            index += 1;
            template.render(&values, &Draws::new(1, 0, index), &mut out);
            black_box(out.len())
        });
    });
}

fn parse(c: &mut Criterion) {
    let answer = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 23 Nov 2026 22:42:00 GMT\r\n\
        Content-Type: application/json\r\nContent-Length: 11\r\nConnection: keep-alive\r\n\
        X-Version: 42\r\n\r\nhello world";
    let mut reader = ResponseReader::default();
    c.bench_function("response, 7 fields in one piece", |b| {
        b.iter(|| {
            reader.start(false);
            black_box(reader.feed(black_box(answer)))
        });
    });
    c.bench_function("its head alone, by the scanner", |b| {
        b.iter(|| black_box(scan_head(black_box(answer))));
    });
    c.bench_function("its head alone, by httparse", |b| {
        b.iter(|| black_box(parse_head(black_box(answer))));
    });
}

fn record(c: &mut Criterion) {
    let mut histogram = Histogram::new();
    let mut value = 1;
    c.bench_function("histogram, one value", |b| {
        b.iter(|| {
            value = value * 5 % 1_000_003;
            histogram.record(Nanos(black_box(value)));
        });
    });
}

criterion_group!(hot, shapes, schedule, render, parse, record);
criterion_main!(hot);
