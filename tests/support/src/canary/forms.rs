//! Every form a secret may be written in by a host, a library or a careless `{:?}`. Forms that need a key or a
//! salt to be made (verifiers, hashes) are not secrets and not here.

use std::{collections::BTreeSet, fmt::Write};

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{GeneralPurpose, general_purpose::NO_PAD},
};

/// The forms of `secret`, the raw bytes first, each distinct from those before it.
pub(super) fn of(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![("raw bytes", secret.to_vec())];
    for shift in 0..3 {
        let standard = GeneralPurpose::new(&STANDARD, NO_PAD);
        let url_safe = GeneralPurpose::new(&URL_SAFE, NO_PAD);
        forms.push(("base64", base64(secret, shift, &standard)));
        forms.push(("url-safe base64", base64(secret, shift, &url_safe)));
    }
    forms.extend(of_bytes(secret));
    if let Ok(text) = std::str::from_utf8(secret) {
        forms.extend(of_text(text));
    }
    let mut known = BTreeSet::new();
    forms.retain(|(_, bytes)| known.insert(bytes.clone()));
    forms
}

/// The forms of a piece of a secret, each distinct from those before it.
pub(super) fn of_piece(piece: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let standard = GeneralPurpose::new(&STANDARD, NO_PAD);
    let url_safe = GeneralPurpose::new(&URL_SAFE, NO_PAD);
    let percent_upper = |byte: u8| format!("%{byte:02X}");
    let mut forms = vec![("a piece", piece.to_vec())];
    for shift in 0..3 {
        forms.push(("a piece in base64", base64(piece, shift, &standard)));
        forms.push(("a piece in url-safe base64", base64(piece, shift, &url_safe)));
    }
    forms.push(("a piece in hexadecimal", joined(piece, "", |byte| format!("{byte:02x}"))));
    forms.push(("a piece in hexadecimal", joined(piece, "", |byte| format!("{byte:02X}"))));
    forms.push(("a piece in percent-encoding", percent(piece, percent_upper)));
    if let Ok(text) = std::str::from_utf8(piece) {
        forms.push(("a piece in JSON", unquoted(&serde_json::Value::from(text).to_string()).into_bytes()));
    }
    let mut known = BTreeSet::new();
    forms.retain(|(_, bytes)| known.insert(bytes.clone()));
    forms
}

fn of_bytes(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let lower = |byte: u8| format!("{byte:02x}");
    let upper = |byte: u8| format!("{byte:02X}");
    let percent_upper = |byte: u8| format!("%{byte:02X}");
    let percent_lower = |byte: u8| format!("%{byte:02x}");
    let plus = |byte: u8| {
        if byte == b' ' { "+".to_owned() } else { percent_upper(byte) }
    };
    let number = |byte: u8| byte.to_string();
    vec![
        ("hexadecimal", joined(secret, "", lower)),
        ("hexadecimal", joined(secret, "", upper)),
        ("hexadecimal with colons", joined(secret, ":", lower)),
        ("hexadecimal with colons", joined(secret, ":", upper)),
        ("a list of numbers", joined(secret, ", ", number)),
        ("a list of numbers", joined(secret, ",", number)),
        ("percent-encoding", percent(secret, percent_upper)),
        ("percent-encoding", percent(secret, percent_lower)),
        ("percent-encoding", joined(secret, "", percent_upper)),
        ("a form field", percent(secret, plus)),
        ("escaped bytes", secret.escape_ascii().to_string().into_bytes()),
    ]
}

fn of_text(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let json = unquoted(&serde_json::Value::from(text).to_string());
    let debug = unquoted(&format!("{text:?}"));
    vec![
        ("JSON with slashes escaped", json.replace('/', "\\/").into_bytes()),
        ("JSON in ASCII", ascii(&json).into_bytes()),
        ("JSON within JSON", unquoted(&serde_json::Value::from(json.as_str()).to_string()).into_bytes()),
        ("JSON", json.into_bytes()),
        ("a debug print", debug.into_bytes()),
        ("an SQL literal", text.replace('\'', "''").into_bytes()),
        ("an escaped SQL literal", text.replace('\\', "\\\\").replace('\'', "''").into_bytes()),
        ("UTF-16", text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
    ]
}

/// The characters of base64 that depend on nothing but the secret, where it begins `shift` bytes after a multiple
/// of three: found whatever stands before and after it, padded or not.
fn base64(secret: &[u8], shift: usize, engine: &GeneralPurpose) -> Vec<u8> {
    let mut shifted = vec![0; shift];
    shifted.extend_from_slice(secret);
    let first = (shift * 8).div_ceil(6);
    let end = shifted.len() * 8 / 6;
    engine.encode(shifted).as_bytes()[first..end].to_vec()
}

fn joined(secret: &[u8], separator: &str, render: impl Fn(u8) -> String) -> Vec<u8> {
    let parts: Vec<String> = secret.iter().map(|byte| render(*byte)).collect();
    parts.join(separator).into_bytes()
}

/// RFC 3986, section 2.3: the unreserved characters stand for themselves.
fn percent(secret: &[u8], escape: impl Fn(u8) -> String) -> Vec<u8> {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    joined(secret, "", |byte| if unreserved(byte) { char::from(byte).to_string() } else { escape(byte) })
}

/// RFC 8259, section 7: characters beyond ASCII as UTF-16 escapes.
fn ascii(json: &str) -> String {
    let mut text = String::new();
    for character in json.chars() {
        if character.is_ascii() {
            text.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            write!(text, "\\u{unit:04x}").expect("a string takes everything");
        }
    }
    text
}

fn unquoted(text: &str) -> String {
    text[1..text.len() - 1].to_owned()
}
