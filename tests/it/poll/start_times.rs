//! Start times that a server reports for its series.

use crate::poll::common::{Server, is_good, response, target_at};
use std::time::{Duration, SystemTime};

const NOW: u64 = 1_700_000_000;

#[tokio::test]
async fn a_start_after_the_reading_is_omitted() {
    let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let starts = [NOW - 1000, NOW, NOW + 1, NOW + 1000];
    let series: String = starts.iter().map(|start| format!("c_total{{s=\"{start}\"}} 1\nc_created{{s=\"{start}\"}} {start}\n")).collect();
    let server = Server::always(response("200 OK", format!("# TYPE c counter\n{series}# EOF\n"))).await;
    let target =
        target_at(&format!("system: prometheus, url: '{}/metrics'", server.url()), || SystemTime::UNIX_EPOCH + Duration::from_secs(NOW));
    let reading = target.reading().await;
    is_good(&reading);
    assert_eq!(reading.at, at(NOW));
    let samples = reading.native.families().flat_map(|family| family.samples().map(|sample| sample.created()).collect::<Vec<_>>());
    assert_eq!(samples.collect::<Vec<_>>(), [Some((NOW - 1000) * 1_000_000_000), Some(NOW * 1_000_000_000), None, None]);
}
