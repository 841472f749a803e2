//! The responses of an OTLP receiver to delivery records: rejected ones, and warnings.

use super::world::{TOKEN, World, client, lines, until};
use crate::support::otlp_receiver::{OtlpReceiver, Rules};
use crate::support::program::Program;
use std::ops::Range;

#[tokio::test(flavor = "multi_thread")]
async fn rejected_records_and_warnings_are_logged_once() {
    let (world, receiver) = (World::new(), OtlpReceiver::start(true, Rules::all()).await);
    let mut program = Program::spawn_with(world.state.path(), &world.file(Some(&receiver.url())), &[]);
    let (receive, pull) = (program.receive_url().await, program.base_url().await);
    let send = async |ids: Range<u64>| {
        let post = client().post(format!("{receive}/v1/deliveries/mta1")).bearer_auth(TOKEN).body(lines(ids));
        assert_eq!(post.send().await.unwrap().status().as_u16(), 200);
    };
    let logged = |text: &str| program.log().iter().filter(|line| line.contains(text)).count();
    for (rules, text) in [
        (Rules { rejected_points: 99, message: "too old", ..Rules::all() }, "the receiver rejected some delivery records: too old"),
        (
            Rules { rejected_points: -1, message: "nearly full", ..Rules::all() },
            "the receiver accepted delivery records with a warning: nearly full",
        ),
        (Rules::all(), "the receiver accepts delivery records again"),
    ] {
        receiver.set_rules(rules);
        let first = receiver.arrivals().len() as u64 * 10;
        send(first..first + 5).await;
        until(text, || logged(text) == 1).await;
        let arrivals = receiver.arrivals().len();
        send(first + 5..first + 10).await;
        until("further records have arrived", || receiver.arrivals()[arrivals..].iter().any(|arrival| arrival.path.contains("Logs"))).await;
    }
    let page = client().get(format!("{pull}/metrics")).send().await.unwrap().text().await.unwrap();
    let log = program.end();
    let rejected: Vec<_> = log.iter().filter(|line| line.contains("rejected some delivery records")).collect();
    assert!(rejected.len() == 1 && rejected[0].contains("records=5"), "only 5 records were sent: {rejected:?}");
    assert_eq!(log.iter().filter(|line| line.contains("delivery records with a warning")).count(), 1, "{log:#?}");
    assert_eq!(super::world::records(&page, "mta1", "refused"), 10.0);
}
