//! Mail systems with the parts, formats and credentials of the real ones, but few rules.

use postmeter::format::prometheus;
use postmeter::model::vocabulary::{DESTINATION_DOMAIN, QUEUE_DEPTH, TENANT_NAME};
use postmeter::source::{Credential, DeliveryLogApi, Part, ReadError, Request, Rule, Source, TARGET_URL};
use std::sync::LazyLock;
use std::time::Duration;

pub static SYSTEMS: LazyLock<Vec<&Source>> = LazyLock::new(|| vec![&CPANEL, &CEYMAIL, &KUMOMTA, &STALWART, &EMAILENGINE, &PROMETHEUS]);

const fn request(format: &'static str) -> Request {
    Request::get(format, "/", prometheus::read)
}

static AT_TARGET_URL: &[Request] = &[Request::get("text", TARGET_URL, prometheus::read)];
static ONE_FORMAT: &[Request] = &[request("json")];
static TWO_FORMATS: &[Request] = &[request("json"), request("text")];
static DETAILED: &[Rule] = &[
    Rule { detail: Some(("domain", &DESTINATION_DOMAIN)), ..Rule::new(&["depth_by_domain"], &QUEUE_DEPTH) },
    Rule { detail: Some(("tenant", &TENANT_NAME)), ..Rule::new(&["depth_by_tenant"], &QUEUE_DEPTH) },
];

const fn part(name: &'static str, credential: Credential, requests: &'static [Request], rules: &'static [Rule]) -> Part {
    Part { body_bytes_max: 1024, credential, rules, ..Part::new(name, "", requests) }
}

const fn system(name: &'static str, parts: &'static [Part]) -> Source {
    Source { min_interval: Duration::from_secs(10), ..Source::new(name, name, parts) }
}

const fn whm(name: &'static str) -> Part {
    part(name, Credential::Whm, ONE_FORMAT, &[])
}

static CPANEL: Source = Source {
    windowed: true,
    delivery_log: Some(&MESSAGES),
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
static MESSAGES: DeliveryLogApi =
    DeliveryLogApi { part: whm("messages"), newest_path: "", outcomes: &[], fields: &[], limits: &[], reader: |_| Err(ReadError::Empty) };
static CEYMAIL: Source =
    Source { requests_per_minute_max: Some(12), ..system("ceymail", &[part("metrics", Credential::Bearer, ONE_FORMAT, &[])]) };
static KUMOMTA: Source = system(
    "kumomta",
    &[part("metrics", Credential::Optional, TWO_FORMATS, DETAILED), part("machine-info", Credential::Optional, ONE_FORMAT, &[])],
);
static STALWART: Source =
    system("stalwart", &[part("metrics", Credential::Basic, ONE_FORMAT, &[]), part("queue", Credential::BearerOrBasic, TWO_FORMATS, &[])]);
/// Sends its delivery records as the real system does.
static EMAILENGINE: LazyLock<Source> =
    LazyLock::new(|| Source { hook: postmeter::source::by_name("emailengine").unwrap().hook, ..system("emailengine", EMAILENGINE_PARTS) });
static EMAILENGINE_PARTS: &[Part] = &[part("metrics", Credential::Bearer, ONE_FORMAT, &[])];
static PROMETHEUS: Source = system("prometheus", &[part("metrics", Credential::Optional, AT_TARGET_URL, &[])]);
