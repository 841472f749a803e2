//! `emailtrack_user_stats`: the mail of each account in the window, and the limits that it has reached.
//!
//! # The list can change between two pages
//!
//! Rows are sorted by user and domain. If an account is created or deleted between two requests, all later rows move. To detect that, a
//! page that is not the last one leaves its last account to the next page, which must begin with this account, and all pages must
//! report the same number of rows. Otherwise the list is read again ([`crate::model::PageEdge`]). On all known servers the list
//! fits into one page.

use super::families::{AccountRow, RecordList, STATISTICS, StatisticSums, count_unreadable_rows, family};
use super::lenient::LenientText;
use super::limit_state::LimitState;
use super::response;
use crate::model::{Families, FamiliesBuilder, PageEdge, Repair};
use crate::source::ReadError;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Reads a page. Users and domains with several rows are added up.
///
/// # Errors
/// See [`response::read_truncated`], and if the list is incomplete.
pub fn read_user_stats(body: String) -> Result<Families, ReadError> {
    let (data, paging): (RecordList<AccountRow>, _) = response::read_truncated(&body)?;
    if paging.overflowed && paging.next.is_none() && paging.pages.is_none() {
        return Err(ReadError::Malformed("the response is incomplete (overflowed, and without a next chunk)".to_owned()));
    }
    let unreadable = data.records.unreadable;
    if unreadable > 0 && paging.next.is_some() {
        return Err(ReadError::Malformed("a row of its page has none of the expected members".to_owned()));
    }
    let mut rows = data.records.rows.as_slice();
    let edge = paging.start.map(|start| {
        let account = |row: &AccountRow| hash(&(&row.user.0, &row.domain.0));
        let first = rows.first().map_or(0, account);
        let mut edge = PageEdge { next: None, rows: paging.rows, first, last: 0 };
        if let (Some(next), Some(row)) = (paging.next, rows.last()) {
            let last = account(row);
            let kept = rows.iter().rposition(|row| account(row) != last).map_or(0, |at| at + 1);
            // An account that fills the whole page cannot be left to the next one.
            let has_others = kept > 0;
            edge.next = Some(if has_others { start.saturating_add(kept as u64) } else { next });
            edge.last = if has_others { last } else { 0 };
            rows = if has_others { &rows[..kept] } else { rows };
        }
        edge
    });
    Families::read(body, |out| {
        count_unreadable_rows(out, &["email_user_stats", "email_flag_stats"], unreadable);
        add_statistics(out, rows);
        add_limit_states(out, rows);
        edge.into_iter().for_each(|edge| out.page_edge(edge));
        Ok(())
    })
}

fn add_statistics(out: &mut FamiliesBuilder<'_>, rows: &[AccountRow]) {
    let mut indexes = HashMap::new();
    let mut accounts: Vec<([&LenientText; 4], StatisticSums)> = Vec::new();
    for row in rows {
        let labels = [&row.domain, &row.primary_domain, &row.user, &row.owner];
        let index = *indexes.entry(labels.map(|label| label.0.as_str())).or_insert(accounts.len());
        if index == accounts.len() {
            accounts.push((labels, StatisticSums::default()));
        }
        accounts[index].1.add(out, "email_user_stats", row.numbers());
    }
    family(out, "email_user_stats", "Mail of each domain and user in the window: messages by outcome, and their total size in bytes.");
    // These texts are stored once, not for each series.
    let keys = ["domain", "primary_domain", "user", "owner"].map(|key| out.add_text(key));
    let stat_key = out.add_text("stat_type");
    let statistics = STATISTICS.map(|statistic| out.add_text(statistic));
    for (labels, sums) in accounts {
        let labels = labels.map(|label| out.add_text(&label.0));
        for (statistic, n) in statistics.into_iter().zip(sums.0) {
            let Some(n) = n else { continue };
            keys.into_iter().zip(labels).for_each(|(key, value)| out.label(key, value));
            out.label(stat_key, statistic);
            out.number(n);
        }
    }
}

