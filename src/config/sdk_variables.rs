//! The `OTEL_*` variables that OpenTelemetry's SDK reads itself: it ignores an invalid value, and its log is not shown.

use super::decode::Decoder;
use super::map::Location;
use super::otel::Variable;
use super::text::suggestion;

/// The samplers that the SDK has.
const SAMPLERS: [&str; 6] =
    ["always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"];

/// Warns about each variable whose value the SDK ignores.
pub(super) fn check(decoder: &mut Decoder<'_>) {
    if let Some(sampler) = decoder.otel_variable("OTEL_TRACES_SAMPLER") {
        check_sampler(decoder, &sampler);
    }
    let integers = [
        decoder.otel_variable("OTEL_BSP_SCHEDULE_DELAY"),
        decoder.otel_variable("OTEL_BSP_MAX_QUEUE_SIZE"),
        decoder.otel_variable("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
        decoder.otel_variable("OTEL_BSP_EXPORT_TIMEOUT"),
        decoder.otel_variable("OTEL_BSP_MAX_CONCURRENT_EXPORTS"),
        decoder.otel_variable("OTEL_BLRP_SCHEDULE_DELAY"),
        decoder.otel_variable("OTEL_BLRP_MAX_QUEUE_SIZE"),
        decoder.otel_variable("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"),
        decoder.otel_variable("OTEL_BLRP_EXPORT_TIMEOUT"),
    ];
    integers.into_iter().flatten().for_each(|variable| check_integer::<u64>(decoder, &variable));
    let counts = [
        decoder.otel_variable("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"),
        decoder.otel_variable("OTEL_SPAN_EVENT_COUNT_LIMIT"),
        decoder.otel_variable("OTEL_SPAN_LINK_COUNT_LIMIT"),
    ];
    counts.into_iter().flatten().for_each(|variable| check_integer::<u32>(decoder, &variable));
}

fn check_integer<T: std::str::FromStr>(decoder: &mut Decoder<'_>, variable: &Variable) {
    let parsed =
        variable.value.parse::<T>().map(drop).map_err(|_| format!("{:?} is not a whole number in the valid range", variable.value));
    decoder.ok_or_ignore(variable, parsed);
}

fn check_sampler(decoder: &mut Decoder<'_>, sampler: &Variable) {
    let location = Location::variable(&sampler.name);
    if !SAMPLERS.contains(&sampler.value.as_str()) {
        let advice = suggestion(&sampler.value, &SAMPLERS);
        decoder.warn(&location, format!("unknown sampler {:?}; {advice}; all traces are exported", sampler.value));
        return;
    }
    if !sampler.value.ends_with("traceidratio") {
        return;
    }
    let argument = decoder.otel_variable("OTEL_TRACES_SAMPLER_ARG");
    let is_ratio = |variable: &Variable| variable.value.parse::<f64>().is_ok_and(|ratio| (0.0..=1.0).contains(&ratio));
    if !argument.as_ref().is_some_and(is_ratio) {
        let message = format!("{} needs OTEL_TRACES_SAMPLER_ARG, a number from 0 to 1; without it, all traces are exported", sampler.value);
        decoder.warn(&location, message);
    }
}
