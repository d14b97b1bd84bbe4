//! Known answers of methods §6.6.

use super::*;

const SPEC_SDM91: [(f64, f64); 7] = [
    (1.0, 64.9),
    (18.0, 995.9),
    (36.0, 1652.4),
    (72.0, 1853.2),
    (108.0, 1828.9),
    (144.0, 1775.0),
    (216.0, 1702.2),
];

const RAYTRACER: [(f64, f64); 11] = [
    (1.0, 20.0),
    (4.0, 78.0),
    (8.0, 130.0),
    (12.0, 170.0),
    (16.0, 190.0),
    (20.0, 200.0),
    (24.0, 210.0),
    (28.0, 230.0),
    (32.0, 260.0),
    (48.0, 280.0),
    (64.0, 310.0),
];

/// Schwartz, *Practical Scalability Analysis*: throughput of a Cisco benchmark at 1 to 32.
const CISCO: [f64; 32] = [
    955.16, 1878.91, 2688.01, 3548.68, 4315.54, 5130.43, 5931.37, 6531.08, 7219.8, 7867.61,
    8278.71, 8646.7, 9047.84, 9426.55, 9645.37, 9897.24, 10097.6, 10240.5, 10532.39, 10798.52,
    11151.43, 11518.63, 11806.0, 12089.37, 12075.41, 12177.29, 12211.41, 12158.93, 12155.27,
    12118.04, 12140.4, 12074.39,
];

fn cisco(count: usize) -> Vec<(f64, f64)> {
    CISCO[..count].iter().enumerate().map(|(i, x)| ((i + 1) as f64, *x)).collect()
}

#[track_caller]
fn close(seen: f64, expected: f64, relative: f64) {
    assert!((seen / expected - 1.0).abs() <= relative, "{seen} instead of {expected}");
}

#[test]
fn spec_sdm91() {
    let fit = fit_usl(&SPEC_SDM91).unwrap();
    close(fit.alpha.value, 0.0277285, 2e-5);
    close(fit.alpha.error.unwrap(), 0.0091217, 1e-4);
    close(fit.beta.value, 1.043655e-4, 1e-5);
    close(fit.beta.error.unwrap(), 1.9875e-5, 1e-4);
    close(fit.gamma.value, 89.9952, 1e-5);
    close(fit.gamma.error.unwrap(), 14.213, 1e-4);
    close(fit.sigma, 82.846, 1e-4);
    let (n, x) = fit.peak().unwrap();
    close(n, 96.51956, 1e-5);
    close(x, 1883.9, 1e-4);
    close(fit.ceiling().unwrap(), 3245.59, 1e-5);
    close(fit.optimum().unwrap(), 36.064, 2e-5);
    let expected = [-25.1, -81.7, 111.1, 3.05, -49.99, -46.6, 56.0];
    for (seen, expected) in fit.residuals().iter().zip(expected) {
        assert!((seen - expected).abs() < 0.06, "{seen} instead of {expected}");
    }
}

#[test]
fn the_peak_has_an_interval_around_it() {
    let fit = fit_usl(&SPEC_SDM91).unwrap();
    let [n, x] = fit.peak_interval(1).unwrap();
    let (peak_n, peak_x) = fit.peak().unwrap();
    assert!(n.0 < peak_n && peak_n < n.1, "{n:?}");
    assert!(x.0 < x.1 && x.1 <= peak_x * 1.2, "{x:?}");
    assert_eq!(fit_amdahl(&SPEC_SDM91).unwrap().peak_interval(1), None);
}

#[test]
fn raytracer() {
    let six = fit_usl(&RAYTRACER[..6]).unwrap();
    close(six.alpha.value, 0.0244440, 1e-4);
    close(six.beta.value, 0.00162681, 1e-4);
    close(six.gamma.value, 20.8560, 1e-4);
    close(six.alpha.error.unwrap(), 0.0083907, 1e-4);
    close(six.beta.error.unwrap(), 0.0002614, 5e-4);
    close(six.gamma.error.unwrap(), 0.78851, 1e-4);
    let five = fit_usl(&RAYTRACER[..5]).unwrap();
    close(five.alpha.value, 0.0278950, 1e-4);
    close(five.beta.value, 0.00146080, 1e-4);
    close(five.gamma.value, 21.0593, 1e-4);
}

