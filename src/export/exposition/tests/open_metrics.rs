//! Pages that OpenMetrics would forbid if they were written as in the text format.

use super::*;

/// Checks a page in OpenMetrics, with this number of omitted families and values, and that the text format has everything.
#[track_caller]
fn assert_page(source: &str, expected: &str, omitted_counts: (u64, u64)) {
    let sections = [Section::without_identity(native(source))];
    let (page, omitted) = write(OPEN_METRICS, &sections, &ReservedNames::default());
    assert_eq!(page, format!("{expected}# EOF\n"));
    assert_eq!((omitted.families_dropped, omitted.values_dropped), omitted_counts, "{omitted:?}");
    let (text, omitted) = write(Format::Text, &sections, &ReservedNames::default());
    assert_eq!((omitted.families_dropped, omitted.values_dropped), (0, 0), "{text}");
}

#[test]
fn a_family_with_the_name_of_start_times_is_omitted() {
    let others = "# TYPE a_created gauge\na_created 1\n# TYPE h_created gauge\nh_created 2\n# TYPE s_created gauge\ns_created 3\n";
    let distributions = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 2\nh_count 1\n# TYPE s summary\ns_sum 4\ns_count 1\n";
    let expected = format!("# TYPE a counter\na_total 5\n{distributions}");
    assert_page(&format!("{others}# TYPE a_total counter\na_total 5\n{distributions}"), &expected, (3, 0));
    // This applies to names of other targets, too, and the reason names the family.
    let sections = [section("# TYPE a_total counter\na_total 5\n", "x", "one"), section(others, "x", "two")];
    let (page, omitted) = write(OPEN_METRICS, &sections, &ReservedNames::default());
    assert!(page.contains("h_created{") && !page.contains("a_created"), "{page}");
    assert_eq!(omitted.reasons, ["a_created of two has the name that OpenMetrics reserves for start times of a counter"]);
    // A counter `x_created_total` of OpenMetrics would be a family with the name `x_created`.
    let counters = "# TYPE a_created_total counter\na_created_total 1\n# TYPE a_total counter\na_total 2\n";
    let expected = "# TYPE a_created_total unknown\na_created_total 1\n# TYPE a counter\na_total 2\n";
    assert_page(counters, expected, (0, 0));
    // A counter of unknown type has no start times.
    let unknown = "# TYPE a gauge\na 1\n# TYPE a_created gauge\na_created 2\n# TYPE a_total counter\na_total 3\n";
    assert_page(unknown, &unknown.replace("a_total counter", "a_total unknown"), (0, 0));
}

#[test]
fn start_times_are_those_of_the_counter_and_not_of_a_family_with_their_name() {
    let gauge = section("# TYPE c_created gauge\nc_created 1\n", "a", "one");
    let counter = section("# TYPE c counter\nc_total 2\nc_created 1795871000.5\n# EOF\n", "a", "two");
    let settings = PageSettings { created_lines: true, ..OPEN_METRICS.into() };
    for sections in [&[counter.clone()][..], &[gauge, counter]] {
        let page = render(settings, sections);
        let lines: Vec<&str> = page.lines().filter(|line| line.starts_with("c_created")).collect();
        assert_eq!(lines, ["c_created{instance=\"two\",job=\"a\"} 1795871000.5"]);
    }
}

#[test]
fn a_histogram_has_a_count_only_beside_a_sum() {
    let head = "# TYPE h histogram\nh_bucket{l=\"1\",le=\"1.0\"} 1\nh_bucket{l=\"1\",le=\"+Inf\"} 2\n";
    let second = "h_bucket{l=\"2\",le=\"+Inf\"} 3\n";
    let source = format!("{head}h_count{{l=\"1\"}} 2\n{second}h_sum{{l=\"2\"}} 4\nh_count{{l=\"2\"}} 3\n");
    assert_page(&source, &format!("{head}{second}h_sum{{l=\"2\"}} 4\nh_count{{l=\"2\"}} 3\n"), (0, 0));
}

