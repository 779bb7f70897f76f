//! The canary finds what it planted in every form, and nothing else.

use std::fs;

use base64::{Engine, engine::general_purpose};
use keybaton_test_support::{Canary, Error, Scratch, Sighting};

/// Awkward on purpose: quotes, slashes, a space, a backslash, a letter beyond ASCII.
const SECRET: &str = r#"p"a's/s+w\ör d=?&"#;

fn canary() -> Canary {
    let mut canary = Canary::new();
    canary.plant("password", SECRET).expect("long enough");
    canary
}

fn forms(found: &[Sighting]) -> Vec<&str> {
    found.iter().map(|sighting| sighting.form).collect()
}

#[test]
fn every_rendering_is_found() {
    let json = serde_json::to_string(&serde_json::json!({ "password": SECRET })).unwrap();
    let padded = |before: &str| format!("{before}{SECRET}:after");
    let table = [
        ("raw", SECRET.to_owned()),
        ("base64, first alignment", general_purpose::STANDARD.encode(padded("abc"))),
        ("base64, second alignment", general_purpose::STANDARD.encode(padded("abcd"))),
        ("base64, third alignment", general_purpose::STANDARD.encode(padded("abcde"))),
        ("base64 alone, padded", general_purpose::STANDARD.encode(SECRET)),
        ("base64 alone, unpadded", general_purpose::STANDARD_NO_PAD.encode(SECRET)),
        ("base64url", general_purpose::URL_SAFE.encode(padded("user:"))),
        ("hex", SECRET.bytes().map(|byte| format!("{byte:02x}")).collect()),
        ("HEX", SECRET.bytes().map(|byte| format!("{byte:02X}")).collect()),
        ("a URL", "p%22a%27s%2Fs%2Bw%5C%C3%B6r%20d%3D%3F%26".to_owned()),
        ("a url in lower case", "p%22a%27s%2fs%2bw%5c%c3%b6r%20d%3d%3f%26".to_owned()),
        ("a form", "p%22a%27s%2Fs%2Bw%5C%C3%B6r+d%3D%3F%26".to_owned()),
        ("JSON", json.clone()),
        ("JSON with escaped slashes", json.replace('/', "\\/")),
        ("JSON in ASCII", json.replace('ö', "\\u00f6")),
        ("JSON in JSON", serde_json::to_string(&json).unwrap()),
        ("Debug", format!("{SECRET:?}")),
        ("Debug of bytes", format!("{:?}", SECRET.as_bytes())),
        ("escaped bytes", SECRET.as_bytes().escape_ascii().to_string()),
        ("SQL", format!("alter role x password '{}'", SECRET.replace('\'', "''"))),
    ];
    for (name, text) in table {
        let found = canary().search(name, format!("before {text} after"));
        assert!(!found.is_empty(), "not found: {name}: {text}");
    }
}

#[test]
fn what_was_not_planted_is_not_found() {
    let innocent = "password pass word p\"a's/s+w, cMOkc3N3b3Jk, 70 61 73 73";
    assert_eq!(canary().search("innocent", innocent), []);
}

#[test]
fn a_sighting_says_which_and_where_but_not_what() {
    let found = canary().search("the log", format!("x{SECRET}"));
    assert_eq!(forms(&found), ["raw bytes"]);
    assert_eq!(found[0].to_string(), "password as raw bytes in the log at byte 1");
    assert!(!format!("{:?} {:?}", canary(), found).contains(SECRET));
}

#[test]
fn a_short_secret_cannot_be_planted() {
    let refused = Canary::new().plant("pin", "1234567");
    assert!(matches!(refused, Err(Error::TooShort { length: 7, .. })), "{refused:?}");
}

#[test]
fn files_their_names_and_seams_between_chunks_are_searched() {
    let folder = Scratch::new("canary", None).unwrap();
    fs::create_dir(folder.join("deep")).unwrap();
    let mut big = vec![b'.'; 1024 * 1024 - 5];
    big.extend_from_slice(SECRET.as_bytes());
    fs::write(folder.join("deep/big"), big).unwrap();
    fs::write(folder.join("clean"), "nothing").unwrap();
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    fs::write(folder.join(&hex), "").unwrap();
    let found = canary().search_path(folder.path()).unwrap();
    let mut offsets: Vec<_> = found.iter().map(|sighting| (sighting.form, sighting.offset)).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, [("hexadecimal", 0), ("raw bytes", 1024 * 1024 - 5)]);
}

#[test]
fn a_path_that_is_not_there_is_an_error() {
    let folder = Scratch::new("canary", None).unwrap();
    canary().search_path(&folder.join("absent")).expect_err("an unread file proves nothing");
}

#[test]
fn memory_is_searched_and_pieces_are_found() {
    let half = SECRET.as_bytes()[..12].to_vec();
    let mut pieces = Canary::with_fragments(10);
    pieces.plant("password", SECRET).unwrap();
    assert_eq!(forms(&pieces.search("a piece", &half)), ["a piece"]);
    assert_eq!(canary().search("a piece", &half), []);

    let mut canary = Canary::new();
    let planted: String = format!("in-memory-{}", std::process::id());
    canary.plant("memory", planted.to_uppercase()).unwrap();
    let held = planted.to_uppercase();
    let found = canary.search_memory(std::process::id()).unwrap();
    assert!(forms(&found).contains(&"raw bytes"), "{found:?}");
    drop(held);
}

#[test]
fn every_piece_of_a_secret_is_found_in_every_form_that_keeps_it_apart() {
    const PIECE: usize = 8;
    let mut canary = Canary::with_fragments(PIECE);
    canary.plant("password", SECRET).expect("long enough");
    for at in 0..=SECRET.len() - PIECE {
        let piece = &SECRET.as_bytes()[at..at + PIECE];
        let mut renderings = vec![
            ("raw", piece.to_vec()),
            ("hex", piece.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes()),
            ("HEX", piece.iter().map(|byte| format!("{byte:02X}")).collect::<String>().into_bytes()),
        ];
        for before in ["abc", "abcd", "abcde"] {
            let padded = [before.as_bytes(), piece, b":after"].concat();
            renderings.push(("base64", general_purpose::STANDARD.encode(&padded).into_bytes()));
            renderings.push(("base64url", general_purpose::URL_SAFE.encode(&padded).into_bytes()));
        }
        if let Ok(text) = std::str::from_utf8(piece) {
            renderings.push(("JSON", serde_json::to_vec(text).unwrap()));
        }
        for (name, bytes) in renderings {
            let found = canary.search(name, [b"before ".as_slice(), &bytes, b" after"].concat());
            assert!(!found.is_empty(), "the piece at {at} is not found: {name}");
        }
    }
    let less = SECRET.as_bytes()[..PIECE - 1].to_vec();
    assert_eq!(canary.search("less than a piece", less), []);
}
