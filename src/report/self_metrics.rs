//! The report of Postmeter's own metrics.
//!
//! The SDK dates their points with the clock. A receiver may reject a request, with the metrics of all targets, if a point is not newer
//! than the last one of its series. So these reports follow each other like the readings of a target, also if two are made within a
//! millisecond or the clock is set back.

use super::transition::ReadingHistory;
use super::{NativeReport, ReadingStatus, Report, UnixNanos};
use opentelemetry_proto::tonic::metrics::v1::ScopeMetrics;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;

/// The times of the reports so far.
#[derive(Debug, Default)]
pub struct SelfMetricsState {
    reports: ReadingHistory,
}

impl SelfMetricsState {
    /// Reports these metrics, collected at this time, later than those before.
    pub fn report(&mut self, collected_at: UnixNanos, mut canonical: Vec<ScopeMetrics>) -> Report {
        self.reports.follow_clock(collected_at);
        let time = self.reports.add(ReadingStatus::failed(collected_at)).time;
        for metric in canonical.iter_mut().flat_map(|scope| &mut scope.metrics) {
            match &mut metric.data {
                Some(Data::Gauge(gauge)) => {
                    gauge.data_points.iter_mut().for_each(|p| set_time(time, &mut p.start_time_unix_nano, &mut p.time_unix_nano));
                }
                Some(Data::Sum(sum)) => {
                    sum.data_points.iter_mut().for_each(|p| set_time(time, &mut p.start_time_unix_nano, &mut p.time_unix_nano));
                }
                Some(Data::Histogram(histogram)) => {
                    histogram.data_points.iter_mut().for_each(|p| set_time(time, &mut p.start_time_unix_nano, &mut p.time_unix_nano));
                }
                Some(Data::ExponentialHistogram(histogram)) => {
                    histogram.data_points.iter_mut().for_each(|p| set_time(time, &mut p.start_time_unix_nano, &mut p.time_unix_nano));
                }
                Some(Data::Summary(_)) | None => {}
            }
        }
        Report { canonical, canonical_ends: Vec::new(), native: NativeReport::empty(time) }
    }
}

/// Sets the time of a point. It cannot have begun later.
fn set_time(time: UnixNanos, start: &mut u64, point_time: &mut u64) {
    *point_time = time.get();
    *start = time.get().min(*start);
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, NumberDataPoint, Sum};

    const MILLISECOND: u64 = 1_000_000;

    #[test]
    fn each_report_is_later_than_the_one_before() {
        let mut state = SelfMetricsState::default();
        let mut at = |milliseconds: u64| {
            let time_unix_nano = milliseconds * MILLISECOND;
            let point = NumberDataPoint { start_time_unix_nano: 900_000 * MILLISECOND, time_unix_nano, ..Default::default() };
            let gauge = Data::Gauge(Gauge { data_points: vec![point.clone()] });
            let sum = Data::Sum(Sum { data_points: vec![point], ..Default::default() });
            let metrics = [gauge, sum].map(|data| Metric { data: Some(data), ..Default::default() }).into();
            let report = state.report(UnixNanos::new(time_unix_nano).unwrap(), vec![ScopeMetrics { metrics, ..Default::default() }]);
            let points = report.canonical.into_iter().flat_map(|scope| scope.metrics).flat_map(|metric| match metric.data {
                Some(Data::Gauge(gauge)) => gauge.data_points,
                Some(Data::Sum(sum)) => sum.data_points,
                other => panic!("{other:?}"),
            });
            let times: Vec<_> = points.map(|p| (p.start_time_unix_nano / MILLISECOND, p.time_unix_nano / MILLISECOND)).collect();
            assert_eq!(times[0], times[1]);
            times[0]
        };
        assert_eq!(at(1_000_000), (900_000, 1_000_000));
        assert_eq!(at(1_000_000), (900_000, 1_000_002));
        assert_eq!(at(1_015_000), (900_000, 1_015_000));
        // The clock was set back by a minute, and then by 20 minutes.
        assert_eq!(at(955_000), (900_000, 1_015_002));
        assert_eq!(at(1_030_000), (900_000, 1_030_000));
        assert_eq!(at(300_000), (300_000, 300_000));
        assert_eq!(at(315_000), (315_000, 315_000));
    }
}
