//! How stale reads were, as a histogram in words.

use crate::analysis::Staleness;
use crate::analysis::comparison::count_text;

/// Of those that were, so many by so much; `None` where none was.
pub(super) fn staleness(found: &Staleness) -> Option<String> {
    if found.stale == 0 {
        return None;
    }
    let mut buckets = Vec::new();
    let mut from = 0;
    for bucket in &found.time {
        let ms = |ns: u64| ns / 1_000_000;
        if bucket.reads > 0 {
            let span = match bucket.up_to {
                Some(up_to) => format!("{} to {} ms", ms(from), ms(up_to)),
                None => format!("over {} ms", ms(from)),
            };
            buckets.push(format!("{span}: {}", count_text(bucket.reads)));
        }
        from = bucket.up_to.unwrap_or(from);
    }
    Some(format!(
        "{} of {} reads were stale ({})",
        count_text(found.stale),
        count_text(found.reads),
        buckets.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Bucket;

    #[test]
    fn only_what_was_stale_is_told_by_how_much() {
        let bucket = |up_to: Option<u64>, reads| Bucket { up_to, reads };
        let ms = 1_000_000;
        let time = vec![bucket(Some(10 * ms), 3), bucket(Some(100 * ms), 0), bucket(None, 1)];
        let found = Staleness { reads: 4_000, stale: 4, time, ..Staleness::default() };
        assert_eq!(
            staleness(&found).unwrap(),
            "4 of 4,000 reads were stale (0 to 10 ms: 3, over 100 ms: 1)"
        );
        assert_eq!(staleness(&Staleness { reads: 9, ..Staleness::default() }), None);
    }
}
