//! The values of the chart and their schema.

use super::*;

#[test]
fn versions_are_those_of_the_program() {
    let chart = yaml(&read("deploy/helm/postmeter/Chart.yaml"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["name"], env!("CARGO_PKG_NAME"));
    // The user that the image has.
    let user = yaml(&read("deploy/helm/postmeter/values.yaml"))["podSecurityContext"]["runAsUser"].to_string();
    assert!(read("Dockerfile").contains(&format!("USER {user}:{user}\n")));
}

/// Every value has a comment in the style of helm-docs.
#[test]
fn every_value_is_documented() {
    let text = read("deploy/helm/postmeter/values.yaml");
    let lines: Vec<&str> = text.lines().collect();
    let mut values = 0;
    for (index, line) in lines.iter().enumerate() {
        let key = line.trim_start();
        let indent = line.len() - key.len();
        let Some((key, value)) = key.split_once(':').filter(|(key, _)| key.bytes().all(|b| b.is_ascii_alphanumeric())) else { continue };
        // A map without a comment documents each of its keys.
        let next = lines.get(index + 1).copied().unwrap_or_default();
        let is_group = value.is_empty() && next.trim_start().starts_with("# -- ");
        let comment = lines[..index].iter().rev().take_while(|line| line.trim_start().starts_with('#')).any(|l| l.contains("# -- "));
        let is_of_documented_map = indent > 0
            && lines[..index].iter().rev().take_while(|line| !line.is_empty()).any(|above| {
                let outer = above.len() - above.trim_start().len();
                outer < indent && above.trim_start().starts_with("# -- ")
            });
        assert!(is_group || comment || is_of_documented_map, "line {}: {key} has no comment", index + 1);
        values += 1;
    }
    assert!(values > 100, "{values}");
}

/// The schema has the keys of `values.yaml`, so that a typing error is an error of `helm install`.
#[test]
fn the_schema_lists_every_value() {
    fn compare(path: &str, schema: &Value, values: &Value) {
        if path == ".config" {
            return;
        }
        let (Some(properties), Some(values)) = (schema["properties"].as_object(), values.as_object()) else { return };
        assert_eq!(schema["additionalProperties"], false, "{path}");
        for (key, value) in values {
            let of = properties.get(key).unwrap_or_else(|| panic!("{path}.{key} is not in the schema"));
            compare(&format!("{path}.{key}"), of, value);
        }
        let has_other_settings = path.starts_with(".probes.");
        let undocumented = properties.keys().find(|key| !values.contains_key(*key) && *key != "global" && !has_other_settings);
        assert_eq!(undocumented, None, "{path}");
    }
    let schema: Value = serde_json::from_str(&read("deploy/helm/postmeter/values.schema.json")).unwrap();
    compare("", &schema, &yaml(&read("deploy/helm/postmeter/values.yaml")));
}

/// The values in the documentation are valid.
#[test]
fn documented_values_are_valid() {
    let Some(helm) = Helm::find("documented_values_are_valid") else { return };
    let page = read("docs/kubernetes.md");
    let blocks: Vec<&str> = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 4, "{}", blocks.len());
    let base = Path::new(CHART).join("ci/open-values.yaml");
    let file = helm.home.path().join("documented.yaml");
    for block in blocks {
        std::fs::write(&file, block).unwrap();
        let [base, file] = [&base, &file].map(|path| path.to_str().unwrap());
        // The base has a PodMonitor, which excludes a ServiceMonitor.
        helm.text(&["template", RELEASE[0], CHART, "--values", base, "--set", "podMonitor.enabled=false", "--values", file]);
    }
}

/// The line of `values.schema.json` that has this key at this depth, with another value.
fn replace_line(text: &str, key: &str, value: &Value) -> String {
    let start = format!("{key}: ");
    let replace = |line: &str| if line.starts_with(&start) { format!("{start}{value},\n") } else { format!("{line}\n") };
    text.lines().map(replace).collect()
}

/// `config` is described by the schema of the configuration, so that an unknown key is an error of `helm install`.
/// `INSTA_UPDATE=always` rewrites it.
#[test]
fn the_schema_contains_that_of_the_configuration() {
    const FILE: &str = "deploy/helm/postmeter/values.schema.json";
    let output = postmeter().arg("config-schema").output().unwrap();
    let mut schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    let object = schema.as_object_mut().unwrap();
    let definitions = object.remove("definitions").unwrap();
    // Without targets, lint must succeed: the templates report what is missing.
    ["$schema", "title", "anyOf", "required"].iter().for_each(|key| drop(object.remove(*key)));
    object["properties"]["targets"].as_object_mut().unwrap().remove("minItems");
    let before = read(FILE);
    let after = replace_line(&replace_line(&before, "    \"config\"", &schema), "  \"definitions\"", &definitions);
    assert_generated_file(&Path::new(ROOT).join(FILE), &after);
    let read: Value = serde_json::from_str(&after).unwrap();
    assert!(read["properties"]["config"] == schema && read["definitions"] == definitions);
}

/// Helm rejects a schema in which an enumeration has a value twice.
#[test]
fn enumerations_have_distinct_values() {
    fn check(path: &str, schema: &Value) {
        let names = schema["enum"].as_array().into_iter().flatten().map(Value::to_string);
        let distinct: BTreeSet<String> = names.clone().collect();
        assert_eq!(distinct.len(), names.count(), "{path}");
        let maps = schema.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value));
        let lists = schema.as_array().into_iter().flatten().enumerate().map(|(index, value)| (index.to_string(), value));
        maps.chain(lists).for_each(|(key, value)| check(&format!("{path}/{key}"), value));
    }
    check("", &serde_json::from_str(&read("deploy/helm/postmeter/values.schema.json")).unwrap());
}
