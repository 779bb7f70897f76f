//! Records on disk: each kind of event has a fixture that must load for ever and mean the same.

use crate::samples::{self, ended, text};
use keybaton_protocol::event::{Event, Live, Minted, Outcome};
use keybaton_protocol::fault::{Blame, FailureClass, Fault};
use keybaton_protocol::ids::{CallId, Digest, Generation, Millis, Ordinal};
use keybaton_store::record::{self, EVENT_KINDS, RecordError};
use proptest::prelude::*;
use serde_json::Value;
use std::path::PathBuf;

fn fixture(kind: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journal-v1").join(format!("{kind}.json"))
}

/// Writes fixtures that do not exist yet, if asked to; never one that does.
fn write_missing(kind: &str, events: &[Event]) {
    if std::env::var_os("KEYBATON_WRITE_FIXTURES").is_none() || fixture(kind).exists() {
        return;
    }
    let bodies: Vec<Value> =
        events.iter().map(|event| serde_json::from_slice(&record::encode_event(event)).unwrap()).collect();
    std::fs::write(fixture(kind), serde_json::to_string_pretty(&bodies).unwrap() + "\n").unwrap();
}

#[test]
fn every_kind_of_event_has_a_fixture_that_loads_and_means_the_same() {
    let samples = samples::events();
    for kind in EVENT_KINDS {
        let expected: Vec<Event> = samples.iter().filter(|event| record::event_kind(event) == *kind).cloned().collect();
        assert!(!expected.is_empty(), "`{kind}` has a sample");
        write_missing(kind, &expected);
        let read = std::fs::read(fixture(kind)).unwrap_or_else(|error| panic!("`{kind}` has a fixture: {error}"));
        let bodies: Vec<Value> = serde_json::from_slice(&read).unwrap();
        let loaded: Vec<Event> = bodies
            .iter()
            .map(|body| record::decode_event(1, body.to_string().as_bytes()).unwrap_or_else(|e| panic!("{kind}: {e}")))
            .collect();
        assert_eq!(loaded, expected, "`{kind}` means what it meant");
        for (body, event) in bodies.iter().zip(&loaded) {
            let written: Value = serde_json::from_slice(&record::encode_event(event)).unwrap();
            assert_eq!(written, without_retired(body.clone()), "`{kind}` is written as it was");
        }
    }
}

/// What is read and written no longer.
fn without_retired(mut body: Value) -> Value {
    match &mut body {
        Value::Object(fields) => {
            fields.remove("clobbers_slot");
            fields.values_mut().for_each(|field| *field = without_retired(field.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without_retired(item.take())),
        _ => {}
    }
    body
}

#[test]
fn there_is_no_fixture_without_a_kind() {
    for entry in std::fs::read_dir(fixture("x").parent().unwrap()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let kind = name.strip_suffix(".json").unwrap();
        assert!(EVENT_KINDS.contains(&kind), "`{kind}` is written by nobody, and old fixtures must still load");
    }
}

#[test]
fn kinds_are_named_as_the_protocol_names_them() {
    for event in samples::events() {
        assert_eq!(record::event_kind(&event), event.name());
        let body: Value = serde_json::from_slice(&record::encode_event(&event)).unwrap();
        let named =
            body.as_str().map_or_else(|| body.as_object().unwrap().keys().next().unwrap().clone(), str::to_owned);
        assert_eq!(named, event.name(), "and so does the record");
    }
}

#[test]
fn what_is_no_record_of_its_version_is_refused() {
    let cases: [(&str, u32, &str); 7] = [
        ("a newer version", 2, r#""staged""#),
        ("version 0", 0, r#""staged""#),
        ("an unknown kind", 1, r#""exploded""#),
        ("an unknown field", 1, r#"{"wave-opened":{"wave":1,"colour":"red"}}"#),
        ("a missing field", 1, r#"{"wave-opened":{}}"#),
        ("a name outside its grammar", 1, r#"{"frozen":{"author":"two words"}}"#),
        ("not JSON", 1, "staged"),
    ];
    for (what, version, body) in cases {
        let outcome = record::decode_event(version, body.as_bytes());
        assert!(outcome.is_err(), "{what}: {outcome:?}");
        if version != 1 {
            assert_eq!(outcome, Err(RecordError::Version { found: version }), "{what}");
        }
    }
}

fn word() -> impl Strategy<Value = String> {
    "[!-~]{1,60}"
}

fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec((".{0,20}", any::<String>()), 0..4)
}

fn live() -> impl Strategy<Value = Live> {
    let times = (any::<Option<u64>>(), any::<Option<u64>>(), any::<Option<u64>>());
    (word(), prop::option::of(word()), any::<bool>(), times, any::<Option<u32>>()).prop_map(
        |(id, slot, active, (created, expires, used), live_uses)| Live {
            id: text(&id),
            slot: slot.as_deref().map(text),
            active,
            created_at: created.map(Millis),
            expires_at: expires.map(Millis),
            last_used_at: used.map(Millis),
            live_uses,
        },
    )
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let fault = (
        prop::sample::select(FailureClass::ALL),
        prop::sample::select(Blame::ALL),
        any::<String>(),
        any::<String>(),
        any::<Option<u64>>(),
    )
        .prop_map(|(class, blame, code, message, retry_after_ms)| Fault {
            class,
            blame,
            code,
            message,
            retry_after_ms,
        });
    let minted = (prop::option::of(word()), pairs(), pairs(), prop::collection::vec((any::<String>(), word()), 0..3))
        .prop_map(|(id, attributes, facts, fields)| Minted {
            id: id.as_deref().map(text),
            attributes,
            facts,
            fields: fields.into_iter().map(|(name, label)| (name, text(&label))).collect(),
        });
    prop_oneof![
        fault.prop_map(Outcome::Failed),
        minted.prop_map(Outcome::Created),
        pairs().prop_map(Outcome::Done),
        any::<String>().prop_map(Outcome::Refused),
        (any::<u64>(), prop::collection::vec(live(), 0..5))
            .prop_map(|(began_at, live)| Outcome::Observed { began_at: Millis(began_at), live }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let sent =
        (any::<u32>(), any::<u32>(), any::<[u8; 32]>(), any::<u64>()).prop_map(|(call, ordinal, request, deadline)| {
            Event::Sent {
                call: CallId(call),
                ordinal: Ordinal(ordinal),
                request: Digest(request),
                deadline: Millis(deadline),
            }
        });
    let overridden = (any::<u32>(), any::<String>(), word()).prop_map(|(generation, reason, author)| {
        Event::Overridden { generation: Generation(generation), reason, author: text(&author) }
    });
    prop_oneof![outcome().prop_map(ended), sent, overridden, prop::sample::select(samples::events())]
}

proptest! {
    #[test]
    fn any_event_is_read_as_it_was_written(event in event()) {
        let body = record::encode_event(&event);
        prop_assert_eq!(record::decode_event(record::VERSION, &body), Ok(event));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(body in prop::collection::vec(any::<u8>(), 0..200), version in 0u32..3) {
        drop(record::decode_event(version, &body));
    }
}
