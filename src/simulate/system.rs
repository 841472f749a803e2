//! The mail systems that can be simulated: one row each.

use super::server::{Request, ServerState};
use super::{
    PASSWORD, TOKEN, USERNAME, ceymail, cpanel, dovecot, emailengine, exim, haraka, kumomta, maddy, mailcow, mox, pmg, postal, postfix,
    rspamd, stalwart,
};
use axum::response::Response;

/// A mail system that can be simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum System {
    /// cPanel and WHM.
    Cpanel,
    /// CeyMail.
    Ceymail,
    /// KumoMTA.
    Kumomta,
    /// Stalwart.
    Stalwart,
    /// EmailEngine.
    Emailengine,
    /// Postfix with its exporter.
    Postfix,
    /// Exim with its exporter.
    Exim,
    /// Dovecot.
    Dovecot,
    /// Rspamd.
    Rspamd,
    /// Mox.
    Mox,
    /// Maddy.
    Maddy,
    /// Haraka.
    Haraka,
    /// The SMTP server of Postal.
    Postal,
    /// mailcow.
    Mailcow,
    /// Proxmox Mail Gateway.
    Pmg,
}

/// Keys of a configuration file, with their values.
pub type Keys = &'static [(&'static str, &'static str)];

/// The simulation of one mail system.
struct Simulator {
    name: &'static str,
    respond: fn(ServerState<'_>, &Request) -> Response,
    /// Keys and values of a target's credentials in a configuration file.
    credentials: Keys,
    /// Optional parts that the server responds to, each with its own credentials.
    optional_parts: &'static [(&'static str, Keys)],
    /// Further keys of a target in the demo, in YAML's flow style.
    demo_keys: &'static str,
}

static CPANEL: Simulator = Simulator {
    name: "cpanel",
    respond: cpanel::respond,
    credentials: &[("username", USERNAME), ("token", TOKEN)],
    optional_parts: &[("fetch_mail_queue", &[]), ("servicestatus", &[]), ("systemloadavg", &[]), ("getdiskusage", &[]), ("version", &[])],
    demo_keys: "",
};

static CEYMAIL: Simulator = Simulator {
    name: "ceymail",
    respond: ceymail::respond,
    credentials: &[("token", TOKEN)],
    optional_parts: &[],
    // The server allows twelve requests a minute, and the demo is polled by its push and by every scrape.
    demo_keys: "min_interval: 10s, ",
};

static KUMOMTA: Simulator = Simulator {
    name: "kumomta",
    respond: kumomta::respond,
    credentials: &[],
    optional_parts: &[
        ("machine-info", &[]),
        ("liveness", &[]),
        ("suspensions", &[]),
        ("suspended-ready-queues", &[]),
        ("bounces", &[]),
        ("ready-queue-states", &[]),
    ],
    demo_keys: "detail: {by: domain, top: 10}, ",
};

static STALWART: Simulator = Simulator {
    name: "stalwart",
    respond: stalwart::respond,
    credentials: &[("username", USERNAME), ("password", PASSWORD)],
    optional_parts: &[("queue", &[("token", TOKEN)])],
    demo_keys: "",
};

static EMAILENGINE: Simulator = Simulator {
    name: "emailengine",
    respond: emailengine::respond,
    credentials: &[("token", TOKEN)],
    optional_parts: &[("stats", &[])],
    demo_keys: "",
};

static POSTFIX: Simulator = Simulator { name: "postfix", respond: postfix::respond, credentials: &[], optional_parts: &[], demo_keys: "" };

static EXIM: Simulator = Simulator { name: "exim", respond: exim::respond, credentials: &[], optional_parts: &[], demo_keys: "" };

static DOVECOT: Simulator = Simulator { name: "dovecot", respond: dovecot::respond, credentials: &[], optional_parts: &[], demo_keys: "" };

static RSPAMD: Simulator = Simulator { name: "rspamd", respond: rspamd::respond, credentials: &[], optional_parts: &[], demo_keys: "" };

static MOX: Simulator = Simulator { name: "mox", respond: mox::respond, credentials: &[], optional_parts: &[], demo_keys: "" };

static MADDY: Simulator = Simulator { name: "maddy", respond: maddy::respond, credentials: &[], optional_parts: &[], demo_keys: "" };

static HARAKA: Simulator = Simulator { name: "haraka", respond: haraka::respond, credentials: &[], optional_parts: &[], demo_keys: "" };

