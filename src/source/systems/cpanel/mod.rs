//! Readers of WHM API 1, and the delivery log of cPanel & WHM.

pub(super) mod delivery_log;
pub(super) mod families;
mod lenient;
mod limit_state;
mod object;
mod response;
mod rows;
pub(super) mod user_stats;

use crate::model::Outcome;
use crate::source::{Credential, DeliveryLogApi, Part, Request};

/// The delivery log. Rows of the same second have a defined order, so that each page begins where the previous one ends.
pub(super) static DELIVERY_LOG: DeliveryLogApi = DeliveryLogApi {
    part: Part {
        requests: &[Request::get(
            "json",
            concat!(
                "/json-api/emailtrack_search?api.version=1&success=1&defer=1&failure=1&inprogress=1&deliverytype=all&max_results_by_type=0",
                "&api.filter.enable=1&api.filter.a.field=actionunixtime&api.filter.a.type=gt_equal&api.filter.a.arg0={start}",
                "&api.filter.b.field=actionunixtime&api.filter.b.type=lt_equal&api.filter.b.arg0={end}",
                "&api.sort.enable=1&api.sort.a.field=actionunixtime&api.sort.a.method=numeric&api.sort.a.reverse=0",
                "&api.sort.b.field=msgid&api.sort.b.method=lexicographic&api.sort.b.reverse=0",
                "&api.sort.c.field=recipient&api.sort.c.method=lexicographic&api.sort.c.reverse=0",
                "&api.sort.d.field=type&api.sort.d.method=lexicographic&api.sort.d.reverse=0",
                "&api.chunk.enable=1&api.chunk.size={rows}&api.chunk.start={offset}&api.chunk.verbose=1",
            ),
            delivery_log::read_email_logs,
        )],
        body_bytes_max: 64 * 1024 * 1024,
        credential: Credential::Whm,
        unauthorized_hint: "set username, and token (or token_file) to a token that this user created (WHM » Development » Manage API Tokens), with the ACLs that the parts need: All, or for a reseller those that list mail statistics, the mail queue and the server's status",
        not_found_hint: "this is not WHM, or a version without this function; check the url (https, port 2087), or remove the part from parts",
        ..Part::new("messages", "the delivery log, exported as OTLP log records", &[])
    },
    newest_path: concat!(
        "/json-api/emailtrack_search?api.version=1&success=1&defer=1&failure=1&inprogress=1&deliverytype=all&max_results_by_type=0",
        "&api.filter.enable=1&api.filter.a.field=actionunixtime&api.filter.a.type=gt_equal&api.filter.a.arg0={start}",
        "&api.sort.enable=1&api.sort.a.field=actionunixtime&api.sort.a.method=numeric&api.sort.a.reverse=1",
        "&api.chunk.enable=1&api.chunk.size=5000&api.chunk.start=1&api.chunk.verbose=1",
    ),
    outcomes: &[Outcome::InProgress, Outcome::Delivered, Outcome::Deferred, Outcome::Failed],
    fields: delivery_log::FIELDS,
    limits: &[
        "bounces that come later, complaints, rejections, and messages that were only received; subjects",
        "the attempt, and fractions of seconds",
        "the code and the stage of a failure, but in text",
        "the encryption, the provider, the source and the pool of a delivery",
    ],
    reader: delivery_log::read_page,
};

#[cfg(test)]
mod tests;
