//! The query of the page: which targets it shows, and in which order. Without scripts, links and the address bar set it.

use crate::model::{is_unreserved, percent_encoded};
use std::collections::HashMap;

/// The largest length of the filter. A longer one is truncated.
const FILTER_CHARS_MAX: usize = 200;

/// The parameters of a request for the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PageQuery {
    /// `target`: the only target to show.
    pub target: Option<String>,
    /// `filter`: words that the name, the system or the host of a target contains.
    pub filter: String,
    /// `only=unhealthy`: targets that are not up, or need attention.
    pub only_unhealthy: bool,
    /// `sort`: the order of the targets.
    pub sort: Sort,
}

/// The order of the targets in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// Failures first, then the order of the configuration.
    #[default]
    State,
    Name,
    Queue,
    Delivered,
    LastPoll,
    Duration,
    Series,
    Repairs,
}

impl Sort {
    const ALL: [(&'static str, Self); 8] = [
        ("state", Self::State),
        ("name", Self::Name),
        ("queue", Self::Queue),
        ("delivered", Self::Delivered),
        ("last-poll", Self::LastPoll),
        ("duration", Self::Duration),
        ("series", Self::Series),
        ("repairs", Self::Repairs),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, sort)| *sort == self).map_or("", |(name, _)| name)
    }

    /// The value of `aria-sort` for a column in this order. Numbers are sorted from the largest down.
    pub(super) const fn direction(self) -> &'static str {
        match self {
            Self::State | Self::Name => "ascending",
            _ => "descending",
        }
    }
}

impl PageQuery {
    /// Reads the parameters. Unknown values have no effect.
    pub(super) fn of(parameters: &HashMap<String, String>) -> Self {
        let get = |name: &str| parameters.get(name).map(String::as_str);
        let sort = get("sort").and_then(|name| Sort::ALL.iter().find(|(known, _)| *known == name)).map(|(_, sort)| *sort);
        Self {
            target: get("target").map(str::to_owned),
            filter: get("filter").unwrap_or_default().chars().take(FILTER_CHARS_MAX).collect::<String>().trim().to_owned(),
            only_unhealthy: get("only") == Some("unhealthy"),
            sort: sort.unwrap_or_default(),
        }
    }

    /// Returns true if the filter has a word that none of these texts contains.
    pub(super) fn excludes(&self, texts: &[&str]) -> bool {
        let texts: Vec<String> = texts.iter().map(|text| text.to_lowercase()).collect();
        let filter = self.filter.to_lowercase();
        filter.split_whitespace().any(|part| !texts.iter().any(|text| text.contains(part)))
    }

    /// A link to the page in another order.
    pub(super) fn sorted_by(&self, sort: Sort) -> String {
        Self { sort, ..self.clone() }.link()
    }

    /// A link to the page with or without healthy targets.
    pub(super) fn with_only_unhealthy(&self, only_unhealthy: bool) -> String {
        Self { only_unhealthy, ..self.clone() }.link()
    }

    fn link(&self) -> String {
        let mut pairs = Vec::new();
        let filter = percent_encoded(&self.filter, is_unreserved);
        pairs.extend((!filter.is_empty()).then_some(("filter", filter.as_str())));
        pairs.extend(self.only_unhealthy.then_some(("only", "unhealthy")));
        pairs.extend((self.sort != Sort::default()).then_some(("sort", self.sort.name())));
        let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        // A link without a query would keep the present one.
        format!("./{}{}#targets", if pairs.is_empty() { "" } else { "?" }, pairs.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(pairs: &[(&str, &str)]) -> PageQuery {
        PageQuery::of(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn links_keep_the_other_parameters() {
        assert_eq!(query(&[]).link(), "./#targets");
        let all = query(&[("filter", " mx1 & ü "), ("only", "unhealthy"), ("sort", "queue")]);
        assert_eq!(all.link(), "./?filter=mx1%20%26%20%C3%BC&only=unhealthy&sort=queue#targets");
        assert_eq!(all.with_only_unhealthy(false), "./?filter=mx1%20%26%20%C3%BC&sort=queue#targets");
        assert_eq!(all.sorted_by(Sort::State), "./?filter=mx1%20%26%20%C3%BC&only=unhealthy#targets");
        for (name, sort) in Sort::ALL {
            assert_eq!(query(&[("sort", name)]).sort, sort);
        }
    }

    #[test]
    fn unknown_values_have_no_effect() {
        assert_eq!(query(&[("only", "x"), ("sort", "x"), ("y", "z")]), PageQuery::default());
        assert_eq!(query(&[("filter", &"ü".repeat(1000))]).filter.chars().count(), FILTER_CHARS_MAX);
    }

    #[test]
    fn each_part_of_the_filter_must_match() {
        let texts = ["mx1-Berlin", "KumoMTA", "192.0.2.5:8000"];
        for (filter, excluded) in
            [("", false), ("berlin", false), ("KUMO mx1", false), ("kumo mx2", true), ("192.0.2", false), ("postfix", true)]
        {
            assert_eq!(query(&[("filter", filter)]).excludes(&texts), excluded, "{filter}");
        }
    }
}
