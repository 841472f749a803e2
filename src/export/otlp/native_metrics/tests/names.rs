//! The names of native metrics, their attributes, and the attributes of `target_info`.

use super::*;

#[test]
fn labels_that_a_receiver_would_overwrite_are_renamed() {
    let (resources, _) = push(
        "# TYPE q gauge\nq{job=\"a\",instance=\"i1\"} 1\nq{job=\"b\",instance=\"i2\"} 2\nq{exported_job=\"c\"} 3\nq{exported_job=\"c\",job=\"d\"} 4\n",
    );
    let expected = [
        "postmeter.native q{exported_job=a,exported_instance=i1} 1",
        "postmeter.native q{exported_job=b,exported_instance=i2} 2",
        "postmeter.native q{exported_job=c} 3",
        "postmeter.native q{exported_job=c,exported_exported_job=d} 4",
    ];
    assert_eq!(series(&resources), expected);
}

#[test]
fn native_families_keep_their_names_in_the_native_scope() {
    let (resources, reading) = push(
        "# TYPE up gauge\nup{job=\"x\",instance=\"y\"} 1\n# TYPE mail_up gauge\nmail_up{job=\"kumomta\"} 1\n# TYPE postmeter_x counter\npostmeter_x_total 5\n",
    );
    let expected = [
        "postmeter.native mail_up{exported_job=kumomta} 1",
        "postmeter.native postmeter_x_total{} 5",
        "postmeter.native up{exported_job=x,exported_instance=y} 1",
    ];
    assert_eq!(series(&resources), expected);
    assert_eq!(reading.native.repairs.get(Repair::NameCollision), 1);
}

#[track_caller]
fn has_resource_attributes(body: &str, attributes: &str, ambiguous: u64) {
    let (resources, reading) = push(&format!("{body}a 1\n"));
    assert_eq!(series(&resources), ["postmeter.native a{} 1"], "{body}");
    let resource = resources[0].resource.as_ref().unwrap();
    assert_eq!(text(&resource.attributes), format!("service.name=prometheus,service.instance.id=one{attributes}"), "{body}");
    assert_eq!(reading.native.repairs.get(Repair::AmbiguousTargetInfo), ambiguous, "{body}");
}

#[test]
fn target_info_becomes_resource_attributes() {
    has_resource_attributes("target_info{service_name=\"cart\",host_name=\"a\"} 1\n", ",host_name=a,service_name=cart", 0);
    has_resource_attributes("# TYPE target info\ntarget_info{host_name=\"a\"} 1\n", ",host_name=a", 0);
    let never = "target_info{job=\"j\",instance=\"i\",\"service.name\"=\"n\",\"service.namespace\"=\"s\",\"service.instance.id\"=\"k\",\
                 \"server.address\"=\"h\",\"server.port\"=\"1\",\"server.x\"=\"y\",\"url.scheme\"=\"ftp\",\"host.name\"=\"b\"} 1\n";
    has_resource_attributes(never, ",host.name=b", 0);
    // Several equal series count as one.
    has_resource_attributes("target_info{a=\"1\",b=\"\"} 1\ntarget_info{a=\"1\"} 1\n", ",a=1", 0);
    has_resource_attributes("target_info{a=\"1\"} 1\ntarget_info{a=\"2\"} 1\n", "", 1);
    has_resource_attributes("target_info{a=\"1\",job=\"x\"} 1\ntarget_info{a=\"1\",job=\"y\"} 1\n", "", 1);
}

#[test]
fn names_that_a_receiver_cannot_translate_are_escaped() {
    let (resources, reading) = push(
        "# TYPE _ gauge\n_ 1\n# TYPE __ counter\n__{__=\"a\",_x=\"b\"} 2\n# TYPE \"жж\" gauge\n{\"жж\",\"é\"=\"c\",\"éa\"=\"d\"} 3\n\
         # TYPE up gauge\nup{\"--\"=\"e\"} 4\ntarget_info{___=\"f\",\"--name--\"=\"g\"} 1\n",
    );
    let expected = [
        "postmeter.native U____{} 1",
        "postmeter.native U______{U______=a,_x=b} 2",
        "postmeter.native up{U___2d__2d_=e} 4",
        "postmeter.native U___436__436_{U___e9_=c,éa=d} 3",
    ];
    assert_eq!(series(&resources), expected);
    let resource = resources[0].resource.as_ref().unwrap();
    assert_eq!(text(&resource.attributes), "service.name=prometheus,service.instance.id=one,U________=f");
    assert_eq!(reading.native.repairs.get(Repair::UntranslatableName), 7);
}

#[test]
fn the_end_of_a_series_has_its_escaped_names() {
    let mut state = SeriesState::default();
    pushed(&mut state, &reading(1_700_000_000, "# TYPE up gauge\nup{__=\"a\"} 1\nup{l=\"b\"} 1\n"));
    let resources = pushed(&mut state, &reading(1_700_000_010, "# TYPE up gauge\nup{l=\"b\"} 1\n"));
    let ends = points(metric(&resources, "up")).iter().filter(|point| point.flags == 1);
    assert_eq!(ends.map(|point| text(&point.attributes)).collect::<Vec<_>>(), ["U______=a"]);
}

#[test]
fn names_that_are_not_exported_are_not_counted() {
    let families = prometheus::read("# TYPE a gauge\na{__=\"b\"} 1\n# TYPE c gauge\nc 1\n".to_owned()).unwrap();
    let native = SelectedFamilies::select(vec![families], "", usize::MAX, |name| (name == "c").then(FamilySelection::default));
    assert_eq!(native.repairs.get(Repair::UntranslatableName), 0);
}
