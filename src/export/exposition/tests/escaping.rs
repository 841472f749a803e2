//! Names that are quoted or escaped.

use super::*;

/// The labels of each series of a family.
type SeriesLabels<'a> = &'a [&'a [(&'a str, &'a str)]];

/// Builds families of these names and types, each with series of these labels. Values count up from 1.
fn families(specifications: &[(&str, FamilyType, SeriesLabels<'_>)]) -> Arc<SelectedFamilies> {
    let built = Families::read(String::new(), |out| {
        let mut value = 0.0;
        for (name, kind, series) in specifications {
            let (name, help) = (out.add_text(name), out.add_text("About it."));
            out.family(name, help, *kind);
            for labels in *series {
                for (name, value) in *labels {
                    let (name, value) = (out.add_text(name), out.add_text(value));
                    out.label(name, value);
                }
                value += 1.0;
                out.number(value);
            }
        }
        Ok::<_, LimitExceeded>(())
    });
    Arc::new(SelectedFamilies::select(vec![built.unwrap()], "", usize::MAX, |_| Some(FamilySelection::default())))
}

#[test]
fn utf8_names_are_quoted_or_escaped_as_the_client_requests() {
    let native = families(&[
        ("legacy", FamilyType::Gauge, &[&[("queue.name", "a"), ("b", "c")]]),
        ("mail.queue.size", FamilyType::Gauge, &[&[("queue.name", "a"), ("b", "c")], &[]]),
        ("my \"quoted\" name_total", FamilyType::Counter, &[&[("b", "d")]]),
    ]);
    let section = [Section::of_target(native, &Identity::new("x", "one"))];
    let identity = "instance=\"one\",job=\"x\"";
    let page = |name: &str, label: &str, counter: &str| {
        format!(
            "# HELP legacy About it.\n# TYPE legacy gauge\nlegacy{{{label}=\"a\",b=\"c\",{identity}}} 1\n# HELP {name} About it.\n# TYPE {name} gauge\n\
             {name}{{{label}=\"a\",b=\"c\",{identity}}} 2\n{name}{{{identity}}} 3\n# HELP {counter} About it.\n# TYPE {counter} counter\n{counter}{{b=\"d\",{identity}}} 4\n"
        )
    };
    let underscores = page("mail_queue_size", "queue_name", "my__quoted__name_total");
    assert_renders(Format::Text, &section, &underscores);
    assert_renders(Format::TextV1(Escaping::Underscores), &section, &underscores);
    assert_renders(
        Format::TextV1(Escaping::Dots),
        &section,
        &page("mail_dot_queue_dot_size", "queue_dot_name", "my____quoted____name__total"),
    );
    let quoted = format!(
        "# HELP legacy About it.\n# TYPE legacy gauge\nlegacy{{\"queue.name\"=\"a\",b=\"c\",{identity}}} 1\n\
         # HELP \"mail.queue.size\" About it.\n# TYPE \"mail.queue.size\" gauge\n\
         {{\"mail.queue.size\",\"queue.name\"=\"a\",b=\"c\",{identity}}} 2\n{{\"mail.queue.size\",{identity}}} 3\n\
         # HELP \"my \\\"quoted\\\" name_total\" About it.\n# TYPE \"my \\\"quoted\\\" name_total\" counter\n\
         {{\"my \\\"quoted\\\" name_total\",b=\"d\",{identity}}} 4\n"
    );
    assert_renders(Format::TextV1(Escaping::AllowUtf8), &section, &quoted);
    let open_metrics = quoted
        .replace("# HELP \"my \\\"quoted\\\" name_total\"", "# HELP \"my \\\"quoted\\\" name\"")
        .replace("# TYPE \"my \\\"quoted\\\" name_total\"", "# TYPE \"my \\\"quoted\\\" name\"");
    assert_renders(Format::OpenMetrics(Escaping::AllowUtf8), &section, &format!("{open_metrics}# EOF\n"));
    let values = render(Format::OpenMetrics(Escaping::Values), &section);
    let line = format!("\nU__mail_2e_queue_2e_size{{U__queue_2e_name=\"a\",b=\"c\",{identity}}} 2\n");
    assert!(values.contains(&line), "{values}");
    // A series without labels has no comma after its name.
    let unlabeled = families(&[("a.b", FamilyType::Gauge, &[&[]])]);
    let expected = "# HELP \"a.b\" About it.\n# TYPE \"a.b\" gauge\n{\"a.b\"} 1\n";
    assert_renders(Format::TextV1(Escaping::AllowUtf8), &[Section::without_identity(unlabeled)], expected);
}

#[test]
fn families_and_series_that_are_duplicates_after_escaping_are_omitted() {
    let native = families(&[
        ("a.b", FamilyType::Gauge, &[&[("l.m", "1")], &[("l_m", "1")], &[("l-m", "2")], &[("l.m", "3"), ("l_m", "4")]]),
        ("a-b", FamilyType::Gauge, &[&[("l", "1")]]),
        ("a_c", FamilyType::Gauge, &[&[("l", "1")]]),
        ("a.c", FamilyType::Gauge, &[&[("l", "1")]]),
    ]);
    let of_one = Section::of_target(native, &Identity::new("x", "one"));
    let two = families(&[("a.c", FamilyType::Gauge, &[&[("l", "1")]])]);
    let of_two = Section::of_target(two, &Identity::new("x", "two"));
    let (page, omitted) = write(Format::Text, &[of_one.clone(), of_two.clone()], &ReservedNames::default());
    let expected = "# HELP a_b About it.\n# TYPE a_b gauge\na_b{l=\"1\",instance=\"one\",job=\"x\"} 5\n\
                    # HELP a_c About it.\n# TYPE a_c gauge\na_c{l=\"1\",instance=\"one\",job=\"x\"} 6\na_c{l=\"1\",instance=\"two\",job=\"x\"} 1\n";
    assert_eq!(page, expected);
    assert_eq!((omitted.families_dropped, omitted.series_dropped), (2, 0));
    assert_eq!(
        omitted.reasons,
        ["\"a.b\" of one has the escaped name a_b, as \"a-b\" has", "\"a.c\" of one has the escaped name a_c, as \"a_c\" has"]
    );
    // Quoted names are not escaped and therefore differ.
    let (_, omitted) = write(Format::TextV1(Escaping::AllowUtf8), &[of_one, of_two], &ReservedNames::default());
    assert_eq!((omitted.families_dropped, omitted.series_dropped), (0, 0));
    let labels = families(&[("a", FamilyType::Gauge, &[&[("l.m", "1")], &[("l_m", "1")], &[("l-m", "2")], &[("l.m", "3"), ("l_m", "4")]])]);
    let (page, omitted) = write(Format::Text, &[Section::without_identity(labels)], &ReservedNames::default());
    let expected = "# HELP a About it.\n# TYPE a gauge\na{l_m=\"1\"} 2\na{l_m=\"2\"} 3\na{_l_m=\"3\",l_m=\"4\"} 4\n";
    assert_eq!((page.as_str(), omitted.series_dropped), (expected, 1));
}