#[test]
fn a_sum_that_is_not_a_counter_is_omitted() {
    let negative_bound = "# TYPE h histogram\nh_bucket{le=\"-1.0\"} 1\nh_bucket{le=\"+Inf\"} 2\n";
    assert_page(&format!("{negative_bound}h_sum 3\nh_count 2\n"), negative_bound, (0, 1));
    let positive_bound = "# TYPE h histogram\nh_bucket{le=\"0.0\"} 1\nh_bucket{le=\"+Inf\"} 2\n";
    assert_page(&format!("{positive_bound}h_sum -3\nh_count 2\n"), positive_bound, (0, 1));
    let positive = format!("{positive_bound}h_sum 3\nh_count 2\n");
    assert_page(&positive, &positive, (0, 0));
    let summary = "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_count 2\n";
    let source = "# TYPE s summary\ns{quantile=\"0\"} -1\ns{quantile=\"0.5\"} 1\ns_sum -3\ns_count 2\n";
    assert_page(source, summary, (0, 2));
}

#[test]
fn an_info_with_another_value_than_1_is_a_gauge() {
    let valid = "# TYPE b info\nb_info{v=\"1\"} 1\nb_info{v=\"2\"} 1\n";
    assert_page(&format!("{valid}# EOF\n"), valid, (0, 0));
    let invalid = valid.replace("2\"} 1", "2\"} 3");
    let expected = invalid.replace("b info", "b_info gauge");
    assert_page(&format!("{invalid}# EOF\n"), &expected, (0, 0));
}

#[test]
fn a_state_set_without_states_is_a_gauge() {
    let gauge = |page: &str| page.replace("stateset", "gauge");
    let valid = "# TYPE st stateset\nst{l=\"1\",st=\"a\"} 1\nst{st=\"b\",l=\"1\"} 0\nst{st=\"a\",l=\"2\"} 1\n";
    assert_page(&format!("{valid}# EOF\n"), valid, (0, 0));
    for invalid in [
        valid.replace("l=\"2\"} 1", "l=\"2\"} 2"),
        valid.replace("st=\"b\"", "state=\"b\""),
        // The states of a set must be adjacent.
        format!("{valid}st{{l=\"1\",st=\"c\"}} 0\n"),
    ] {
        assert_page(&format!("{invalid}# EOF\n"), &gauge(&invalid), (0, 0));
    }
    // An escaped label has the name of the escaped family.
    let dotted = Section::without_identity(native("# TYPE \"s.t\" stateset\n{\"s.t\",\"s.t\"=\"a\"} 1\n# EOF\n"));
    assert_renders(OPEN_METRICS, std::slice::from_ref(&dotted), "# TYPE s_t stateset\ns_t{s_t=\"a\"} 1\n# EOF\n");
    let quoted = "# TYPE \"s.t\" stateset\n{\"s.t\",\"s.t\"=\"a\"} 1\n# EOF\n";
    assert_renders(Format::OpenMetrics(Escaping::AllowUtf8), &[dotted], quoted);
}

#[test]
fn a_state_has_the_name_of_its_family_with_a_prefix() {
    let families = prometheus::read("# TYPE st stateset\nst{st=\"a\"} 1\nst{st=\"b\"} 0\n# EOF\n".to_owned()).unwrap();
    let families = SelectedFamilies::select(vec![families], "k_", usize::MAX, |_| Some(FamilySelection::default()));
    let sections = [Section::without_identity(Arc::new(families))];
    assert_renders(OPEN_METRICS, &sections, "# TYPE k_st stateset\nk_st{k_st=\"a\"} 1\nk_st{k_st=\"b\"} 0\n# EOF\n");
    assert_renders(Format::Text, &sections, "# TYPE k_st gauge\nk_st{k_st=\"a\"} 1\nk_st{k_st=\"b\"} 0\n");
}
