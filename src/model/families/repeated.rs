//! Families and series that stand more than once in a response of a server that writes each exactly once.

use super::{Families, Sample};
use crate::model::Repair;
use crate::model::identity::{Identities, repeated};
use std::collections::{HashMap, HashSet};

impl Families {
    /// Leaves out all copies of a family, and all copies of a series, that stand more than once, and every family in `forged`.
    ///
    /// For servers that write label values without escapes: which of the copies is genuine cannot be known, so none is kept.
    pub fn leave_out_repeated(&mut self, forged: &HashSet<String>) {
        let mut blocks: HashMap<&str, u32> = HashMap::with_capacity(self.families.len());
        self.iter().for_each(|family| *blocks.entry(family.name()).or_default() += 1);
        let mut left_out = vec![false; self.samples.len()];
        let mut count = 0;
        for family in self.iter() {
            let range = family.family.first as usize..family.family.end as usize;
            if blocks.get(family.name()).is_some_and(|blocks| *blocks > 1) || forged.contains(family.name()) {
                left_out[range].fill(true);
                count += 1;
                continue;
            }
            let mut numbers = Identities::new();
            let identities: Vec<u64> = family.samples().map(|sample| numbers.of(&sample)).collect();
            let copies: HashSet<u64> = repeated(&identities).into_iter().map(|at| identities[at]).collect();
            if copies.is_empty() {
                continue;
            }
            for (place, _) in range.zip(identities).filter(|(_, identity)| copies.contains(identity)) {
                left_out[place] = true;
                count += 1;
            }
        }
        if count > 0 {
            self.repairs.add(Repair::Forged, count);
            self.keep_only(&left_out);
        }
    }

    /// Removes the series that are left out, and families that have none after that.
    fn keep_only(&mut self, left_out: &[bool]) {
        let mut kept: Vec<Sample> = Vec::with_capacity(self.samples.len());
        for family in &mut self.families {
            let first = kept.len() as u32;
            let range = family.first as usize..family.end as usize;
            kept.extend(range.filter(|at| !left_out[*at]).map(|at| self.samples[at]));
            (family.first, family.end) = (first, kept.len() as u32);
        }
        self.samples = kept;
        // They stand by positions of series, and no server that needs this writes any.
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
        families.leave_out_repeated(&forged.iter().map(|name| (*name).to_owned()).collect());
        let line = |name: &str, sample: crate::model::SampleRef<'_>| {
            let labels: Vec<_> = sample.labels().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{name}{{{}}} {}", labels.join(","), sample.number().unwrap())
        };
        let found: Vec<_> = families.iter().flat_map(|f| f.samples().map(move |s| line(f.name(), s))).collect();
        assert_eq!((found, families.repairs().get(Repair::Forged)), (expected.iter().map(|e| (*e).to_owned()).collect(), count), "{page}");
    }

    #[test]
    fn no_copy_is_kept_and_everything_else_is() {
        check("a{l=\"1\"} 1\nb 2\n", &[], &["a{l=1} 1", "b{} 2"], 0);
        check("a{l=\"1\"} 1\na{l=\"1\"} 9\na{l=\"2\"} 3\nb 2\n", &[], &["a{l=2} 3", "b{} 2"], 2);
        check("a{l=\"1\"} 1\na{l=\"1\"} 1\nb 2\n", &[], &["b{} 2"], 2);
        check("a{l=\"1\",m=\"2\"} 1\na{m=\"2\",l=\"1\"} 1\nb 2\n", &[], &["b{} 2"], 2);
        check("a{l=\"1\"} 1\nb 2\na{l=\"2\"} 1\nc{l=\"x\",m=\"y\"} 3\n", &[], &["b{} 2", "c{l=x,m=y} 3"], 2);
        check("a 1\nb 2\nc 3\n", &["b", "d"], &["a{} 1", "c{} 3"], 1);
    }
}
