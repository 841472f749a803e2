//! The captures: the part of each, those that are something else, and those that are errors.

/// The system and the part of captures, by the beginning of their path. The longest match is first.
pub const PARTS: &[(&str, &str, &str)] = &[
    ("ceymail/", "ceymail", "metrics"),
    ("cpanel/01-", "cpanel", "emailtrack_user_stats"),
    ("cpanel/02-", "cpanel", "emailtrack_user_stats"),
    ("cpanel/05-", "cpanel", "emailtrack_stats"),
    ("cpanel/08-", "cpanel", "fetch_mail_queue"),
    ("cpanel/09-", "cpanel", "servicestatus"),
    ("cpanel/2", "cpanel", "emailtrack_user_stats"),
    ("emailengine/", "emailengine", "metrics"),
    ("kumomta/admin-bounce-", "kumomta", "bounces"),
    ("kumomta/admin-ready-q-states-", "kumomta", "ready-queue-states"),
    ("kumomta/admin-suspend-ready-q-", "kumomta", "suspended-ready-queues"),
    ("kumomta/admin-suspend-", "kumomta", "suspensions"),
    ("kumomta/kumo-check-liveness-", "kumomta", "liveness"),
    ("kumomta/", "kumomta", "metrics"),
    ("dovecot/", "dovecot", "metrics"),
    ("exim/", "exim", "metrics"),
    ("haraka/", "haraka", "metrics"),
    ("maddy/", "maddy", "metrics"),
    ("mox/", "mox", "metrics"),
    ("postal/", "postal", "metrics"),
    ("postfix/", "postfix", "metrics"),
    ("rspamd/", "rspamd", "metrics"),
    ("stalwart/0.15.5/1", "stalwart", "queue"),
    ("stalwart/0.15.5/2", "stalwart", "queue"),
    ("stalwart/0.15.5/0", "stalwart", "metrics"),
    ("stalwart/0.16.18/1", "stalwart", "queue"),
    ("stalwart/0.16.18/2", "stalwart", "queue"),
    ("stalwart/0.16.18/0", "stalwart", "metrics"),
    ("mailcow/status-containers.", "mailcow", "containers"),
    ("mailcow/err-", "mailcow", "containers"),
    ("mailcow/mailq-all.", "mailcow", "queue"),
    ("mailcow/logs-rspamd-stats.", "mailcow", "rspamd"),
    ("mailcow/mailbox-all.", "mailcow", "mailboxes"),
    ("mailcow/domain-all.", "mailcow", "domains"),
    ("mailcow/quarantine-all.", "mailcow", "quarantine"),
    ("pmg/statistics-mail.", "pmg", "statistics"),
    ("pmg/err-", "pmg", "statistics"),
    ("pmg/postfix-qshape-", "pmg", "queue-deferred"),
    ("pmg/quarantine-spamstatus.", "pmg", "quarantine-spam"),
    ("pmg/quarantine-virusstatus.", "pmg", "quarantine-virus"),
    ("sendgrid/", "sendgrid", "stats"),
    ("mailgun/", "mailgun", "metrics"),
    ("postmark/stats-outbound.", "postmark", "outbound"),
    ("postmark/err-", "postmark", "outbound"),
    ("powermta/status.", "powermta", "status"),
    ("powermta/err-", "powermta", "status"),
];

/// Files that are not responses of a part.
pub const OTHER: &[&str] = &[
    "README.md",
    "emailengine/families.tsv",
    // Details of single queues, and a policy.
    "kumomta/kumo-inspect-ready-q.json",
    "kumomta/kumo-inspect-sched-q.json",
    "kumomta/least-privilege.lua",
    "stalwart/0.15.5/otlp_push_at_09.json",
    // A ticket, and statistics that no part requests.
    "pmg/access-ticket.shape.json",
    "pmg/statistics-mailcount.shape.json",
    "postmark/stats-outbound-bounces.shape.json",
    "postmark/stats-outbound-sends.shape.json",
    "postmark/stats-outbound-spam.shape.json",
    "powermta/domains.shape.json",
    "powermta/queues.shape.json",
    "powermta/vmtas.shape.json",
    // Records, which no part requests yet.
    "cpanel/06a-emailtrack_search.page1.json",
    "cpanel/06b-emailtrack_search.page2.json",
];

