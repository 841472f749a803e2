//! The memory of bodies: pools with a limit each. A body occupies its bytes in several of them.

use crate::net::Quota;
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

/// The unit of all pools.
pub(super) const PIECE_BYTES: usize = 16 * 1024;
const MEBIBYTE: usize = 1024 * 1024;

/// The bodies that a pool limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PoolKind {
    /// All bodies.
    All,
    /// The bodies of one target.
    Target,
    /// The bodies of requests without a credential in their headers, until their signatures are verified.
    Unverified,
    /// Those of them whose clients have not authenticated before.
    Unknown,
}

impl PoolKind {
    /// Returns true if a body leaves the pool when its signature is verified.
    const fn is_until_verified(self) -> bool {
        matches!(self, Self::Unverified | Self::Unknown)
    }
}

/// A pool. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct BodyPool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: PoolKind,
    bytes_max: usize,
    /// The pieces in use, by target.
    pieces: Quota<Arc<str>>,
}

impl BodyPool {
    pub(super) fn new(kind: PoolKind, bytes_max: usize) -> Self {
        Self(Arc::new(Inner { kind, bytes_max, pieces: Quota::new(bytes_max / PIECE_BYTES, None) }))
    }

    /// The bytes in use.
    #[cfg(test)]
    pub(super) fn used_bytes(&self) -> usize {
        self.0.pieces.used() * PIECE_BYTES
    }

    fn take(&self, target: &Arc<str>, pieces: usize) -> Result<(), NoMemory> {
        let no_memory = |most_of| NoMemory { kind: self.0.kind, bytes_max: self.0.bytes_max, most_of };
        self.0.pieces.take(target, pieces).map_err(no_memory)
    }

    fn give_back(&self, target: &Arc<str>, pieces: usize) {
        self.0.pieces.give_back(target, pieces);
    }
}

/// A pool has no space for a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoMemory {
    pub kind: PoolKind,
    bytes_max: usize,
    /// The target whose bodies occupy the most of it.
    most_of: Arc<str>,
}

impl Display for NoMemory {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (mebibytes, most_of) = (self.bytes_max / MEBIBYTE, &self.most_of);
        match self.kind {
            PoolKind::Target => write!(f, "the bodies of the target need more than {mebibytes} MiB; let its sender send fewer at a time"),
            PoolKind::All => write!(f, "the bodies of all targets need more than {mebibytes} MiB, most of them those of target {most_of}"),
            PoolKind::Unverified | PoolKind::Unknown => {
                let whose = if self.kind == PoolKind::Unknown { " from addresses that have not authenticated before" } else { "" };
                write!(
                    f,
                    "bodies{whose} whose signature is not verified yet need more than {mebibytes} MiB, most of them those of target {most_of}; set a token or a password at the sender and here, or block addresses that are not yours"
                )
            }
        }
    }
}

/// The memory of one body.
#[derive(Debug)]
pub(super) struct BodyMemory {
    target: Arc<str>,
    pools: Vec<BodyPool>,
    /// The pieces in each pool.
    pieces: usize,
}

impl BodyMemory {
    /// The memory of an empty body of a target.
    pub(super) fn new(target: Arc<str>, pools: Vec<BodyPool>) -> Self {
        Self { target, pools, pieces: 0 }
    }

    /// The memory of another empty body of the same request.
    pub(super) fn another(&self) -> Self {
        Self::new(self.target.clone(), self.pools.clone())
    }

    /// Takes memory until there is enough for these bytes.
    pub(super) fn grow_to(&mut self, bytes: usize) -> Result<(), NoMemory> {
        let wanted = bytes.div_ceil(PIECE_BYTES);
        if wanted <= self.pieces {
            return Ok(());
        }
        let pieces = wanted - self.pieces;
        for (index, pool) in self.pools.iter().enumerate() {
            if let Err(error) = pool.take(&self.target, pieces) {
                self.pools.iter().take(index).for_each(|taken| taken.give_back(&self.target, pieces));
                return Err(error);
            }
        }
        self.pieces = wanted;
        Ok(())
    }

    /// Moves the body into the pool of its target, and out of those for bodies whose signature is not verified.
    pub(super) fn verify(&mut self, of_target: &BodyPool) -> Result<(), NoMemory> {
        if !self.pools.iter().any(|pool| pool.0.kind == PoolKind::Target) {
            of_target.take(&self.target, self.pieces)?;
            self.pools.push(of_target.clone());
        }
        for left in self.pools.extract_if(.., |pool| pool.0.kind.is_until_verified()) {
            left.give_back(&self.target, self.pieces);
        }
        Ok(())
    }
}

impl Drop for BodyMemory {
    fn drop(&mut self) {
        self.pools.iter().for_each(|pool| pool.give_back(&self.target, self.pieces));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_in_all_of_its_pools_until_it_is_dropped() {
        let [all, one] = [(PoolKind::All, 3), (PoolKind::Target, 2)].map(|(kind, pieces)| BodyPool::new(kind, pieces * PIECE_BYTES));
        let memory = |target: &str| BodyMemory::new(target.into(), vec![all.clone(), one.clone()]);
        let mut first = memory("a");
        first.grow_to(1).unwrap();
        first.grow_to(PIECE_BYTES).unwrap();
        assert_eq!((all.used_bytes(), one.used_bytes()), (PIECE_BYTES, PIECE_BYTES));
        let mut second = memory("b");
        assert_eq!(second.grow_to(2 * PIECE_BYTES).unwrap_err().kind, PoolKind::Target);
        assert_eq!(all.used_bytes(), PIECE_BYTES, "all or nothing");
        drop((first, second));
        assert_eq!((all.used_bytes(), one.used_bytes()), (0, 0));
    }

    #[test]
    fn a_verified_body_leaves_the_pools_of_unverified_ones() {
        let [all, one, unknown] = [PoolKind::All, PoolKind::Target, PoolKind::Unknown].map(|kind| BodyPool::new(kind, 2 * PIECE_BYTES));
        let mut body = BodyMemory::new("a".into(), vec![all.clone(), unknown.clone()]);
        body.grow_to(2 * PIECE_BYTES).unwrap();
        let error = BodyMemory::new("b".into(), vec![unknown.clone()]).grow_to(1).unwrap_err();
        assert!(error.to_string().contains("those of target a"), "{error}");
        body.verify(&one).unwrap();
        assert_eq!([&all, &one, &unknown].map(BodyPool::used_bytes), [2 * PIECE_BYTES, 2 * PIECE_BYTES, 0]);
        let mut other = BodyMemory::new("a".into(), vec![unknown.clone()]);
        other.grow_to(1).unwrap();
        assert_eq!(other.verify(&one).unwrap_err().kind, PoolKind::Target, "the target has no space left");
        drop((body, other));
        assert_eq!([&all, &one, &unknown].map(BodyPool::used_bytes), [0; 3]);
    }
}
