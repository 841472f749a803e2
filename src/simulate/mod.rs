//! Stand-ins.
pub mod random;
pub mod traffic;
