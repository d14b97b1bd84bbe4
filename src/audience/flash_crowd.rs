//! A crowd that comes at once: ramp, plateau, exponential decay.

/// λ0 until 0; straight to λp within `ramp_s`; `plateau_s` long; then back with constant `decay_s`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlashCrowd {
    pub base_per_s: f64,
    pub peak_per_s: f64,
    pub ramp_s: f64,
    pub plateau_s: f64,
    pub decay_s: f64,
}

impl FlashCrowd {
    /// Requests per second at `t_s` after the ramp began.
    pub fn rate_at(&self, t_s: f64) -> f64 {
        let above = self.peak_per_s - self.base_per_s;
        let after = t_s - self.ramp_s - self.plateau_s;
        let share = match t_s {
            t if t <= 0.0 => 0.0,
            t if t < self.ramp_s => t / self.ramp_s,
            _ if after <= 0.0 => 1.0,
            _ if self.decay_s > 0.0 => (-after / self.decay_s).exp(),
            _ => 0.0,
        };
        self.base_per_s + above * share
    }

    /// Requests beyond the base: (λp − λ0)(ramp/2 + plateau + decay).
    pub fn extra_arrivals(&self) -> f64 {
        (self.peak_per_s - self.base_per_s) * (self.ramp_s / 2.0 + self.plateau_s + self.decay_s)
    }

    /// Corner points (seconds, rate) for a load in straight pieces. The decay is cut into `pieces`
    /// over five constants, where 0.7 % of it is left.
    pub fn corners(&self, pieces: u32) -> Vec<(f64, f64)> {
        let decay_from = self.ramp_s + self.plateau_s;
        let mut corners = vec![(0.0, self.base_per_s), (self.ramp_s, self.peak_per_s)];
        corners.push((decay_from, self.peak_per_s));
        corners.extend((1..=pieces.max(1)).map(|piece| {
            let t_s = decay_from + 5.0 * self.decay_s * f64::from(piece) / f64::from(pieces.max(1));
            (t_s, self.rate_at(t_s))
        }));
        corners
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CROWD: FlashCrowd = FlashCrowd {
        base_per_s: 0.0,
        peak_per_s: 200.0,
        ramp_s: 60.0,
        plateau_s: 300.0,
        decay_s: 900.0,
    };

    #[test]
    fn a_quarter_million_arrivals() {
        assert!((CROWD.extra_arrivals() - 246_000.0).abs() < 1e-6);
        let counted: f64 = (0..40_000).map(|t| CROWD.rate_at(f64::from(t) + 0.5)).sum();
        assert!((counted / 246_000.0 - 1.0).abs() < 1e-4, "{counted}");
    }

    #[test]
    fn the_corners_lie_on_the_curve_and_hold_its_arrivals() {
        let corners = CROWD.corners(20);
        let area: f64 =
            corners.windows(2).map(|w| (w[1].0 - w[0].0) * (w[0].1 + w[1].1) / 2.0).sum();
        assert!((area / 246_000.0 - 1.0).abs() < 0.01, "{area}");
        assert!(corners.iter().all(|(t, rate)| (CROWD.rate_at(*t) - rate).abs() < 1e-9));
        assert!(corners.windows(2).all(|w| w[0].0 < w[1].0));
    }
}
