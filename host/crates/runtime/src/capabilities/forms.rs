//! How the host renders a secret towards a target. An open vocabulary: a new form is a line in the table.

use super::scram;
use crate::refusal::Refusal;
use crate::scrub;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

type Render = fn(secret: &[u8], input: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal>;

/// Name, whether it takes an input, and how.
const FORMS: &[(&str, bool, Render)] = &[
    // The bytes as they are.
    ("raw", false, |secret, _| Ok(Zeroizing::new(secret.to_vec()))),
    // RFC 4648 section 4, padded.
    ("base64", false, |secret, _| Ok(Zeroizing::new(STANDARD.encode(secret).into_bytes()))),
    // RFC 4648 section 5, not padded, as in JWTs.
    ("base64url", false, |secret, _| Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(secret).into_bytes()))),
    // RFC 3986: all but unreserved characters percent-encoded.
    ("url", false, |secret, _| Ok(scrub::percent(secret, scrub::hex_upper, b"%20"))),
    // RFC 8259: escaped as within a JSON string, without the quotes.
    ("json-string", false, |secret, _| json_string(secret)),
    ("hex", false, |secret, _| Ok(scrub::in_hex(secret, scrub::hex))),
    // PostgreSQL's `SCRAM-SHA-256$4096:…`, with a new salt each time.
    ("scram-sha-256", false, |secret, _| scram::verifier(secret)),
    // RFC 2104 over the input, in hex and in base64.
    ("hmac-sha256", true, |secret, input| Ok(scrub::in_hex(mac(secret, input).as_ref(), scrub::hex))),
    ("hmac-sha256-base64", true, |secret, input| Ok(Zeroizing::new(STANDARD.encode(mac(secret, input)).into_bytes()))),
];

/// Renders a secret.
///
/// # Errors
/// `denied` with the list of forms for an unknown one; the guest's misuse for an input the form does not take, or for
/// a text form of bytes that are no text.
pub(crate) fn render(form: &str, secret: &[u8], input: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let Some((_, takes_input, render)) = FORMS.iter().find(|(name, ..)| *name == form) else {
        let known: Vec<&str> = FORMS.iter().map(|(name, ..)| *name).collect();
        let shown = crate::limits::cut(form, 40).escape_debug();
        return Err(Refusal::denied(
            "secret.form",
            format!("there is no form `{shown}`; there are {}", known.join(", ")),
        ));
    };
    if !takes_input && !input.is_empty() {
        return Err(Refusal::misuse("guest.form", format!("the form `{form}` takes no input")));
    }
    render(secret, input)
}

fn mac(secret: &[u8], input: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input)
}

fn json_string(secret: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let text = std::str::from_utf8(secret)
        .map_err(|_| Refusal::misuse("guest.form", "the form `json-string` needs text, and this secret is bytes"))?;
    Ok(scrub::in_json(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_renders_as_its_standard_says() {
        for (form, secret, input, expected) in [
            ("raw", "a b", "", "a b"),
            ("base64", "a?>b", "", "YT8+Yg=="),
            ("base64url", "a?>b", "", "YT8-Yg"),
            ("url", "a/b c~ü", "", "a%2Fb%20c~%C3%BC"),
            ("json-string", "a\"b\n", "", "a\\\"b\\n"),
            ("hex", "a\u{1f}", "", "611f"),
            // RFC 4231, test case 2.
            (
                "hmac-sha256",
                "Jefe",
                "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
        ] {
            let got = render(form, secret.as_bytes(), input.as_bytes()).unwrap();
            assert_eq!(String::from_utf8_lossy(&got), expected, "{form}");
        }
        let verifier = render("scram-sha-256", b"pw", b"").unwrap();
        assert!(verifier.starts_with(b"SCRAM-SHA-256$4096:"));
    }

    #[test]
    fn an_unknown_form_is_denied_with_the_list() {
        let refusal = render("md5", b"x", b"").unwrap_err();
        assert_eq!(refusal.code, "secret.form");
        assert!(refusal.message.contains("raw, base64"), "{}", refusal.message);
        assert_eq!(render("raw", b"x", b"y").unwrap_err().code, "guest.form");
        assert_eq!(render("json-string", b"\xff", b"").unwrap_err().code, "guest.form");
    }
}
