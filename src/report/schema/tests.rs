//! Real output against the schema, by a validator of the keywords it uses.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use regex::Regex;
use serde_json::{Value, json};

use super::super::document::{Document, write_error};
use super::super::event_lines::EventLines;
use super::super::fixture::{
    captured, commands, exited, failed_file, failure, file, finished, moved, output, result,
    started, stopped, vm, watch,
};
use super::schema;
use crate::event::{EventKind, Progress};
use crate::outcome::{FileOutcome, HostResult, Kill, Phase, Skipped, Status, VerifiedBy};
use crate::remote::ExitStatus;
use crate::remote::Stream;
use crate::transport::ConnectionFacts;

/// Why `value` is not what `schema` says.
fn fault(root: &Value, schema: &Value, value: &Value) -> Option<String> {
    let keywords = schema.as_object().unwrap();
    keywords.iter().find_map(|(keyword, rule)| {
        let valid = |schema: &Value| fault(root, schema, value).is_none();
        let holds = match keyword.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" | "contentEncoding" => true,
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
                return fault(root, root.pointer(pointer).unwrap(), value);
            }
            "anyOf" => rule.as_array().unwrap().iter().any(valid),
            "oneOf" => rule.as_array().unwrap().iter().filter(|rule| valid(rule)).count() == 1,
            "not" => !valid(rule),
            "const" => rule == value,
            "enum" => rule.as_array().unwrap().contains(value),
            "type" => {
                let names = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                names.iter().any(|name| is(name.as_str().unwrap(), value))
            }
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "pattern" => {
                let pattern = Regex::new(rule.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "required" => value.as_object().is_none_or(|fields| {
                rule.as_array().unwrap().iter().all(|n| fields.contains_key(n.as_str().unwrap()))
            }),
            "dependentRequired" => value.as_object().is_none_or(|fields| {
                let present = |name: &str| fields.contains_key(name);
                rule.as_object().unwrap().iter().filter(|(name, _)| present(name)).all(
                    |(_, needed)| {
                        needed
                            .as_array()
                            .unwrap()
                            .iter()
                            .all(|name| present(name.as_str().unwrap()))
                    },
                )
            }),
            "items" => {
                let mut items = value.as_array().into_iter().flatten();
                return items.find_map(|item| fault(root, rule, item));
            }
            "properties" => {
                let mut properties = rule.as_object().unwrap().iter();
                return properties.find_map(|(name, rule)| fault(root, rule, value.get(name)?));
            }
            "propertyNames" => {
                let mut names = value.as_object().unwrap().keys();
                return names.find_map(|name| fault(root, rule, &json!(name)));
            }
            "additionalProperties" => {
                assert!(!keywords.contains_key("properties"), "the validator is too simple");
                return value.as_object().unwrap().values().find_map(|v| fault(root, rule, v));
            }
            unknown => panic!("the validator does not know {unknown}"),
        };
        (!holds).then(|| format!("{value} breaks {keyword}: {rule}"))
    })
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "object" => value.is_object(),
        "string" => value.is_string(),
        unknown => panic!("no such type: {unknown}"),
    }
}

pub(crate) fn check(value: &Value) {
    let schema = schema();
    assert_eq!(fault(&schema, &schema, value), None);
}

fn check_wrong(value: &Value) {
    let schema = schema();
    assert!(fault(&schema, &schema, value).is_some(), "{value}");
}

/// One result of every status, and every optional field.
fn results() -> Vec<HostResult> {
    let mut results: Vec<_> =
        Status::ALL.into_iter().map(|status| result(status.as_str(), status)).collect();
    let full = HostResult {
        stdout: captured(b"\xff0123456789", 4),
        stderr: captured(b"0123456789\xff", 4),
        failure: Some(failure("signal", Phase::Exec, "ended by signal KILL")),
        exit: Some(ExitStatus::Signal("KILL".into())),
        kill: Some(Kill { ended: Some(1), survivors: Some(vec!["7 dd".into()]) }),
        output_incomplete: Some("held"),
        ssh: Some(ConnectionFacts::default()),
        ..result("full", Status::Killed)
    };
    let unknown = Some(Kill { ended: None, survivors: None });
    results.push(full);
    results.push(HostResult { kill: unknown, ..result("unknown2", Status::Timeout) });
    results.push(exited("ok", 255, b"hello", b"\n"));
    results.push(script());
    results.push(list());
    results.extend(transfers());
    results
}

