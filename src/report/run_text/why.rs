//! Why visitors waited longer than the answers took, in one sentence, and what to change. brunt's
//! own limits are never blamed on the target.

use crate::analysis::comparison::count_text;
use crate::analysis::{About, Summary};
use crate::base::Nanos;
use crate::plan::LoadPlan;

/// Response ÷ service time from which the difference deserves a sentence.
const APART: f64 = 1.2;

/// Below the highest quantile a difference must also be one that somebody may notice: that of a
/// median is otherwise that of a few microseconds.
const NOTICED: Nanos = Nanos::from_millis(1);

pub fn difference_of(s: &Summary, load: &LoadPlan) -> Option<String> {
    let (highest, _) = s.response_time_ns.highest()?;
    let apart = |name: &'static str| {
        let (response, service) = (s.response_time_ns.named(name)?, s.service_time_ns.named(name)?);
        let is_noticed = name == highest || response.saturating_sub(service) >= NOTICED;
        let is_apart = response.0 as f64 >= service.0 as f64 * APART;
        (is_apart && is_noticed).then_some((name, response, service))
    };
    let (name, response, service) = ["p99", "p95", "p90", "p50"].into_iter().find_map(apart)?;
    let gap = response.saturating_sub(service);
    let is_major = |part: Option<Nanos>| part.is_some_and(|p| p.0 * 2 >= gap.0);
    let is_late = is_major(s.start_lag_ns.named(name));
    let cause = if is_late && load.is_closed() {
        // Validity may have said so.
        if s.validity.doubts.iter().any(|d| d.about == About::Generator) {
            return None;
        }
        "the loop is limited by brunt's own CPU (--threads gives it more cores)".into()
    } else if is_late {
        "brunt itself started them late (give it more cores with --threads, or a lower rate)".into()
    } else if is_major(s.connection_wait_ns.named(name)) {
        format!("they waited for a free or new connection, {}", why_waited(s, load))
    } else {
        let timeout = load.timeout;
        format!("requests without an answer count with the time that they waited (up to {timeout})")
    };
    Some(format!("At {name}, visitors waited {response} where an answer took {service}: {cause}."))
}

fn why_waited(s: &Summary, load: &LoadPlan) -> String {
    let carries = in_flight_limit(load);
    // Workers share the cap, and a connection that is being made carries nothing yet.
    let is_at_cap = |most: u32| u64::from(most) * 20 >= carries * 19;
    if !load.is_closed() && s.generator.in_flight_max.is_some_and(is_at_cap) {
        let most = count_text(u64::from(load.connections_max));
        let how = match streams(load) {
            1 => "raise -c".to_string(),
            n => format!("{n} streams each; raise -c or --streams"),
        };
        return format!("because all {most} connections allowed were in use ({how})");
    }
    let handshake = if load.transport.tls.is_some() { " and a TLS handshake" } else { "" };
    match (load.keep_alive, load.transport.requests_per_connection) {
        (false, _) | (_, Some(1)) => {
            format!("because each request makes one{handshake} (--no-keepalive)")
        }
        (true, Some(n)) => {
            format!("because every {n} requests make one{handshake} (--requests-per-connection)")
        }
        (true, None) => "because the target was slow to answer others or to accept".into(),
    }
}

/// Requests that all connections together can carry at once.
fn in_flight_limit(load: &LoadPlan) -> u64 {
    u64::from(load.connections_max) * u64::from(streams(load))
}

