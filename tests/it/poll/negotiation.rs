//! The format that a request prefers, and what a server that has several formats responds.

use crate::poll::common::{GOOD, Server, is_good, response, send, target};

/// The value of `Accept` that a target of this system sends, with these further keys.
async fn accepted(keys: &str) -> String {
    let server = Server::always(response("200 OK", GOOD)).await;
    let url = server.url();
    is_good(&target(&format!("{keys}, url: '{url}'")).reading().await);
    let request = server.requests().remove(0);
    request.lines().find_map(|line| line.strip_prefix("accept: ")).unwrap().to_owned()
}

#[tokio::test]
async fn only_the_generic_system_requests_openmetrics() {
    let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,\
                        text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    let text = "text/plain;version=0.0.4, text/plain;q=0.9, */*;q=0.1";
    assert_eq!(accepted("system: prometheus").await, prometheus_3);
    assert_eq!(accepted("system: prometheus, format: openmetrics").await, prometheus_3);
    assert_eq!(accepted("system: prometheus, format: text").await, text);
    assert_eq!(accepted("system: emailengine, token: x").await, text);
    for format in ["openmetrics", "text"] {
        let keys = format!("system: prometheus, format: {format}, headers: {{Accept: application/openmetrics-text}}");
        assert_eq!(accepted(&keys).await, "application/openmetrics-text", "{format}");
    }
}

/// Responds as client libraries do: in OpenMetrics if the request accepts it, and in the text format otherwise.
async fn negotiating_server() -> Server {
    const OPENMETRICS: &str = "# TYPE mails counter\nmails_total{l=\"a\"} 3 # {trace_id=\"0123456789abcdef0123456789abcdef\"} 1 1795872000\n\
                               mails_created{l=\"a\"} 1795871000.5\n# TYPE bld info\nbld_info{v=\"1\"} 1\n\
                               # TYPE \"süd.queue\" gauge\n{\"süd.queue\",\"a.b\"=\"c\"} 2\n# EOF\n";
    const TEXT: &str = "# TYPE mails counter\nmails{l=\"a\"} 3\n# TYPE mails_created gauge\nmails_created{l=\"a\"} 1795871000.5\n\
                        # TYPE bld_info gauge\nbld_info{v=\"1\"} 1\n# TYPE s_d_queue gauge\ns_d_queue{a_b=\"c\"} 2\n";
    Server::start(|_, request| {
        let accept = request.lines().find_map(|line| line.strip_prefix("accept: ")).unwrap_or_default();
        send(if accept.contains("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8") {
            response(
                "200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
                OPENMETRICS,
            )
        } else {
            response("200 OK\r\nContent-Type: text/plain; version=0.0.4", TEXT)
        })
    })
    .await
}

#[tokio::test]
async fn a_negotiating_server_responds_with_start_times_exemplars_and_utf_8_names() {
    let server = negotiating_server().await;
    let url = server.url();
    let families = async |keys: &str| {
        let reading = target(&format!("system: prometheus, url: '{url}'{keys}")).reading().await;
        is_good(&reading);
        let native = &reading.native;
        let names: Vec<String> = native.families().map(|family| format!("{} {:?}", family.name(), family.kind())).collect();
        (names.join(", "), native.has_created(), native.has_exemplars())
    };
    let openmetrics = "bld_info Info, mails_total Counter, süd.queue Gauge".to_owned();
    assert_eq!(families("").await, (openmetrics, true, true));
    let text = "bld_info Gauge, mails Counter, mails_created Gauge, s_d_queue Gauge".to_owned();
    assert_eq!(families(", format: text").await, (text.clone(), false, false));
    assert_eq!(families(", headers: {Accept: text/plain}").await, (text, false, false));
}
