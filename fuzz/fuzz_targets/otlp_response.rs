#![no_main]

const CHECK: postmeter_fuzz::Check = postmeter_fuzz::check("otlp_response");

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| CHECK(bytes));
