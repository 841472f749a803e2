//! Values in another unit.

/// Multiplies a value by a factor. A factor such as 0.001 is not exact in binary, but its reciprocal is: 700 ms are 0.7 s, and not
/// 0.7000000000000001.
#[must_use]
pub fn scale(value: f64, factor: f64) -> f64 {
    let divisor = (1.0 / factor).round();
    if divisor.abs() > 1.0 && 1.0 / divisor == factor { value / divisor } else { value * factor }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_decimal_fraction_divides() {
        for (value, factor, expected) in [
            (700.0, 0.001, 0.7),
            (2300.0, 0.001, 2.3),
            (0.7e9, 1e-9, 0.7),
            (7.0, 0.01, 0.07),
            (3.0, -0.001, -0.003),
            (4.0, -1.0, -4.0),
            (1.5, 1000.0, 1500.0),
            (10.0, 0.3, 3.0),
            (5.0, 0.0, 0.0),
            (f64::INFINITY, 0.001, f64::INFINITY),
        ] {
            assert_eq!(scale(value, factor), expected, "{value} {factor}");
        }
        assert!(scale(f64::NAN, 0.001).is_nan());
    }

    proptest! {
        /// The result of a unit is the number that its decimal digits are.
        #[test]
        fn milliseconds_are_exact(milliseconds in 0..10_000_000u32) {
            let seconds: f64 = format!("{milliseconds}e-3").parse().unwrap_or(f64::NAN);
            prop_assert_eq!(scale(f64::from(milliseconds), 0.001), seconds);
        }

        #[test]
        fn other_factors_multiply(value in -1e6..1e6f64, factor in 1.0..1e9f64) {
            prop_assert_eq!(scale(value, factor), value * factor);
        }
    }
}
