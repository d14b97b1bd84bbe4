//! Long runs as pictures: several seconds to a point, never a part of the run left out.

/// Points of a line that a screen can tell apart.
const POINTS_MAX: u32 = 720;

/// Equal stretches of whole seconds that cover a run; the last may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bins {
    seconds: u32,
    /// Seconds to a point.
    pub step: u32,
}

impl Bins {
    pub fn of(seconds: u32) -> Bins {
        Bins::with_at_most(seconds, POINTS_MAX)
    }

    pub fn with_at_most(seconds: u32, points: u32) -> Bins {
        Bins { seconds, step: seconds.div_ceil(points).max(1) }
    }

    pub fn every(seconds: u32, step: u32) -> Bins {
        Bins { seconds, step }
    }

    pub fn count(self) -> usize {
        self.seconds.div_ceil(self.step) as usize
    }

    /// The bin of a second, if the run has it.
    pub fn index(self, second: u32) -> Option<usize> {
        (second < self.seconds).then_some((second / self.step) as usize)
    }

    /// Each bin's seconds made one.
    pub fn each<T, U>(self, seconds: &[T], join: impl Fn(&[T]) -> U) -> Vec<U> {
        seconds.chunks(self.step as usize).map(join).collect()
    }
}

/// The mean of what is known.
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.into_iter().fold((0.0, 0u32), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_drawn_whole_and_a_minute_second_by_second() {
        let minute = Bins::of(60);
        assert_eq!((minute.step, minute.count(), minute.index(59)), (1, 60, Some(59)));
        let hour = Bins::of(3601);
        assert_eq!((hour.step, hour.count(), hour.index(3600)), (6, 601, Some(600)));
        assert_eq!(hour.index(3601), None);
        let seconds: Vec<u32> = (0..3601).collect();
        let joined = hour.each(&seconds, |part| part.len());
        assert_eq!((joined.len(), joined.iter().sum::<usize>()), (601, 3601));
        assert_eq!(joined[600], 1);
    }

    #[test]
    fn nothing_known_is_no_mean() {
        assert_eq!(mean([]), None);
        assert_eq!(mean([1.0, 2.0]), Some(1.5));
    }
}