#[test]
fn intervals_use_n_minus_three() {
    let alpha = fit_usl(&RAYTRACER[..6]).unwrap().alpha;
    close(alpha.high - alpha.value, 0.02670, 2e-3);
    close(alpha.value - alpha.low, 0.02670, 2e-3);
}

#[test]
fn a_negative_beta_is_no_peak() {
    let free = best(&RAYTRACER, [true; 3]);
    close(free.at[2], -2.011e-4, 1e-3);
    // The published fit (.0578796, 21.8651) stopped a little above this minimum.
    let fit = fit_usl(&RAYTRACER).unwrap();
    close(fit.alpha.value, 0.0578796, 2e-3);
    close(fit.gamma.value, 21.8651, 1e-3);
    close(fit.sigma, 9.3364, 1e-4);
    close(fit.ceiling().unwrap(), 377.77, 2e-3);
    let published = |(n, x): &(f64, f64)| (x - usl(*n, &[21.8651, 0.0578796, 0.0]).0).powi(2);
    assert!(fit.squares <= RAYTRACER.iter().map(published).sum());
    assert!(fit.beta_at_bound && fit.beta.value == 0.0 && fit.beta.error.is_none());
    assert_eq!(fit.peak(), None);
    assert_eq!(choose(&RAYTRACER).unwrap().model, Model::Amdahl);
}

#[test]
fn cisco_as_in_the_book() {
    let fit = fit_usl(&cisco(32)).unwrap();
    close(fit.alpha.value, 0.02671591, 2e-4);
    close(fit.beta.value, 7.690945e-4, 2e-4);
    close(fit.gamma.value, 995.6486, 2e-4);
    let (n, x) = fit.peak().unwrap();
    assert_eq!(n.floor(), 35.0);
    close(x, 12341.0, 2e-4);
    assert_eq!(choose(&cisco(32)).unwrap().model, Model::Usl);
    let ten = fit_usl(&cisco(10)).unwrap();
    close(ten.alpha.value, 0.0170028, 2e-4);
    close(ten.beta.value, 4.46539e-4, 2e-4);
    close(ten.gamma.value, 938.379, 2e-4);
}

#[test]
fn a_law_without_noise_is_found_again() {
    let points =
        [(1.0, 1.0), (2.0, 1.8868), (4.0, 3.0769), (6.0, 3.5294), (8.0, 3.5398), (10.0, 3.3557)];
    let fit = choose(&points).unwrap();
    assert_eq!(fit.model, Model::Usl);
    assert!((fit.alpha.value - 0.02).abs() < 1e-4, "{fit:?}");
    assert!((fit.beta.value - 0.02).abs() < 1e-4, "{fit:?}");
    assert!((fit.gamma.value - 1.0).abs() < 1e-4, "{fit:?}");
    close(fit.peak().unwrap().0, 7.0, 1e-3);
    close(fit.efficiency(2.0), 0.9434, 1e-3);
}

#[test]
fn a_straight_line_stays_one() {
    let noise = [0.4, -0.3, 0.2, -0.5, 0.1, 0.3, -0.2];
    let points: Vec<(f64, f64)> = noise
        .iter()
        .enumerate()
        .map(|(i, e)| ((i + 1) as f64, 10.0 * (i + 1) as f64 + e))
        .collect();
    assert_eq!(choose(&points).unwrap().model, Model::Linear);
}

#[test]
fn beyond_twice_the_measured_there_is_no_number() {
    let fit = fit_usl(&cisco(10)).unwrap();
    assert_eq!(fit.predict(21.0), Prediction::NotMeasured { measure_at_least: 11.0 });
    let Prediction::Rate { expected, low, high } = fit.predict(20.0) else {
        panic!("20 is 2 · 10")
    };
    assert!(low < expected && expected < high);
    assert!((expected - 11_000.0).abs() < 2_000.0, "{expected}");
}

#[test]
fn what_is_missing_is_said() {
    let error = fit_usl(&RAYTRACER[..3]).unwrap_err();
    assert_eq!(error, ScalingError::TooFewSizes { have: 3, need: 4 });
    assert!(error.to_string().ends_with("measure 1 more"), "{error}");
    assert_eq!(sizes_missing(&RAYTRACER[..4]), 2);
    assert_eq!(sizes_missing(&RAYTRACER), 0);
    assert!(matches!(fit_linear(&[(1.0, 0.0), (2.0, 1.0)]), Err(ScalingError::NotPositive { .. })));
}
