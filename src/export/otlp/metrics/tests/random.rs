//! Random families.

use super::*;

/// A reproducible sequence of pseudo-random numbers (SplitMix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }

    fn text(&mut self) -> String {
        let len = if self.next(12) == 0 { self.next(400) } else { self.next(9) };
        (0..len).map(|_| ['a', 'B', '7', '"', '\\', '\u{fc}', '\u{1f4ec}', ' ', '@'][self.next(9) as usize]).collect()
    }

    fn number(&mut self) -> f64 {
        match self.next(8) {
            0 => 0.0,
            1 => f64::INFINITY,
            2 => -1.5,
            3 => f64::NAN,
            _ => self.next(1 << 53) as f64,
        }
    }

    pub(super) fn families(&mut self) -> Families {
        let body: String = (0..60).map(|_| self.text()).collect();
        let (body_len, mut names) = (body.len(), 0);
        let families = Families::read(body, |builder| {
            for _ in 0..self.next(7) {
                names += 1;
                let name = builder.add_text(&format!("family_{names}"));
                let help = if self.next(2) == 0 { builder.add_text("") } else { builder.add_text(&self.text()) };
                let kinds = [FamilyType::Counter, FamilyType::Gauge, FamilyType::Histogram, FamilyType::Summary, FamilyType::Unknown];
                let kind = kinds[self.next(5) as usize];
                builder.family(name, help, kind);
                for _ in 0..self.next(40) {
                    for label in 0..self.next(4) {
                        let key = builder.add_text(&format!("l{label}"));
                        let body = builder.body();
                        let at = self.next(body_len as u64 + 1) as usize;
                        // Some values are slices of the body, others are owned.
                        let value = match body.get(at..(at + 5).min(body_len)) {
                            Some(slice) if self.next(2) == 0 => builder.text(slice),
                            _ => builder.add_text(&self.text()),
                        };
                        builder.label(key, value);
                    }
                    match kind {
                        FamilyType::Histogram => builder.histogram(self.histogram()),
                        FamilyType::Summary => builder.summary(self.summary()),
                        _ => builder.number(self.number()),
                    }
                }
            }
            Ok::<(), LimitExceeded>(())
        });
        families.unwrap()
    }

    fn histogram(&mut self) -> Histogram {
        let mut count = 0;
        let bounds: Vec<f64> = (0..self.next(20)).map(|n| n as f64 * 0.25).collect();
        let mut rise = || {
            count += self.next(1000);
            count
        };
        let cumulative = bounds.iter().map(|_| rise()).collect();
        let count = rise();
        Histogram { bounds, cumulative, count, sum: (self.next(3) > 0).then(|| self.next(1 << 40) as f64 / 8.0) }
    }

    fn summary(&mut self) -> Summary {
        let quantiles = (0..self.next(5)).map(|n| (n as f64 / 5.0, self.next(1000) as f64)).collect();
        Summary { quantiles, sum: Some(self.next(1000) as f64), count: Some(self.next(1000)) }
    }
}
