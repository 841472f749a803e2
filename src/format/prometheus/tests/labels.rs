//! Labels, as servers escape them, and quoted names.

use super::*;

#[test]
fn unescaped_label_values_are_read() {
    check(&[
        ("x{q=\"say \"hi\" now\"} 1", "unknown x{q=say \"hi\" now} 1; !unescaped 1"),
        ("x{q=\"say \"hi\"\"} 1", "unknown x{q=say \"hi\"} 1; !unescaped 1"),
        ("x{q=\"\"hi\" there\",r=\"s\"} 1", "unknown x{q=\"hi\" there,r=s} 1; !unescaped 1"),
        (r#"x{q="back\slash"} 1"#, "unknown x{q=back\\slash} 1; !unescaped 1"),
        (r#"x{q="ends in \"} 1"#, "unknown x{q=ends in \\} 1; !unescaped 1"),
        (r#"x{q="ends in \",r="s"} 1"#, "unknown x{q=ends in \\,r=s} 1; !unescaped 1"),
        // Neither a label nor the end of a sample follows the first quotes.
        ("y 1\nx{q=\"a\",\"b\"} 1\n", "unknown y 1; unknown x{q=a\",\"b} 1; !unescaped 1"),
        ("y 1\nx{q=\"a\",\"b=\"c\"} 1\n", "unknown y 1; unknown x{q=a\",\"b=\"c} 1; !unescaped 1"),
        ("y 1\nx{q=\"a\"} b\"} 1\n", "unknown y 1; unknown x{q=a\"} b} 1; !unescaped 1"),
        ("x{q=\"a\"} 5\"} 1", "unknown x{q=a\"} 5} 1; !unescaped 1"),
        ("x{q=\"a\"} 5 17\"} 1", "unknown x{q=a\"} 5 17} 1; !unescaped 1"),
        ("x{q=\"a\"} 5 # {\"} 1", "unknown x{q=a\"} 5 # {} 1; !unescaped 1"),
        ("x{q=\"\",c=\"} 1\ny{a=\"b\"} 2\n", "unknown x{q=\",c=} 1; unknown y{a=b} 2; !unescaped 1"),
        (
            "x{q=\"\"\"} 1\nx{q=\"=\"} 1\nx{q=\"=\"} 1\ny 2\n",
            "unknown x{q=\"} 1; unknown x{q==} 1; unknown x{q==} 1; unknown y 2; !unescaped 1",
        ),
        ("x{q=\"a\",\"} 1", "unknown x{q=a\",} 1; !unescaped 1"),
    ]);
}

#[test]
fn valid_label_values_are_read() {
    check(&[
        (r#"x{q="say \"hi\""} 1"#, "unknown x{q=say \"hi\"} 1"),
        (r#"x{q="a\\b"} 1"#, "unknown x{q=a\\b} 1"),
        (r#"x{q="a\\"} 1"#, "unknown x{q=a\\} 1"),
        (r#"x{q="a\\",r="s"} 1"#, "unknown x{q=a\\,r=s} 1"),
        (r#"x{q="a\nb"} 1"#, "unknown x{q=a\nb} 1"),
        (r#"x{q="\"",r="\","} 1"#, "unknown x{q=\",r=\",} 1"),
        ("x{q=\"a,b={c}\"} 1", "unknown x{q=a,b={c}} 1"),
        ("x{q=\"\"} 1", "unknown x{q=} 1"),
        ("x{q=\"é→\"} 1", "unknown x{q=é→} 1"),
        ("x{} 1", "unknown x 1"),
        // Prometheus needs no comma between labels.
        ("x{a=\"1\"b=\"2\"} 1", "unknown x{a=1,b=2} 1"),
        ("x{a=\"1\" b=\"2\"\tc=\"3\"} 1", "unknown x{a=1,b=2,c=3} 1"),
        ("x{a=\"\"b=\"\\\"\"} 1", "unknown x{a=,b=\"} 1"),
    ]);
}

#[test]
fn text_in_a_label_is_never_a_sample() {
    check(&[
        // A server that escapes quotes and backslashes, but no line breaks.
        ("x{q=\"a\nb\"} 1\ny 2\n", "unknown x{q=a\nb} 1; unknown y 2"),
        ("x{q=\"a\n\",le=\"1\"} 1\nx{q=\"b\n\",le=\"2\"} 2\n", "unknown x{q=a\n,le=1} 1; unknown x{q=b\n,le=2} 2"),
        ("x{q=\"550 no\nx 99\nend\"} 1\nx{q=\"ok\"} 2\n", "unknown x{q=550 no\nx 99\nend} 1; unknown x{q=ok} 2"),
        ("x{q=\"a\n# TYPE y counter\ny 9\n\n\"} 1\ny 2\n", "unknown x{q=a\n# type y counter\ny 9\n\n} 1; unknown y 2"),
        ("x{q=\"a\r\ny 9\r\nb\",r=\"c\nd\"} 1\r\n", "unknown x{q=a\r\ny 9\r\nb,r=c\nd} 1"),
        (
            r#"x{q="a\"} 1
y 9
z"} 3
y 2
"#,
            "unknown x{q=a\"} 1\ny 9\nz} 3; unknown y 2",
        ),
        (
            r#"x{q="a
y{service=\"s\"} 9
b"} 1
y{service="s"} 2
"#,
            "unknown x{q=a\ny{service=\"s\"} 9\nb} 1; unknown y{service=s} 2",
        ),
        // A server that does not escape.
        ("x{q=\"a\ny{s=\"v\"} 9\nb\"} 1\nz 2\n", "unknown x{q=a\ny{s=\"v} 9; unknown z 2; !unreadable 1; !unescaped 1"),
        ("x{q=\"a \"b\ny 9\nc\"} 1\nz 2\n", "unknown x{q=a \"b\ny 9\nc} 1; unknown z 2; !unescaped 1"),
        ("x{q=\"a \"b\" c\ny 9\nd\"} 1\nz 2\n", "unknown x{q=a \"b\" c\ny 9\nd} 1; unknown z 2; !unescaped 1"),
    ]);
}

#[test]
fn quoted_names_are_read() {
    check(&[
        (
            "# HELP \"mail.queue.size\" messages\n# TYPE \"mail.queue.size\" gauge\n{\"mail.queue.size\",\"queue.name\"=\"a\",b=\"c\"} 5\n{\"mail.queue.size\",b=\"d\"} 6\n",
            "gauge mail.queue.size{queue.name=a,b=c} 5; gauge mail.queue.size{b=d} 6",
        ),
        ("# TYPE \"S\u{fc}d\" counter\n{\"S\u{fc}d\"} 7\n", "counter s\u{fc}d 7"),
        ("{legacy,b=\"x\"} 3\n{\"plain\",b=\"x\"} 3\n", "unknown legacy{b=x} 3; unknown plain{b=x} 3"),
        (r#"{"my \"odd\" name"} 9"#, "unknown my \"odd\" name 9"),
        (r#"{b="c","behind"} 9"#, "unknown behind{b=c} 9"),
        ("# TYPE \"h.x\" histogram\n{\"h.x_bucket\",\"le\"=\"1\"} 2\n{\"h.x_count\"} 3\n", "histogram h.x [1.0] [2] of 3 sum none"),
        ("# TYPE \"c.x\" counter\n{\"c.x_total\"} 3\n{\"c.x_created\"} 1700000000\n# EOF\n", "counter c.x_total 3"),
        ("x{\"y\"} 1\n{\"y\",\"z\"} 1\n{\"\"} 1\n{\"y\",\"\"=\"1\"} 1\ny 1\n", "unknown y 1; !unreadable 4"),
    ]);
}
