//! Reused connections that the server has closed: the request is sent again until it has a new connection.

use crate::poll::common::{Act, Server, is_good, response, send, target};
use crate::support::FIXTURES;
use std::sync::Arc;
use tokio::sync::Semaphore;

#[tokio::test]
async fn a_poll_succeeds_although_all_idle_connections_were_closed() {
    let body = |file: &str| response("200 OK", std::fs::read_to_string(format!("{FIXTURES}/kumomta/{file}")).unwrap());
    let (metrics, info) = (body("metrics.json"), body("machine-info.json"));
    let both_arrived = Arc::new(Semaphore::new(0));
    let server = Server::start(move |nth, request| {
        let response = if request.starts_with("GET /metrics") { metrics.clone() } else { info.clone() };
        match nth {
            // The requests of two parts at the same time, which leave two connections.
            0 | 1 => {
                both_arrived.add_permits(2 * nth);
                vec![Act::Wait(both_arrived.clone()), Act::Send(response)]
            }
            2 | 3 => vec![Act::Close],
            _ => send(response),
        }
    })
    .await;
    let target = target(&format!("system: kumomta, url: '{}', parts: {{machine-info: {{}}}}", server.url()));
    is_good(&target.reading().await);
    assert_eq!((server.count(), server.connections()), (2, 2));
    // The second part is read once a minute.
    is_good(&target.reading().await);
    assert_eq!((server.count(), server.connections()), (5, 3));
}