static POSTAL: Simulator = Simulator { name: "postal", respond: postal::respond, credentials: &[], optional_parts: &[], demo_keys: "" };

static MAILCOW: Simulator = Simulator {
    name: "mailcow",
    respond: mailcow::respond,
    credentials: &[("token", TOKEN)],
    optional_parts: &[("queue", &[]), ("rspamd", &[]), ("mailboxes", &[]), ("domains", &[]), ("quarantine", &[])],
    demo_keys: "min_interval: 15s, ",
};

static PMG: Simulator = Simulator {
    name: "pmg",
    respond: pmg::respond,
    credentials: &[("username", USERNAME), ("password", PASSWORD)],
    optional_parts: &[
        ("queue-active", &[]),
        ("queue-deferred", &[]),
        ("queue-hold", &[]),
        ("queue-incoming", &[]),
        ("quarantine-spam", &[]),
        ("quarantine-virus", &[]),
    ],
    demo_keys: "min_interval: 15s, ",
};

impl System {
    /// Every mail system that can be simulated.
    pub const ALL: [Self; 15] = [
        Self::Cpanel,
        Self::Ceymail,
        Self::Kumomta,
        Self::Stalwart,
        Self::Emailengine,
        Self::Postfix,
        Self::Exim,
        Self::Dovecot,
        Self::Rspamd,
        Self::Mox,
        Self::Maddy,
        Self::Haraka,
        Self::Postal,
        Self::Mailcow,
        Self::Pmg,
    ];
    /// The systems of the demo if none are selected: one of each kind of API.
    pub const DEMO: [Self; 5] = [Self::Cpanel, Self::Ceymail, Self::Kumomta, Self::Stalwart, Self::Emailengine];

    fn simulator(self) -> &'static Simulator {
        match self {
            Self::Cpanel => &CPANEL,
            Self::Ceymail => &CEYMAIL,
            Self::Kumomta => &KUMOMTA,
            Self::Stalwart => &STALWART,
            Self::Emailengine => &EMAILENGINE,
            Self::Postfix => &POSTFIX,
            Self::Exim => &EXIM,
            Self::Dovecot => &DOVECOT,
            Self::Rspamd => &RSPAMD,
            Self::Mox => &MOX,
            Self::Maddy => &MADDY,
            Self::Haraka => &HARAKA,
            Self::Postal => &POSTAL,
            Self::Mailcow => &MAILCOW,
            Self::Pmg => &PMG,
        }
    }

    /// The name of the system in configuration files.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.simulator().name
    }

    /// Returns the system with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|system| system.name() == name)
    }

    /// The keys and values that a client authenticates with, as in a target of a configuration file.
    #[must_use]
    pub fn credentials(self) -> Keys {
        self.simulator().credentials
    }

    /// Returns [`Self::credentials`] in YAML's flow style, each key followed by a comma and a space.
    #[must_use]
    pub fn credential_keys(self) -> String {
        flow_style(self.credentials())
    }

    /// The optional parts of a poll that the simulated server responds to, each with its own credentials.
    #[must_use]
    pub fn optional_parts(self) -> &'static [(&'static str, Keys)] {
        self.simulator().optional_parts
    }

    /// Returns the key `parts` of a target in YAML's flow style, followed by a comma and a space: every optional part that the simulated
    /// server responds to, and `more_parts`, which is empty or ends the same way.
    #[must_use]
    pub fn parts_key(self, more_parts: &str) -> String {
        let part = |(name, credentials): &(&str, Keys)| format!("{name}: {{{}}}, ", flow_style(credentials));
        let parts: String = self.optional_parts().iter().map(part).collect();
        if parts.is_empty() && more_parts.is_empty() { String::new() } else { format!("parts: {{{parts}{more_parts}}}, ") }
    }

    /// Further keys of a target in the demo, in YAML's flow style, each followed by a comma and a space.
    #[must_use]
    pub fn demo_keys(self) -> &'static str {
        self.simulator().demo_keys
    }

    /// Responds to a request as the mail system does.
    pub(super) fn respond(self, state: ServerState<'_>, request: &Request) -> Response {
        (self.simulator().respond)(state, request)
    }
}

fn flow_style(keys: &[(&str, &str)]) -> String {
    keys.iter().map(|(key, value)| format!("{key}: {value}, ")).collect()
}
