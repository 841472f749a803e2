//! Tests of the traffic model.

use super::*;

#[test]
fn no_message_is_lost_and_all_sums_agree() {
    let mut traffic = Traffic::new(7, 20);
    for seconds in [0.3, 1.0, 15.0, 61.0, 3600.0] {
        traffic.advance(seconds);
        let t = &traffic;
        assert_eq!(t.received, t.delivered + t.failed + t.scheduled() + t.ready());
        assert_eq!(t.received, t.received_smtp + t.received_http);
        assert_eq!(t.received, t.received_remote + t.received_authenticated + t.received_dsn + t.received_report);
        let domains = |of: fn(&Domain) -> u64| t.domains.iter().map(of).sum::<u64>();
        assert_eq!(domains(|d| d.delivered), t.delivered);
        assert_eq!(domains(|d| d.deferred), t.deferred);
        assert_eq!(domains(|d| d.failed), t.failed);
        assert_eq!(domains(|d| d.scheduled), t.scheduled());
        assert_eq!(domains(|d| d.ready), t.ready());
        assert_eq!(t.attempt_seconds.count, t.attempts());
        let by_outcome = [&t.delivered_attempt_seconds, &t.deferred_attempt_seconds, &t.failed_attempt_seconds];
        assert_eq!(by_outcome.map(|seconds| seconds.count), [t.delivered, t.deferred, t.failed]);
        let all = t.window_total(0, u64::MAX);
        let truth = Sums { sent: t.received, delivered: t.delivered, deferred: t.deferred, failed: t.failed, bytes: t.received_bytes };
        assert_eq!(all, truth);
    }
}

#[test]
fn shares_of_outcomes_are_realistic() {
    let mut traffic = Traffic::new(1, 20);
    traffic.advance(6.0 * 3600.0);
    let share = |n: u64| n as f64 / traffic.attempts() as f64;
    assert!((0.88..0.95).contains(&share(traffic.delivered)), "{}", share(traffic.delivered));
    assert!((0.04..0.10).contains(&share(traffic.deferred)), "{}", share(traffic.deferred));
    assert!((0.01..0.04).contains(&share(traffic.failed)), "{}", share(traffic.failed));
}

#[test]
fn adjacent_windows_add_up_to_the_total() {
    let mut traffic = Traffic::new(3, 5);
    traffic.advance(4000.0);
    let cut = EPOCH_UNIX_SECONDS + 1000;
    let mut both = traffic.window_total(0, cut);
    both += traffic.window_total(cut + 1, u64::MAX);
    assert_eq!(both, traffic.window_total(0, u64::MAX));
    assert!(traffic.window_total(cut + 1, u64::MAX).sent > 0);
}

#[test]
fn services_have_outages_and_the_queue_grows_and_shrinks() {
    let mut traffic = Traffic::new(2, 20);
    let mut down = 0;
    let mut depths = Vec::new();
    for _ in 0..600 {
        traffic.advance(15.0);
        down += u32::from(traffic.services.iter().any(|service| !service.up));
        depths.push(traffic.scheduled());
    }
    assert!((1..300).contains(&down), "{down}");
    assert!(depths.windows(2).any(|w| w[1] > w[0]) && depths.windows(2).any(|w| w[1] < w[0]));
    assert!(depths.iter().all(|depth| *depth < 2000), "{depths:?}");
}

#[test]
fn equal_seeds_produce_equal_traffic() {
    let (mut a, mut b, mut c) = (Traffic::new(9, 20), Traffic::new(9, 20), Traffic::new(10, 20));
    for traffic in [&mut a, &mut b, &mut c] {
        traffic.advance(77.7);
    }
    assert_eq!(format!("{a:?}"), format!("{b:?}"));
    assert_ne!(a.received, c.received);
}
