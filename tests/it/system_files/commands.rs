//! Commands that list, show and check definitions, and explain their values.

use super::*;

#[test]
fn systems_lists_shows_and_checks() {
    let folder = folder();
    let list = stdout(&run(folder.path(), "systems --systems-file systems/mailhub.yaml"));
    for source in postmeter::source::SOURCES.iter() {
        let line = list.lines().find(|line| line.split_whitespace().next() == Some(source.name)).unwrap();
        assert!(line.contains(source.title) && source.parts.iter().all(|part| line.contains(part.name)), "{line}");
    }
    assert_eq!(list.lines().last().unwrap().split_whitespace().collect::<Vec<_>>(), ["mailhub", "Mailhub", "metrics"]);
    for source in postmeter::source::SOURCES.iter() {
        let shown = run(folder.path(), &format!("systems show {}", source.name));
        assert_eq!(shown.status.code(), Some(0), "{}", stderr(&shown));
        fs::write(folder.path().join("copy.yaml"), &shown.stdout).unwrap();
        let output = run(folder.path(), "systems check copy.yaml");
        let valid = format!("copy.yaml: valid, {}: ", source.name);
        assert!(stdout(&output).starts_with(&valid) && output.status.success(), "{}{}", stdout(&output), stderr(&output));
        assert!(stderr(&output).contains("is the name of a built-in mail system"), "{}", stderr(&output));
    }
    let output = run(folder.path(), "systems show nosuch");
    assert!(stderr(&output).starts_with("postmeter: unknown mail system \"nosuch\"; expected one of: "), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(1));
    for line in ["systems check", "systems show", "systems nosuch", "systems schema --format xml", "explain", "explain --system a"] {
        assert_eq!(run(folder.path(), line).status.code(), Some(2), "{line}");
    }
}

#[test]
fn check_reports_every_problem_of_every_file_and_runs_examples() {
    let folder = folder();
    let check = |files: &str| {
        let output = run(folder.path(), &format!("systems check {files}"));
        (output.status.code(), stdout(&output), stderr(&output))
    };
    assert_eq!(
        check("systems/mailhub.yaml"),
        (Some(0), "systems/mailhub.yaml: valid, mailhub: 1 part, 2 rules, 0 examples\n".to_owned(), String::new())
    );
    let example = block("yaml", "after traffic");
    fs::write(folder.path().join("good.yaml"), definition() + &example).unwrap();
    assert_eq!(check("good.yaml").0, Some(0), "{}", check("good.yaml").2);
    fs::write(folder.path().join("wrong.yaml"), definition() + &example.replace("}: 14", "}: 15")).unwrap();
    let (code, _, problems) = check("wrong.yaml");
    assert!(code == Some(1) && problems.starts_with("postmeter: wrong.yaml:") && problems.contains("is 14, expected 15"), "{problems}");
    let bad = definition().replace("mail.queue.depth", "mail.queue.deep").replace("deferred}}", "later}}").replace("path:", "pfad:");
    fs::write(folder.path().join("bad.yaml"), bad).unwrap();
    let (code, out, problems) = check("wrong.yaml bad.yaml nosuch.yaml good.yaml");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    let positions: Vec<&str> = problems.lines().map(|line| line.trim_start_matches("postmeter: ").split(": ").next().unwrap()).collect();
    assert!(positions.len() >= 4, "{problems}");
    for position in &positions {
        let parts: Vec<&str> = position.split(':').collect();
        let has_position = matches!(parts[..], [_, line, column] if line.parse::<u32>().is_ok() && column.parse::<u32>().is_ok());
        assert!(has_position || *position == "cannot read nosuch.yaml", "{position}");
    }
    assert_eq!(check("systems/mailhub.yaml good.yaml").0, Some(1), "two definitions of one name");
}

#[test]
fn explain_shows_where_values_come_from_and_what_is_not_used() {
    let folder = folder();
    let explain = |files: &str| run(folder.path(), &format!("explain --systems-file systems/mailhub.yaml --system mailhub {files}"));
    crate::assert_text_snapshot!("explain-mailhub", stdout(&explain("--file mailhub.txt")));
    let json: serde_json::Value = serde_json::from_str(&stdout(&explain("--file metrics=mailhub.txt --format json"))).unwrap();
    let target = &json["targets"][0];
    assert_eq!((&target["system"], &target["unused_families"][0]["family"]), (&"mailhub".into(), &"mailhub_greylisted_total".into()));
    let point = target["points"].as_array().unwrap().iter().find(|point| point["attributes"]["mail.queue.state"] == "deferred").unwrap();
    assert_eq!((&point["value"], &point["sources"][0]["rule"]["number"]), (&14.into(), &1.into()));
    assert_eq!(point["sources"][0]["series"][0]["labels"]["state"], "waiting");
    // Control characters are escaped.
    let hostile = response().replace("\"waiting\"", "\"wait\u{1b}[2J\u{202e}ing\"");
    fs::write(folder.path().join("hostile.txt"), hostile).unwrap();
    for format in ["text", "json"] {
        let out = stdout(&explain(&format!("--file hostile.txt --format {format}")));
        assert!(out.contains("wait\\u001b[2J\\u202eing") && !out.contains(['\u{1b}', '\u{202e}']), "{out}");
    }
    let output = explain("--file nosuch.txt");
    assert_eq!(
        (stderr(&output).as_str(), output.status.code()),
        ("postmeter: --file: cannot read nosuch.txt: No such file or directory (os error 2)\n", Some(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_polls_and_hides_secrets() {
    let folder = folder();
    let secret = "hunter2-hunter2";
    let body = response().replace("\"waiting\"", &format!("\"{secret}\""));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let router = Router::new().route("/metrics", get(move || async move { body }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = config(server, "")
        .replace("min_interval: 1s", &format!("token: {secret}"))
        .replace("  - {", "  - {name: down, system: mailhub, url: \"http://127.0.0.1:1\"}\n  - {");
    fs::write(folder.path().join("postmeter.yaml"), config).unwrap();
    let path = folder.path().to_owned();
    let (one, all) = tokio::task::spawn_blocking(move || {
        let line = "explain --config postmeter.yaml";
        (run(&path, &format!("{line} --target hub1")), run(&path, &format!("{line} --format json")))
    })
    .await
    .unwrap();
    let text = stdout(&one);
    assert!(
        one.status.success() && text.starts_with("hub1: mailhub\n") && text.contains("mailhub_queue{state=\"***\"} 14"),
        "{text}{}",
        stderr(&one)
    );
    let all = (all.status.code(), stdout(&all));
    assert!(all.0 == Some(1) && !all.1.contains(secret) && !text.contains(secret), "{}", all.1);
    let json: serde_json::Value = serde_json::from_str(&all.1).unwrap();
    assert!(json["targets"][0]["parts"][0]["error"].as_str().unwrap().contains("Connection refused"), "{}", all.1);
    assert_eq!(json["targets"][1]["points"].as_array().unwrap().len(), 4, "{}", all.1);
}
