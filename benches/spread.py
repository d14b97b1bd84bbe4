#!/usr/bin/env python3
"""The spread of repeated comparisons: benches/spread.py FOLDER... (each written by `brunt compare --out FOLDER`).

Prints minimum, median and maximum of each figure per target, and whether every comparison ends in
the same sentences once the figures in them are masked.
"""
import json
import re
import statistics
import sys

folders = sys.argv[1:]
comparisons = [json.load(open(f"{f}/summary.json")) for f in folders]
figures = {}


def note(target, name, value, scale=1.0):
    if value is not None:
        figures.setdefault((target, name), []).append(value * scale)


for comparison in comparisons:
    for run in comparison["runs"]:
        target = run["target"]
        for phase in run["phases"]:
            planned = phase["ledger"]["planned"]
            if planned and phase.get("measured", True):
                note(target, f"{phase['name']}: in time, %", phase["in_time"] / planned, 100)
                times = phase["response_time_ns"]
                if phase["name"] in ("quiet", "peak"):
                    note(target, f"{phase['name']}: p50, ms", times["p50"], 1e-6)
                    note(target, f"{phase['name']}: p95, ms", times["p95"], 1e-6)
        for fault in run["faults"]:
            note(target, f"{fault['name']}: not in time", fault["not_in_time"])
            note(target, f"{fault['name']}: noticed after, s", fault["detected_after_s"])
            note(target, f"{fault['name']}: new leader after, s", fault["failed_over_after_s"])
            note(target, f"{fault['name']}: recovered within, s", fault["recovery_time_s"])
        note(target, "writes acknowledged", run["data"]["acknowledged"])
        note(target, "writes lost", run["data"]["lost"])
        note(target, "stale reads", run["data"]["stale_reads"])
        note(target, "CPU per request, ms (calm)", run["cpu"]["observed_ms"])
        note(target, "start lag p99, ms", run["start_lag_ns"]["p99"], 1e-6)

print(f"{'target':<12} {'figure':<40} {'n':>2} {'min':>9} {'median':>9} {'max':>9}")
for (target, name), values in figures.items():
    low, middle, high = min(values), statistics.median(values), max(values)
    print(f"{target:<12} {name:<40} {len(values):>2} {low:>9.2f} {middle:>9.2f} {high:>9.2f}")

masked = {}
for folder, comparison in zip(folders, comparisons):
    sentences = comparison.get("sentences") or [f["text"] for f in comparison["findings"]]
    text = "\n".join(re.sub(r"[0-9][0-9.,]*", "#", s) for s in sentences)
    masked.setdefault(text, []).append(folder)
print(f"\nsentences, figures masked: {len(masked)} version(s) in {len(folders)} comparisons")
for text, where in sorted(masked.items(), key=lambda kv: -len(kv[1])):
    print(f"\n{len(where)} of {len(folders)} ({', '.join(where)}):\n{text}")
verdicts = [c["verdict"] if isinstance(c["verdict"], str) else c["verdict"].get("verdict") for c in comparisons]
print("\nverdicts:", ", ".join(f"{v} × {verdicts.count(v)}" for v in dict.fromkeys(verdicts)))
