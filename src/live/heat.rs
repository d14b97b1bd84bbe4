//! Response times over the last seconds, as rows of shades: a line a decade, a column a second.

use crate::run::{HEAT_EDGES, HeatSecond};

/// Of the requests of a second, up to a tenth, two fifths, three quarters, and more.
const SHADES: [(f64, char); 4] = [(0.1, '░'), (0.4, '▒'), (0.75, '▓'), (f64::INFINITY, '█')];

/// What it shows, then from the slowest decade that was seen to the fastest; nothing where nothing was.
pub(super) fn heat(seconds: &[HeatSecond], columns: usize) -> Vec<String> {
    let room = columns.saturating_sub(2 + 9 + 2 + 1);
    let shown = &seconds[seconds.len().saturating_sub(room)..];
    let is_seen = |row: &usize| shown.iter().any(|second| second[*row] > 0);
    let rows = 0..=HEAT_EDGES.len();
    let (Some(first), Some(last)) = (rows.clone().find(is_seen), rows.rev().find(is_seen)) else {
        return Vec::new();
    };
    let row = |row: usize| {
        let cells: String = shown.iter().map(|second| shade(second, row)).collect();
        format!("  {:>9}  {cells}", name(row)).trim_end().to_string()
    };
    let head = format!("  second by second, the last {}:", shown.len());
    [head].into_iter().chain((first..=last).rev().map(row)).collect()
}

/// `≤ 10.0 ms`, `> 1.00 s`.
fn name(row: usize) -> String {
    match HEAT_EDGES.get(row) {
        Some(edge) => format!("≤ {edge}"),
        None => format!("> {}", HEAT_EDGES[HEAT_EDGES.len() - 1]),
    }
}

fn shade(second: &HeatSecond, row: usize) -> char {
    if second[row] == 0 {
        return ' ';
    }
    let share = second[row] as f64 / second.iter().sum::<u64>() as f64;
    SHADES.iter().find(|(up_to, _)| share <= *up_to).map_or(' ', |(_, shade)| *shade)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_seen_where_it_was() {
        let calm = [0, 90, 10, 0, 0];
        let stalled = [0, 0, 30, 70, 0];
        let rows = heat(&[calm, calm, stalled, calm, [0; 5]], 80);
        assert_eq!(rows[0], "  second by second, the last 5:");
        assert_eq!(rows[1..], ["   ≤ 1.00 s    ▓", "   ≤ 100 ms  ░░▒░", "  ≤ 10.0 ms  ██ █"]);
        assert_eq!(heat(&[[0; 5]; 3], 80), Vec::<String>::new());
        let long = heat(&[calm; 60], 40);
        assert!(long.iter().all(|row| row.chars().count() < 40), "{long:?}");
    }
}
