//! The OpenAPI document: kept beside the code, up to date, and whole.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

use serde_json::Value;
use std::path::Path;

fn document() -> Value {
    serde_json::from_str(&keybaton_api::document().unwrap()).unwrap()
}

fn operations(document: &Value) -> Vec<(String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &Value)| {
        let item = item.as_object().unwrap().clone();
        item.into_iter().map(|(method, it)| (format!("{method} {path}"), it)).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

/// `UPDATE_OPENAPI=1 cargo test -p keybaton-api --test document` writes it anew.
#[test]
fn the_kept_document_is_up_to_date() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let made = keybaton_api::document().unwrap();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&kept, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&kept).unwrap_or_default();
    assert!(
        kept == made,
        "openapi.json is out of date: run UPDATE_OPENAPI=1 cargo test -p keybaton-api --test document"
    );
}

#[test]
fn every_route_says_what_it_is_and_how_it_fails() {
    let document = document();
    let operations = operations(&document);
    assert!(operations.len() > 40, "{}", operations.len());
    let open = ["get /healthz", "get /readyz", "get /v1/ca", "post /v1/enrol"];
    for (name, operation) in &operations {
        let said = ["summary", "description"].iter().any(|it| operation[it].as_str().is_some_and(|it| !it.is_empty()));
        assert!(said, "{name} says nothing");
        let secured = !operation["security"].is_null();
        assert_eq!(secured, !open.contains(&name.as_str()), "{name} asks for a token, or does not");
        let fails = !operation["responses"]["default"].is_null();
        assert!(fails || name == "get /healthz" || name == "get /v1/ca", "{name} does not say how it fails");
    }
}

#[test]
fn every_name_in_the_document_is_explained_in_it() {
    let text = keybaton_api::document().unwrap();
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for part in text.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is not explained");
    }
}

#[test]
fn only_the_fetch_and_enrolment_answer_values() {
    let document = document();
    let carries = |operation: &Value, schema: &str| {
        operation["responses"].to_string().contains(&format!("#/components/schemas/{schema}\""))
    };
    let routes = |schema: &str| {
        let all = operations(&document);
        all.iter().filter(|(_, it)| carries(it, schema)).map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(routes("Delivery"), ["get /v1/consumer/secrets/{namespace}/{name}"]);
    assert_eq!(routes("Enrolled"), ["post /v1/enrol", "post /v1/renew"]);
    assert_eq!(routes("EnrolmentGrant"), ["post /v1/enrolments"]);
    assert_eq!(routes("OperatorGrant"), ["post /v1/operators"]);
}
