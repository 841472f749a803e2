//! Removal of families and series that appear more than once in the response of a server that writes each exactly once.

use super::Families;
use super::sample::Sample;
use crate::model::Repair;
use crate::model::identity::repeated;
use std::collections::{HashMap, HashSet};

impl Families {
    /// Removes all copies of families and series that appear more than once, and every family in `forged`.
    ///
    /// For servers that do not escape label values, so that a value can contain forged lines: the genuine copy is unknown, so none is kept.
    pub fn remove_repeated(&mut self, forged: &HashSet<String>) {
        let mut blocks: HashMap<&str, u32> = HashMap::with_capacity(self.families.len());
        self.iter().for_each(|family| *blocks.entry(family.name()).or_default() += 1);
        let mut removed = vec![false; self.samples.len()];
        let mut count = 0;
        for family in self.iter() {
            let range = family.family.first as usize..family.family.end as usize;
            if blocks.get(family.name()).is_some_and(|blocks| *blocks > 1) || forged.contains(family.name()) {
                removed[range].fill(true);
                count += 1;
                continue;
            }
            let identities: Vec<u64> = family.samples().map(|sample| sample.prometheus_identity()).collect();
            let copies: HashSet<u64> = repeated(&identities).into_iter().map(|index| identities[index]).collect();
            if copies.is_empty() {
                continue;
            }
            for (index, _) in range.zip(identities).filter(|(_, identity)| copies.contains(identity)) {
                removed[index] = true;
                count += 1;
            }
        }
        if count > 0 {
            self.repairs.add(Repair::Forged, count);
            self.remove_samples(&removed);
        }
        self.note_unique_series();
    }

    /// Removes the samples with these flags, and families that have no samples after that.
    fn remove_samples(&mut self, removed: &[bool]) {
        let mut kept: Vec<Sample> = Vec::with_capacity(self.samples.len());
        for family in &mut self.families {
            let first = kept.len() as u32;
            let range = family.first as usize..family.end as usize;
            kept.extend(range.filter(|index| !removed[*index]).map(|index| self.samples[index]));
            (family.first, family.end) = (first, kept.len() as u32);
        }
        self.samples = kept;
        // Exemplars and start times refer to sample indices. No server that needs this function writes any.
        self.extras = Default::default();
        self.families.retain(|family| family.first < family.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::prometheus;

    #[track_caller]
    fn check(page: &str, forged: &[&str], expected: &[&str], count: u64) {
        let mut families = prometheus::read(page.to_owned()).unwrap();
        families.remove_repeated(&forged.iter().map(|name| (*name).to_owned()).collect());
        let line = |name: &str, sample: crate::model::SampleRef<'_>| {
            let labels: Vec<_> = sample.labels().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{name}{{{}}} {}", labels.join(","), sample.number().unwrap())
        };
        let found: Vec<_> = families.iter().flat_map(|f| f.samples().map(move |s| line(f.name(), s))).collect();
        assert_eq!((found, families.repairs().get(Repair::Forged)), (expected.iter().map(|e| (*e).to_owned()).collect(), count), "{page}");
    }

    #[test]
    fn all_copies_are_removed_and_everything_else_is_kept() {
        check("a{l=\"1\"} 1\nb 2\n", &[], &["a{l=1} 1", "b{} 2"], 0);
        check("a{l=\"1\"} 1\na{l=\"1\"} 9\na{l=\"2\"} 3\nb 2\n", &[], &["a{l=2} 3", "b{} 2"], 2);
        check("a{l=\"1\"} 1\na{l=\"1\"} 1\nb 2\n", &[], &["b{} 2"], 2);
        check("a{l=\"1\",m=\"2\"} 1\na{m=\"2\",l=\"1\"} 1\nb 2\n", &[], &["b{} 2"], 2);
        check("a{l=\"1\"} 1\nb 2\na{l=\"2\"} 1\nc{l=\"x\",m=\"y\"} 3\n", &[], &["b{} 2", "c{l=x,m=y} 3"], 2);
        check("a 1\nb 2\nc 3\n", &["b", "d"], &["a{} 1", "c{} 3"], 1);
    }
}