fn add_limit_states(out: &mut FamiliesBuilder<'_>, rows: &[AccountRow]) {
    const FLAGS: [&str; 2] = ["reached_maxemails", "reached_maxdeferfail"];
    let mut indexes = HashMap::new();
    let mut accounts: Vec<([&LenientText; 2], [LimitState; FLAGS.len()])> = Vec::new();
    for row in rows {
        let states = [row.reached_maxemails, row.reached_maxdeferfail];
        states.iter().filter(|state| **state == LimitState::Unreadable).for_each(|_| out.repair(Repair::Unreadable));
        let index = *indexes.entry([row.domain.0.as_str(), row.user.0.as_str()]).or_insert(accounts.len());
        match accounts.get_mut(index) {
            Some((_, known)) => known.iter_mut().zip(states).for_each(|(known, state)| *known = (*known).max(state)),
            None => accounts.push(([&row.domain, &row.user], states)),
        }
    }
    if accounts.iter().all(|(_, states)| states.iter().all(|state| state.number().is_none())) {
        return;
    }
    family(out, "email_flag_stats", "1 if an account has reached a limit, otherwise 0, by the field of WHM that reports it.");
    let keys = ["domain", "user"].map(|key| out.add_text(key));
    let flag_key = out.add_text("flag");
    let names = FLAGS.map(|name| out.add_text(name));
    for (labels, states) in accounts {
        let labels = labels.map(|label| out.add_text(&label.0));
        for (name, state) in names.into_iter().zip(states) {
            let Some(n) = state.number() else { continue };
            keys.into_iter().zip(labels).for_each(|(key, value)| out.label(key, value));
            out.label(flag_key, name);
            out.number(n);
        }
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish().max(1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(rows: &str, metadata: &str) -> Families {
        read_user_stats(format!("{{\"data\":{{\"records\":[{rows}]}},\"metadata\":{{\"result\":1{metadata}}}}}")).unwrap()
    }

    fn series(families: &Families, name: &str) -> Vec<String> {
        let line = |sample: crate::model::SampleRef<'_>| {
            let labels: Vec<String> = sample.labels().map(|(key, value)| format!("{key}={value}")).collect();
            format!("{} {}", labels.join(","), sample.number().unwrap())
        };
        families.named(name).flat_map(|family| family.samples()).map(line).collect()
    }

    #[test]
    fn limits_and_owners_of_accounts() {
        let row = |user: &str, maxemails: &str, maxdeferfail: &str| {
            format!(
                r#"{{"USER":"{user}","DOMAIN":"{user}.example.com","OWNER":"reseller1","PRIMARY_DOMAIN":"example.com","SENDCOUNT":3,"REACHED_MAXEMAILS":{maxemails},"REACHED_MAXDEFERFAIL":{maxdeferfail}}}"#
            )
        };
        let rows = [row("a", "\"150/150\"", "\"5/5 (100%)\""), row("b", "0", "1"), row("a", "0", "null"), row("c", "null", "\"many\"")];
        let families = read(&rows.join(","), "");
        assert_eq!(
            series(&families, "email_user_stats"),
            [
                "domain=a.example.com,primary_domain=example.com,user=a,owner=reseller1,stat_type=send_count 6",
                "domain=b.example.com,primary_domain=example.com,user=b,owner=reseller1,stat_type=send_count 3",
                "domain=c.example.com,primary_domain=example.com,user=c,owner=reseller1,stat_type=send_count 3",
            ]
        );
        assert_eq!(
            series(&families, "email_flag_stats"),
            [
                "domain=a.example.com,user=a,flag=reached_maxemails 1",
                "domain=a.example.com,user=a,flag=reached_maxdeferfail 1",
                "domain=b.example.com,user=b,flag=reached_maxemails 0",
                "domain=b.example.com,user=b,flag=reached_maxdeferfail 1",
            ]
        );
        assert_eq!(families.repairs().get(Repair::Unreadable), 1);
        assert!(series(&read("{\"USER\":\"a\"}", ""), "email_flag_stats").is_empty());
    }

    #[test]
    fn the_last_account_of_a_page_is_left_to_the_next() {
        let rows =
            |users: &[&str]| users.iter().map(|user| format!("{{\"USER\":\"{user}\",\"SENDCOUNT\":1}}")).collect::<Vec<_>>().join(",");
        let chunk = |start: u64, current: u64| {
            format!(",\"chunk\":{{\"size\":3,\"start\":{start},\"records\":5,\"chunks\":2,\"current\":{current}}}")
        };
        let first = read(&rows(&["a", "b", "b"]), &chunk(1, 1));
        let (edge, a) = (first.edge.unwrap(), series(&first, "email_user_stats"));
        assert_eq!((edge.next, edge.rows, a.len()), (Some(2), Some(5), 1));
        let second = read(&rows(&["b", "b", "b", "c"]), &chunk(2, 2));
        let edge_of_second = second.edge.unwrap();
        assert_eq!((edge_of_second.next, edge_of_second.first == edge.last), (None, true));
        assert_eq!(series(&second, "email_user_stats").len(), 2);
        // A page with one account: the next page follows it directly.
        let one = read(&rows(&["b", "b", "b"]), &chunk(1, 1)).edge.unwrap();
        assert_eq!((one.next, one.last), (Some(4), 0));
    }
}