fn script() -> HostResult {
    let (script_id, script_sha256) = (Some("job".into()), Some("ab".repeat(32)));
    HostResult { script_id, script_sha256, ..exited("script", 0, b"", b"") }
}

/// Several commands, with every field that one can have.
fn list() -> HostResult {
    let mut host = commands("list", &[("a", 0, "x"), ("b", 3, "")]);
    let killed = &mut host.commands[1];
    killed.kill = Some(Kill { ended: Some(1), survivors: None });
    killed.failure = Some(failure("signal", Phase::Exec, "ended by signal KILL"));
    killed.exit = Some(ExitStatus::Signal("KILL".into()));
    killed.stdout = captured(b"\xff0123456789", 4);
    killed.stderr = captured(b"0123456789\xff", 4);
    killed.output_incomplete = Some("held");
    host
}

/// One file, several and none, with every field that a file can have.
fn transfers() -> Vec<HostResult> {
    let odd = OsStr::from_bytes(b"/a\xff");
    let one = FileOutcome {
        local: odd.into(),
        remote: odd.into(),
        resumed_from: 1,
        verified_by: Some(VerifiedBy::Readback),
        ..file("")
    };
    let mut tree = moved("tree", vec![one.clone(), failed_file("/d/2", "no space")]);
    tree.transfer.as_mut().unwrap().skipped = vec![
        Skipped { path: odd.into(), why: "a socket" },
        Skipped { path: "/d/s".into(), why: "a socket" },
    ];
    let failed = moved("failed_file", vec![failed_file("/a", "no space")]);
    vec![moved("one", vec![one]), tree, failed, moved("empty", vec![])]
}

fn events() -> Vec<EventKind> {
    let mut events = vec![
        started(&["vm01", "vm02"]),
        EventKind::HostStarted { vm: vm("vm01") },
        output("vm01", Stream::Stdout, b"text"),
        output("vm01", Stream::Stderr, b"\xff"),
        EventKind::CommandFinished {
            vm: vm("vm01"),
            index: 1,
            of: 2,
            result: Box::new(list().commands[1].clone()),
        },
        EventKind::Progress { vm: vm("vm01"), progress: Progress::default() },
        EventKind::BatchFinished {
            index: 1,
            of: 2,
            hosts: vec![vm("vm01")],
            summary: vec![(Status::Success, 1)],
        },
        EventKind::RunFinished { summary: vec![(Status::Success, 2)], stopped: None },
        EventKind::RunFinished { summary: vec![], stopped: Some(stopped()) },
    ];
    events.extend(results().into_iter().map(finished));
    events
}

fn document() -> Value {
    let (out, _) = watch(&mut Document::default(), results().into_iter().map(finished).collect());
    serde_json::from_slice(&out).unwrap()
}

