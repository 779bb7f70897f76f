//! Keeps secret values out of the words of consumers before they are journalled. Compares; never stores a value.

use crate::ports::secret::SecretBytes;
use zeroize::Zeroizing;

/// Values shorter than this say nothing by turning up in a sentence.
const SHORTEST: usize = 4;

/// What stands in place of a text that held a secret.
const WITHHELD: &str = "(withheld: the reason contained the secret)";

/// The text, or a note in its place where it contains one of the values in a form that people and libraries print.
pub(crate) fn scrub(text: String, values: &[(String, SecretBytes)]) -> String {
    let found = values.iter().any(|(_, value)| {
        let value = value.expose();
        value.len() >= SHORTEST && forms(value).iter().any(|form| contains(text.as_bytes(), form))
    });
    if found { WITHHELD.to_owned() } else { text }
}

fn contains(text: &[u8], form: &[u8]) -> bool {
    text.windows(form.len()).any(|window| window.eq_ignore_ascii_case(form))
}

/// As it is, in hex, percent-encoded, and in base64 (both alphabets, unpadded).
fn forms(value: &[u8]) -> [Zeroizing<Vec<u8>>; 5] {
    [
        Zeroizing::new(value.to_vec()),
        Zeroizing::new(value.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()),
        percent(value),
        base64(value, b"+/"),
        base64(value, b"-_"),
    ]
}

fn percent(value: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(value.len() * 3));
    for byte in value {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}

/// RFC 4648, without padding; `last` are the two characters in which the alphabets differ.
fn base64(value: &[u8], last: &[u8; 2]) -> Zeroizing<Vec<u8>> {
    let digit = |six: u32| match six {
        0..26 => b'A' + six as u8,
        26..52 => b'a' + (six - 26) as u8,
        52..62 => b'0' + (six - 52) as u8,
        62 => last[0],
        _ => last[1],
    };
    let mut out = Zeroizing::new(Vec::with_capacity(value.len() * 4 / 3 + 4));
    for chunk in value.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).for_each(|at| out.push(digit(bits >> (18 - 6 * at) & 0x3f)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{WITHHELD, scrub};
    use crate::ports::secret::SecretBytes;

    #[test]
    fn a_reason_with_the_secret_in_any_common_form_is_withheld() {
        let secret = "p@ss+word/41~";
        let cases = [
            ("login failed with p@ss+word/41~ at db-1", true),
            ("hex 704073732b776f72642f34317e", true),
            ("HEX 704073732B776F72642F34317E", true),
            ("url p%40ss%2Bword%2F41~", true),
            ("base64 cEBzcyt3b3JkLzQxfg==", true),
            ("connection refused", false),
            ("", false),
        ];
        for (text, withheld) in cases {
            let values = [("password".to_owned(), SecretBytes::new(secret.as_bytes().to_vec()))];
            let out = scrub(text.to_owned(), &values);
            assert_eq!(out == WITHHELD, withheld, "{text}");
            assert!(withheld || out == text);
        }
    }

    #[test]
    fn a_value_too_short_to_mean_anything_does_not_withhold() {
        let values = [("pin".to_owned(), SecretBytes::new(b"ok".to_vec()))];
        assert_eq!(scrub("looks ok".to_owned(), &values), "looks ok");
    }
}
