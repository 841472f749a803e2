//! Mail systems with the parts, formats and credentials of the real ones, but few rules.

use postmeter::format::prometheus;
use postmeter::model::vocabulary::{DESTINATION_DOMAIN, QUEUE_DEPTH, TENANT_NAME};
use postmeter::source::{Credential, Part, ReadError, Records, Request, Rule, Source, WHOLE_URL};
use std::time::Duration;

pub static SYSTEMS: &[&Source] = &[&CPANEL, &CEYMAIL, &KUMOMTA, &STALWART, &EMAILENGINE, &PROMETHEUS];

const fn request(format: &'static str) -> Request {
    Request { format, path: "/", post: None, read: prometheus::read }
}

static WHOLE: &[Request] = &[Request { format: "text", path: WHOLE_URL, post: None, read: prometheus::read }];
static ONE: &[Request] = &[request("json")];
static TWO: &[Request] = &[request("json"), request("text")];
static DETAILED: &[Rule] = &[
    Rule::new(&["depth_by_domain"], &QUEUE_DEPTH).detail("domain", &DESTINATION_DOMAIN),
    Rule::new(&["depth_by_tenant"], &QUEUE_DEPTH).detail("tenant", &TENANT_NAME),
];

const fn part(name: &'static str, credential: Credential, requests: &'static [Request], rules: &'static [Rule]) -> Part {
    Part {
        name,
        help: "",
        requests,
        body_bytes_max: 1024,
        credential,
        rules,
        known_by: &[],
        misnamed_when: &[],
        interval: None,
        on_unauthorized: "",
        on_not_found: "",
    }
}

const fn system(name: &'static str, parts: &'static [Part]) -> Source {
    Source {
        name,
        title: name,
        parts,
        min_interval: Duration::from_secs(10),
        timeout: Duration::from_secs(10),
        requests_per_minute_max: None,
        windowed: false,
        gauges_underflow: false,
        mistyped_counters: &[],
        version: None,
        counters_since: None,
        process_since: None,
        records: None,
    }
}

const fn whm(name: &'static str) -> Part {
    part(name, Credential::Whm, ONE, &[])
}

static CPANEL: Source = Source {
    windowed: true,
    records: Some(&MESSAGES),
    mistyped_counters: &[],
    min_interval: Duration::from_secs(60),
    timeout: Duration::from_secs(30),
    ..system(
        "cpanel",
        &[
            whm("emailtrack_user_stats"),
            whm("emailtrack_stats"),
            whm("fetch_mail_queue"),
            whm("servicestatus"),
            whm("systemloadavg"),
            whm("getdiskusage"),
            whm("version"),
            whm("email_logs"),
        ],
    )
};
static MESSAGES: Records = Records { part: whm("messages"), newest_path: "", read: |_| Err(ReadError::Empty) };
static CEYMAIL: Source =
    Source { requests_per_minute_max: Some(12), ..system("ceymail", &[part("metrics", Credential::Bearer, ONE, &[])]) };
static KUMOMTA: Source = system(
    "kumomta",
    &[part("metrics", Credential::TrustedAddress, TWO, DETAILED), part("machine-info", Credential::TrustedAddress, ONE, &[])],
);
static STALWART: Source = system("stalwart", &[part("metrics", Credential::Basic, ONE, &[]), part("queue", Credential::Bearer, TWO, &[])]);
static EMAILENGINE: Source = system("emailengine", &[part("metrics", Credential::Bearer, ONE, &[])]);
static PROMETHEUS: Source = system("prometheus", &[part("metrics", Credential::TrustedAddress, WHOLE, &[])]);
