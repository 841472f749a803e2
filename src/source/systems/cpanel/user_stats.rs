//! `emailtrack_user_stats`: what each account did in the window, and which limits it has reached.
//!
//! # Pages of a list that changes
//!
//! Rows are sorted by user and domain. Accounts come and go between two requests, which moves all rows behind them: so a page that has
//! another one behind it leaves its last account to that page, which must begin with it, and all pages must report the same number
//! of rows. Otherwise the list is read again ([`crate::model::PageEdge`]). A page is larger than the list of any server that is known.

use super::families::{Records, STATS, Stats, UserSums, family};
use super::reached::Reached;
use super::response::{self, LenientText};
use crate::model::{Families, FamiliesBuilder, PageEdge, Repair};
use crate::source::ReadError;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A row for each user and domain, and sometimes more than one, which are added up.
///
/// # Errors
/// See [`response::read_cut`].
pub fn user_stats(body: String) -> Result<Families, ReadError> {
    let (data, paging): (Records<Stats>, _) = response::read_cut(&body)?;
    if paging.overflowed && paging.next.is_none() && paging.pages.is_none() {
        return Err(ReadError::Malformed("the answer is cut short (overflowed, and no chunk to follow)".to_owned()));
    }
    let mut rows = data.records.0.as_slice();
    let edge = paging.start.map(|start| {
        let account = |row: &Stats| hash(&(&row.user.0, &row.domain.0));
        let first = rows.first().map_or(0, account);
        let mut edge = PageEdge { next: None, rows: paging.rows, first, last: 0 };
        if let (Some(next), Some(row)) = (paging.next, rows.last()) {
            let last = account(row);
            let kept = rows.iter().rposition(|row| account(row) != last).map_or(0, |at| at + 1);
            // One account that fills a page cannot be left to the next.
            let has_others = kept > 0;
            edge.next = Some(if has_others { start.saturating_add(kept as u64) } else { next });
            edge.last = if has_others { last } else { 0 };
            rows = if has_others { &rows[..kept] } else { rows };
        }
        edge
    });
    Families::read(body, |out| {
        stats(out, rows);
        flags(out, rows);
        edge.into_iter().for_each(|edge| out.page_edge(edge));
        Ok(())
    })
}

fn stats(out: &mut FamiliesBuilder<'_>, rows: &[Stats]) {
    let mut places = HashMap::new();
    let mut accounts: Vec<([&LenientText; 4], UserSums)> = Vec::new();
    for row in rows {
        let labels = [&row.domain, &row.primary_domain, &row.user, &row.owner];
        let place = *places.entry(labels.map(|word| word.0.as_str())).or_insert(accounts.len());
        if place == accounts.len() {
            accounts.push((labels, UserSums::default()));
        }
        accounts[place].1.add(out, row.numbers());
    }
    family(
        out,
        "email_user_stats",
        "Mail of each domain and user in the window: messages by what became of them, and their total size in bytes.",
    );
    // Kept once, not for each series.
    let keys = ["domain", "primary_domain", "user", "owner"].map(|key| out.add_text(key));
    let stat_key = out.add_text("stat_type");
    let stats = STATS.map(|stat| out.add_text(stat));
    for (labels, sums) in accounts {
        let labels = labels.map(|word| out.add_text(&word.0));
        for (stat, n) in stats.into_iter().zip(sums.0) {
            let Some(n) = n else { continue };
            keys.into_iter().zip(labels).for_each(|(key, value)| out.label(key, value));
            out.label(stat_key, stat);
            out.number(n);
        }
    }
}

fn flags(out: &mut FamiliesBuilder<'_>, rows: &[Stats]) {
    const FLAGS: [&str; 2] = ["reached_maxemails", "reached_maxdeferfail"];
    let mut places = HashMap::new();
    let mut accounts: Vec<([&LenientText; 2], [Reached; FLAGS.len()])> = Vec::new();
    for row in rows {
        let reached = [row.reached_maxemails, row.reached_maxdeferfail];
        reached.iter().filter(|reached| **reached == Reached::Unreadable).for_each(|_| out.repair(Repair::Unreadable));
        let place = *places.entry([row.domain.0.as_str(), row.user.0.as_str()]).or_insert(accounts.len());
        match accounts.get_mut(place) {
            Some((_, flags)) => flags.iter_mut().zip(reached).for_each(|(flag, reached)| *flag = (*flag).max(reached)),
            None => accounts.push(([&row.domain, &row.user], reached)),
        }
    }
    if accounts.iter().all(|(_, flags)| flags.iter().all(|flag| flag.number().is_none())) {
        return;
    }
    family(out, "email_flag_stats", "Whether an account has reached a limit: 1 or 0, by the field of WHM that reports it.");
    let keys = ["domain", "user"].map(|key| out.add_text(key));
    let flag_key = out.add_text("flag");
    let names = FLAGS.map(|name| out.add_text(name));
    for (labels, flags) in accounts {
        let labels = labels.map(|word| out.add_text(&word.0));
        for (name, reached) in names.into_iter().zip(flags) {
            let Some(n) = reached.number() else { continue };
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
        user_stats(format!("{{\"data\":{{\"records\":[{rows}]}},\"metadata\":{{\"result\":1{metadata}}}}}")).unwrap()
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
        // One account alone: there is no other way than to go on behind it.
        let one = read(&rows(&["b", "b", "b"]), &chunk(1, 1)).edge.unwrap();
        assert_eq!((one.next, one.last), (Some(4), 0));
    }
}