/// Requests at once on a connection.
pub fn streams(load: &LoadPlan) -> u32 {
    match load.transport.protocol {
        crate::plan::Protocol::Http2 => load.transport.http2.streams_max.max(1),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::{Builder, power_off_story};
    use crate::analysis::{Doubt, Level, summarise};
    use crate::plan::Arrivals;
    use crate::plan::{Http2Plan, Protocol, TlsPlan};

    fn waited(change: impl FnOnce(&mut Summary, &mut LoadPlan)) -> String {
        let record = power_off_story().build();
        let mut s = summarise(&record);
        let ms = |n| Some(Nanos::from_millis(n));
        (s.response_time_ns.p99, s.service_time_ns.p99) = (ms(900), ms(100));
        s.connection_wait_ns.p99 = ms(800);
        let mut load = record.manifest.plan.load.clone();
        load.connections_max = 10;
        s.generator.in_flight_max = Some(5);
        change(&mut s, &mut load);
        difference_of(&s, &load).unwrap()
    }

    #[test]
    fn the_gap_between_response_and_service_has_a_sentence() {
        let of = |builder: Builder| {
            let record = builder.build();
            difference_of(&summarise(&record), &record.manifest.plan.load)
        };
        assert_eq!(of(Builder::new("vertical")), None);
        let drowned = of(Builder::new("garage").overloaded(6..20)).unwrap();
        assert!(drowned.contains("without an answer"), "{drowned}");
    }

    #[test]
    fn a_wait_for_ones_own_limits_is_not_blamed_on_the_target() {
        let text = waited(|s, _| s.generator.in_flight_max = Some(10));
        assert!(text.contains("all 10 connections") && text.contains("raise -c"), "{text}");
        let text = waited(|_, load| load.keep_alive = false);
        assert!(text.contains("--no-keepalive") && !text.contains("TLS"), "{text}");
        let text = waited(|_, load| {
            load.transport.requests_per_connection = Some(7);
            load.transport.tls = Some(TlsPlan::default());
        });
        assert!(text.contains("every 7 requests make one and a TLS handshake"), "{text}");
        let text = waited(|s, _| s.start_lag_ns.p99 = Some(Nanos::from_millis(700)));
        assert!(text.contains("brunt itself started them late"), "{text}");
    }

    #[test]
    fn a_closed_loop_at_full_speed_is_not_late_but_limited() {
        let closed = |s: &mut Summary, load: &mut LoadPlan| {
            s.start_lag_ns.p99 = Some(Nanos::from_millis(700));
            load.arrivals = Arrivals::Closed { connections: 10, think: Nanos::ZERO };
        };
        let text = waited(closed);
        assert!(text.contains("limited by brunt's own CPU") && !text.contains("late"), "{text}");
        let record = power_off_story().build();
        let mut s = summarise(&record);
        let ms = |n| Some(Nanos::from_millis(n));
        (s.response_time_ns.p99, s.service_time_ns.p99) = (ms(900), ms(100));
        let mut load = record.manifest.plan.load.clone();
        closed(&mut s, &mut load);
        s.validity.doubts.push(Doubt {
            about: About::Generator,
            level: Level::Doubt,
            seen: "brunt's own cores were 99 % busy".into(),
            remedy: String::new(),
        });
        assert_eq!(difference_of(&s, &load), None);
    }

    #[test]
    fn streams_raise_what_connections_carry() {
        let http2 = |load: &mut LoadPlan| {
            load.transport.protocol = Protocol::Http2;
            load.transport.http2 = Http2Plan { streams_max: 4, ..Http2Plan::default() };
        };
        let text = waited(|s, load| {
            http2(load);
            s.generator.in_flight_max = Some(10);
        });
        assert!(text.contains("target was slow"), "{text}");
        let text = waited(|s, load| {
            http2(load);
            s.generator.in_flight_max = Some(40);
        });
        assert!(text.contains("4 streams each"), "{text}");
    }

    #[test]
    fn a_median_that_differs_is_told_where_the_tails_do_not() {
        let median = |response_us, service_us| {
            let record = power_off_story().build();
            let mut s = summarise(&record);
            let us = |n| Some(Nanos::from_micros(n));
            for times in [&mut s.response_time_ns, &mut s.service_time_ns] {
                (times.p90, times.p95, times.p99) = (us(90_000), us(90_000), us(90_000));
            }
            s.response_time_ns.p50 = us(response_us);
            s.service_time_ns.p50 = us(service_us);
            difference_of(&s, &record.manifest.plan.load)
        };
        assert!(median(9_000, 3_000).unwrap().starts_with("At p50, visitors waited 9.00 ms"));
        assert_eq!(median(90, 60), None);
    }

    #[test]
    fn a_slow_target_is_named_where_it_is_one() {
        assert!(waited(|_, _| ()).contains("target was slow"));
    }
}