/// Returns `true` if a file is not a response of a part.
pub fn is_other(capture: &str) -> bool {
    OTHER.contains(&capture)
        || [".md", ".conf", ".lua"].iter().any(|ending| capture.ends_with(ending))
        || capture.starts_with("postal/") && capture.ends_with(".http")
}

/// Captures that are errors, each with the beginning of the message after the path.
pub const ERRORS: &[(&str, &str)] = &[
    ("ceymail/11-401-missing.constructed.http", "the server responded with 401 Unauthorized: set token "),
    ("ceymail/13-429.source-shaped.http", "the server responded with 429 Too Many Requests: "),
    ("cpanel/20-err-403-access-denied.http", "the server responded with 403 Forbidden Access denied: set username, and token "),
    ("cpanel/21-err-result0-unknown-app.http", "the server rejected the request: Unknown app (“emailtrack_userstats”) "),
    ("emailengine/02-no-token.txt", "the server responded with 401 Unauthorized: set token "),
    ("emailengine/03-wrong-token.txt", "the server responded with 401 Unauthorized: set token "),
    ("emailengine/05-api-scope-token.txt", "the server responded with 403 Forbidden: set token "),
    ("stalwart/0.15.5/02_noauth.txt", "the server responded with 401 Unauthorized: set username and password "),
    ("stalwart/0.15.5/03_wrongauth.txt", "the server responded with 401 Unauthorized: set username and password "),
    ("stalwart/0.15.5/16_queue_status.txt", "the response cannot be read: "),
    ("stalwart/0.15.5/18_telemetry_metrics_community.txt", "the server rejected the request: unsupported Enterprise feature"),
    ("stalwart/0.15.5/22_queue_badauth.txt", "the server responded with 401 Unauthorized: set parts.queue.token "),
    ("stalwart/0.15.5/23_queue_user_noperm.txt", "the server responded with 403 Forbidden: set parts.queue.token "),
    ("stalwart/0.16.18/02_wrongauth.txt", "the server responded with 401 Unauthorized: set username and password "),
    ("stalwart/0.16.18/06_disabled_404.txt", "the server responded with 404 Not Found: enable the Prometheus endpoint "),
    ("stalwart/0.16.18/16_metric_enterprise.txt", "the server denied access (forbidden This feature is only available "),
    ("stalwart/0.16.18/20_jmap_noauth.txt", "the server responded with 401 Unauthorized: set parts.queue.token "),
    ("mailcow/err-200-no-key-empty.shape.http", "the response has no metrics in it"),
    ("mailcow/err-401-ip.shape.http", "the server responded with 401 Unauthorized: set token to an API key "),
    ("mailcow/err-401-key.shape.http", "the server responded with 401 Unauthorized: set token to an API key "),
    (
        "mailcow/logs-rspamd-stats.unreachable.shape.json",
        "the response cannot be read: no path leads to a value; the response is an empty object",
    ),
    ("pmg/err-401-api-token.shape.http", "the server responded with 401 API tokens not implemented: set username "),
    ("pmg/err-401-no-ticket.shape.http", "the server responded with 401 No ticket: set username "),
    ("pmg/err-403-role.shape.http", "the server responded with 403 Permission check failed: set username "),
    ("sendgrid/err-401.shape.http", "the server responded with 401 Unauthorized: set token "),
    ("sendgrid/err-429.shape.http", "the server responded with 429 TOO MANY REQUESTS: "),
    ("mailgun/err-401.shape.http", "the server responded with 401 Unauthorized: set username to api "),
    ("mailgun/err-429.shape.http", "the server responded with 429 Too Many Requests: "),
    ("postmark/err-401.shape.http", "the server responded with 401 Unauthorized: set token to the server token "),
    ("powermta/err-403-http-access.shape.http", "the server responded with 403 Forbidden: allow this address "),
];

/// Empty lists, which have no series.
pub const EMPTY: &[&str] = &["mailcow/quarantine-all.empty.shape.json"];
