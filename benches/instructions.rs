//! Each hot loop once, to count its instructions: `valgrind --tool=callgrind` is reproducible even on a noisy machine.
//! The argument selects the loop (`json`, `text`, `choose`, `expose`, `push`, and `gzip` or `zstd`: a push with compression); `none` runs only the set-up that all of them share.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use postmeter::config::Compression;
use postmeter::export::SeriesState;
use std::sync::Arc;

const SERIES: usize = 20_000;

fn main() {
    let selected =
        std::env::args().find(|arg| ["json", "text", "choose", "expose", "push", "gzip", "zstd", "none"].contains(&arg.as_str()));
    let Some(selected) = selected else { return println!("select a loop: json, text, choose, expose, push, gzip, zstd or none") };
    let (json, text) = (common::json(SERIES), common::text(SERIES));
    let families = common::read("json", json.clone());
    let native = Arc::new(common::choose(common::read("json", json.clone())));
    let mut state = SeriesState::default();
    common::push(&common::reading(native.clone(), 0), &mut state);
    let next = common::reading(Arc::new(common::choose(common::read("json", json.clone()))), 1);
    match selected.as_str() {
        "json" => assert!(common::read("json", json).series() > SERIES),
        "text" => assert!(common::read("text", text).series() > SERIES),
        "choose" => common::check(&common::choose(families), SERIES),
        "expose" => assert!(common::expose(&native).0 > SERIES),
        "push" => assert!(common::push(&next, &mut state).0 as usize > SERIES),
        "gzip" | "zstd" => {
            let compression = if selected == "gzip" { Compression::Gzip } else { Compression::Zstd };
            let (points, bytes) = common::push_compressed(&next, &mut state, compression);
            assert!(points as usize > SERIES && bytes < SERIES * 10, "{points} points in {bytes} bytes");
        }
        _ => {}
    }
}
