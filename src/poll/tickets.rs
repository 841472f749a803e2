//! Tickets of one target: one for each kind of ticket and each login, shared by the parts, and renewed before it ends.

use super::PollError;
use super::admission::Lane;
use super::http_client::FilledRequest;
use super::part_client::TargetShared;
use crate::net::secret_header;
use crate::source::{Part, Reader, Request, Ticket};
use http::HeaderValue;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// The share of its lifetime after which a ticket is renewed.
const RENEWED_AFTER_SHARE: f64 = 0.8;
/// The time for which a rejected login is not repeated: several parts would send it one after the other, and the server delays each.
const REJECTION_KEPT: Duration = Duration::from_secs(10);
/// The largest response with a ticket, in bytes.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;
/// The largest number of logins of one target that are kept. Parts can have logins of their own.
const LOGINS_MAX: usize = 16;

/// The user name and the password that a ticket is issued for.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) username: String,
    pub(super) password: String,
}

/// The ticket that a request of a part needs.
#[derive(Clone, Copy)]
pub(super) struct TicketRequest<'a> {
    pub(super) part: &'a Part,
    pub(super) ticket: &'static Ticket,
    pub(super) login: &'a Login,
    pub(super) shared: &'a TargetShared,
}

/// The tickets of one target. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Tickets(Arc<Mutex<Vec<IssuedTicket>>>);

/// The result of the last request for a ticket.
struct IssuedTicket {
    ticket: &'static Ticket,
    login: Login,
    at: Instant,
    result: Result<HeaderValue, PollError>,
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

impl Tickets {
    /// Returns the header with a ticket for this login, which is requested if there is none.
    pub(super) async fn current(&self, request: TicketRequest<'_>) -> Result<HeaderValue, PollError> {
        let is_usable = |issued: &IssuedTicket| {
            let age_max = if issued.result.is_ok() { request.ticket.lifetime.mul_f64(RENEWED_AFTER_SHARE) } else { REJECTION_KEPT };
            issued.at.elapsed() < age_max
        };
        self.get(request, is_usable).await
    }

    /// Returns the header with another ticket than a rejected one. Returns the rejected one if it was issued after `began`: the server
    /// rejects even new tickets.
    pub(super) async fn replacing(
        &self,
        rejected: &HeaderValue,
        began: Instant,
        request: TicketRequest<'_>,
    ) -> Result<HeaderValue, PollError> {
        let is_usable = |issued: &IssuedTicket| issued.at >= began || issued.result.as_ref().is_ok_and(|header| header != rejected);
        self.get(request, is_usable).await
    }

    /// Returns the ticket for this login if it is usable, or requests one. Others that need it wait for the same request.
    async fn get(&self, request: TicketRequest<'_>, is_usable: impl Fn(&IssuedTicket) -> bool) -> Result<HeaderValue, PollError> {
        let TicketRequest { ticket, login, .. } = request;
        let mut issued = self.0.lock().await;
        let is_same = |issued: &IssuedTicket| issued.ticket == ticket && issued.login == *login;
        if let Some(usable) = issued.iter().find(|issued| is_same(issued) && is_usable(issued)) {
            return usable.result.clone();
        }
        let result = request_ticket(request).await;
        issued.retain(|issued| !is_same(issued));
        // Other errors than a rejected login may be over in the next moment.
        if matches!(result, Ok(_) | Err(PollError::Auth { .. })) {
            issued.truncate(LOGINS_MAX - 1);
            issued.insert(0, IssuedTicket { ticket, login: login.clone(), at: Instant::now(), result: result.clone() });
        }
        result
    }
}

async fn request_ticket(TicketRequest { part, ticket, login, shared }: TicketRequest<'_>) -> Result<HeaderValue, PollError> {
    const FORM: &str = "application/x-www-form-urlencoded";
    let request = Request {
        format: "json",
        path: ticket.path,
        post_body: None,
        content_type: FORM,
        // A ticket is a new resource of some servers.
        statuses: &[201],
        prefers_openmetrics: false,
        reader: Reader::Paths(&[]),
    };
    let filled = FilledRequest { path: ticket.path.to_owned(), body: Some(ticket.form(&login.username, &login.password)) };
    let mut memory = shared.limits.bodies.body(Lane::of(shared.is_failing), shared.deadline.clone());
    let response = shared.client.request(part, &request, &filled, None, (0, RESPONSE_BYTES_MAX), &mut memory).await;
    let response = match response {
        Ok(response) => response,
        Err(error) => return Err(shared.redacted(error).await),
    };
    let unusable = |reason: &str| PollError::Auth { reason: reason.to_owned(), hint: part.unauthorized_hint };
    let Some(issued) = ticket.find(&response.bytes) else {
        return Err(shared.redacted(unusable(&ticket.describe_missing(&response.bytes))).await);
    };
    secret_header(&ticket.cookie_header(&issued)).ok_or_else(|| unusable("the ticket has characters that a cookie cannot have"))
}
