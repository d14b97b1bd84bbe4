//! Response and service time side by side, and beside them the response times as bars.

use crate::analysis::comparison::count_text;
use crate::analysis::{Summary, TimeSummary, merged};
use crate::base::Nanos;
use crate::base::bars::{Bar, bars, drawn};
use crate::record::Record;

/// A bar of the histogram: rows, and columns at most.
const BARS: usize = 8;
const BAR: usize = 20;

pub fn push_table(out: &mut String, record: &Record, s: &Summary) {
    let phases = &record.manifest.plan.load.phases;
    let measured =
        merged(record, true, |_, p| phases.get(usize::from(p)).is_some_and(|p| p.measured));
    let (bars, rows) = (bars(&measured, BARS), rows(s));
    if rows.is_empty() {
        out.push_str("response   no answer was ok, so there are no times\n");
        return;
    }
    let heads = format!("{:<8}{:>12}{:>12}", "", "response", "service");
    let beside = if bars.is_empty() { "" } else { "    response times" };
    out.push_str(&format!("{heads}{beside}\n"));
    let most = bars.iter().map(|b| b.count).max().unwrap_or(0);
    for index in 0..rows.len().max(bars.len()) {
        let left = rows.get(index).cloned().unwrap_or_default();
        let right = bars.get(index).map_or(String::new(), |bar| bar_text(bar, most));
        out.push_str(format!("{left:<32}{right}").trim_end());
        out.push('\n');
    }
}

/// One row for each percentile that either of the two has enough samples for.
fn rows(s: &Summary) -> Vec<String> {
    let of = |t: &TimeSummary| [t.p50, t.p75, t.p90, t.p99, t.p999, t.p9999, t.max];
    let names = ["p50", "p75", "p90", "p99", "p99.9", "p99.99", "max"];
    let text = |v: Option<Nanos>| v.map_or("–".to_string(), |v| v.to_string());
    names
        .into_iter()
        .zip(of(&s.response_time_ns).into_iter().zip(of(&s.service_time_ns)))
        .filter(|(_, (response, service))| response.or(*service).is_some())
        .map(|(name, (response, service))| {
            format!("{name:<8}{:>12}{:>12}", text(response), text(service))
        })
        .collect()
}

fn bar_text(bar: &Bar, most: u64) -> String {
    let share = bar.count as f64 / most.max(1) as f64;
    let edge = format!("≤ {}", bar.up_to);
    format!("  {edge:>9}  {} {}", drawn(share, BAR), count_text(bar.count))
}

/// The gaps between arrivals as planned and as made, where they were kept.
pub fn arrivals_text(record: &Record) -> Option<String> {
    use crate::record::Tag;
    let gaps = |tag| record.latency.get(&tag).map(TimeSummary::of).filter(|t| t.count > 0);
    let (planned, made) = (gaps(Tag::PlannedGap)?, gaps(Tag::DueGap)?);
    let (name, high) = planned.highest()?;
    Some(format!(
        "gap p50 {} and {name} {high} as planned, {} and {} as made",
        planned.p50?,
        made.p50?,
        made.named(name)?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::summarise;
    use crate::analysis::testing::power_off_story;
    use crate::base::Histogram;
    use crate::record::Tag;

    #[test]
    fn a_percentile_without_samples_has_no_row() {
        let record = power_off_story().build();
        let mut s = summarise(&record);
        s.response_time_ns.p999 = None;
        s.service_time_ns.p999 = None;
        let mut text = String::new();
        push_table(&mut text, &record, &s);
        assert!(!text.contains("p99.9 ") && text.contains("\nmax "), "{text}");
        assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
    }

    #[test]
    fn arrivals_are_compared_where_their_gaps_were_kept() {
        let mut record = power_off_story().build();
        assert_eq!(arrivals_text(&record), None);
        let mut gaps = Histogram::new();
        (1..=2000).for_each(|us| gaps.record(Nanos::from_micros(us)));
        record.latency.insert(Tag::PlannedGap, gaps.clone());
        record.latency.insert(Tag::DueGap, gaps);
        let text = arrivals_text(&record).unwrap();
        assert_eq!(text, "gap p50 1.00 ms and p99 1.98 ms as planned, 1.00 ms and 1.98 ms as made");
    }
}