fn lines() -> Vec<Value> {
    let (out, _) = watch(&mut EventLines, events());
    let text = String::from_utf8(out).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn documents_are_valid() {
    check(&document());
    let (empty, _) = watch(&mut Document::default(), vec![]);
    check(&serde_json::from_slice(&empty).unwrap());
    let last = EventKind::RunFinished { summary: vec![], stopped: Some(stopped()) };
    let (stopped, _) = watch(&mut Document::default(), vec![last]);
    check(&serde_json::from_slice(&stopped).unwrap());
}

#[test]
fn the_document_of_a_transfer_and_of_a_script_is_valid() {
    for results in [transfers(), vec![script()], vec![list()]] {
        let (out, _) = watch(&mut Document::default(), results.into_iter().map(finished).collect());
        check(&serde_json::from_slice(&out).unwrap());
    }
}

#[test]
fn a_file_that_is_told_wrongly_is_found() {
    let (out, _) = watch(&mut Document::default(), transfers().into_iter().map(finished).collect());
    let good: Value = serde_json::from_slice(&out).unwrap();
    let wrong = [
        ("/hosts/0/verified_by", json!("md5sum")),
        ("/hosts/0/sha256", json!("ab")),
        ("/hosts/0/resumed_from", json!(0)),
        ("/hosts/1/files/0/bytes", json!(-1)),
        ("/hosts/1/files/1/error", json!("no space")),
        ("/hosts/1/skipped/0", json!("/d/s")),
        ("/hosts/1/totals/failed", json!(null)),
    ];
    for (place, value) in wrong {
        let mut document = good.clone();
        *document.pointer_mut(place).unwrap() = value;
        check_wrong(&document);
    }
    for (host, field) in [(0, "local"), (0, "bytes"), (0, "unchanged"), (0, "files"), (1, "totals")]
    {
        let mut document = good.clone();
        document["hosts"][host].as_object_mut().unwrap().remove(field);
        check_wrong(&document);
    }
}

#[test]
fn errors_before_the_run_are_valid() {
    let mut line = Vec::new();
    write_error(&mut line, &failure("usage", Phase::Config, "no such host")).unwrap();
    check(&serde_json::from_slice(&line).unwrap());
}

#[test]
fn events_are_valid() {
    lines().iter().for_each(check);
}

#[test]
fn every_field_is_described() {
    let schema = schema();
    let described = |place: &str, value: &Value| {
        let fields = schema.pointer(place).unwrap();
        for name in value.as_object().unwrap().keys() {
            assert!(fields.get(name).is_some(), "{name} is not in {place}");
        }
    };
    let document = document();
    described("/$defs/document/properties", &document);
    for host in document["hosts"].as_array().unwrap() {
        described("/$defs/host/properties", host);
        for (name, place) in [("error", "error"), ("kill", "kill"), ("ssh", "ssh")] {
            if !host[name].is_null() {
                described(&format!("/$defs/{place}/properties"), &host[name]);
            }
        }
        described("/$defs/host/properties/ms/properties", &host["ms"]);
        for (name, place) in [("commands", "command"), ("files", "file"), ("skipped", "skipped")] {
            for item in host.get(name).into_iter().flat_map(|items| items.as_array().unwrap()) {
                described(&format!("/$defs/{place}/properties"), item);
            }
        }
        if let Some(totals) = host.get("totals") {
            described("/$defs/totals/properties", totals);
        }
    }
}

#[test]
fn what_is_wrong_is_found() {
    let good = document();
    let wrong = [
        ("/v", json!(2)),
        ("/run", json!("R7K2")),
        ("/summary/success", json!(0)),
        ("/hosts/0/exit_code", json!("0")),
        ("/hosts/0/exit_code", json!(-1)),
        ("/hosts/0/status", json!("ok")),
        ("/hosts/0/timestamp", json!("2026-11-21 02:40:00")),
        ("/hosts/0/ms/run", json!(0.5)),
        ("/hosts/0/ssh", json!({})),
        ("/hosts/0/error", json!({"code": "x"})),
    ];
    for (place, value) in wrong {
        let mut document = good.clone();
        *document.pointer_mut(place).unwrap() = value;
        check_wrong(&document);
    }
    let fields = good["hosts"][0].as_object().unwrap().keys();
    for field in fields {
        let mut document = good.clone();
        document["hosts"][0].as_object_mut().unwrap().remove(field);
        check_wrong(&document);
    }
}

#[test]
fn an_event_has_all_its_fields() {
    for line in lines() {
        for field in line.as_object().unwrap().keys().filter(|name| !name.contains("64")) {
            let optional = [
                "stdout_sha256",
                "stderr_sha256",
                "script_id",
                "script_sha256",
                "script",
                "sha256",
                "verified_by",
                "resumed_from",
                "path",
                "skipped",
                "stopped",
                "commands",
            ]
            .contains(&field.as_str());
            let mut line = line.clone();
            line.as_object_mut().unwrap().remove(field);
            if !optional {
                check_wrong(&line);
            }
        }
    }
}

#[test]
fn a_document_is_no_event() {
    let mut both = document();
    both["type"] = json!("run_finished");
    check_wrong(&both);
}

#[test]
fn the_schema_names_its_version_and_no_site() {
    assert_eq!(schema()["$id"], "urn:orchestrator:output:v1");
}
