//! The error budget: what an objective leaves to be spent, and how much of it was.
//!
//! With `slo` the share of good events, the budget of `n` events is (1 − slo) n of them, and a burn
//! rate of 1 spends it exactly (Google, *The Site Reliability Workbook*, chapter 5).

/// What an error budget is usually counted over.
pub const DAYS: f64 = 30.0;

/// An objective on a share of events.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    pub slo: f64,
}

impl Budget {
    /// bad ÷ ((1 − slo) all): the share of the budget of `all` events that `bad` of them spend. Of
    /// those that `bad` itself is among, this is the burn rate.
    pub fn spent(self, bad: f64, all: f64) -> Option<f64> {
        let allowed = (1.0 - self.slo) * all;
        (allowed > 0.0).then(|| bad / allowed)
    }

    /// Minutes without any good event that 30 days have room for.
    pub fn minutes(self) -> f64 {
        (1.0 - self.slo) * DAYS * 24.0 * 60.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workbooks_figures() {
        let b = Budget { slo: 0.999 };
        assert!((b.minutes() - 43.2).abs() < 1e-9);
        // 14.4 for an hour spends 2 % of a budget of 30 days.
        let burnt = b.spent(14.4, 1000.0).unwrap();
        assert!((burnt - 14.4).abs() < 1e-9);
        assert!((b.spent(14.4, 1000.0 * 720.0).unwrap() - 0.02).abs() < 1e-9);
    }

    #[test]
    fn without_a_budget_there_is_no_share_of_it() {
        assert_eq!(Budget { slo: 1.0 }.spent(1.0, 100.0), None);
        assert_eq!(Budget { slo: 0.9 }.spent(0.0, 0.0), None);
    }
}
