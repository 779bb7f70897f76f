//! Passwords by policy: uniform over the alphabet, above the floor, with at least one of each required set.

use crate::bindings::keybaton::rotator::keygen::PasswordPolicy;
use crate::refusal::Refusal;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroize;

/// Bits of entropy below which no password is made, unless the operator granted less for a target that cannot hold it.
pub(crate) const FLOOR_BITS: u32 = 128;
/// Characters of one password.
const LENGTH: u32 = 256;
/// Letters and digits: safe in a shell, a URL and a DSN.
const DEFAULT_ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// Draws before a policy counts as one that cannot be met.
const DRAWS: u32 = 10_000;

pub(super) fn generate(policy: &PasswordPolicy, floor_bits: u32) -> Result<Vec<u8>, Refusal> {
    let alphabet = alphabet(policy)?;
    for set in &policy.required {
        if set.is_empty() || !set.bytes().any(|byte| alphabet.contains(&byte)) {
            return Err(misuse("a required set shares no character with the alphabet"));
        }
    }
    // Redrawing until every set appears loses less than fixing one character for each; counting that is an upper bound.
    let free = (policy.length as usize).saturating_sub(policy.required.len());
    let bits = (free as f64 * (alphabet.len() as f64).log2()).floor() as u32;
    if bits < floor_bits {
        return Err(Refusal::denied(
            "keygen.weak",
            format!(
                "the password policy has {bits} bits, the floor is {floor_bits}: ask for a longer one, or grant \
                 `password-floor-bits` to this plugin if the target cannot hold that"
            ),
        ));
    }
    for _ in 0..DRAWS {
        let mut password = draw(&alphabet, policy.length as usize)?;
        if policy.required.iter().all(|set| set.bytes().any(|byte| password.contains(&byte))) {
            return Ok(password);
        }
        password.zeroize();
    }
    Err(misuse("the required sets cannot be met"))
}

fn alphabet(policy: &PasswordPolicy) -> Result<Vec<u8>, Refusal> {
    if policy.length == 0 || policy.length > LENGTH {
        return Err(misuse("its length must be 1 to 256"));
    }
    let alphabet = if policy.alphabet.is_empty() { DEFAULT_ALPHABET } else { &policy.alphabet };
    let mut bytes = alphabet.as_bytes().to_vec();
    bytes.sort_unstable();
    bytes.dedup();
    if bytes.len() != alphabet.len() || !bytes.iter().all(u8::is_ascii_graphic) || bytes.len() < 2 {
        return Err(misuse("its alphabet must be at least two distinct printable ASCII characters"));
    }
    Ok(bytes)
}

/// Uniform: bytes past the largest multiple of the alphabet's size are drawn again.
fn draw(alphabet: &[u8], length: usize) -> Result<Vec<u8>, Refusal> {
    let random = SystemRandom::new();
    let fair = 256 - 256 % alphabet.len();
    let mut password = Vec::with_capacity(length);
    let mut pool = zeroize::Zeroizing::new([0u8; 64]);
    while password.len() < length {
        random.fill(pool.as_mut_slice()).map_err(|_| Refusal::host("host.random", "the system gives no randomness"))?;
        let fitting = pool.iter().filter(|byte| usize::from(**byte) < fair);
        password
            .extend(fitting.map(|byte| alphabet[usize::from(*byte) % alphabet.len()]).take(length - password.len()));
    }
    Ok(password)
}

fn misuse(what: &str) -> Refusal {
    Refusal::misuse("guest.password-policy", format!("the password policy is not usable: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(length: u32, alphabet: &str, required: &[&str]) -> PasswordPolicy {
        let required = required.iter().map(|set| (*set).to_owned()).collect();
        PasswordPolicy { length, alphabet: alphabet.to_owned(), required }
    }

    #[test]
    fn a_policy_is_met_or_refused() {
        for (sentence, policy, expected) in [
            ("the default alphabet at 22 characters has 130 bits", policy(22, "", &[]), Ok(())),
            ("at 21 it has 125", policy(21, "", &[]), Err("keygen.weak")),
            ("hexadecimal needs 32", policy(32, "0123456789abcdef", &[]), Ok(())),
            ("a long one of two characters", policy(128, "01", &[]), Ok(())),
            ("required sets cost", policy(32, "0123456789abcdef", &["0"]), Err("keygen.weak")),
            ("required sets are met", policy(40, "", &["0123456789", "abc", "XYZ"]), Ok(())),
            ("a set outside the alphabet", policy(200, "ab", &["c"]), Err("guest.password-policy")),
            ("one character only", policy(256, "a", &[]), Err("guest.password-policy")),
            ("a character twice", policy(256, "aba", &[]), Err("guest.password-policy")),
            ("no ASCII", policy(256, "aü", &[]), Err("guest.password-policy")),
            ("too long", policy(257, "", &[]), Err("guest.password-policy")),
            ("empty", policy(0, "", &[]), Err("guest.password-policy")),
        ] {
            match (generate(&policy, FLOOR_BITS), expected) {
                (Ok(password), Ok(())) => {
                    assert_eq!(password.len(), policy.length as usize, "{sentence}");
                    for set in &policy.required {
                        assert!(set.bytes().any(|byte| password.contains(&byte)), "{sentence}");
                    }
                }
                (Err(refusal), Err(code)) => assert_eq!(refusal.code, code, "{sentence}"),
                (got, _) => panic!("{sentence}: {:?}", got.map(|_| ())),
            }
        }
        assert!(generate(&policy(8, "", &[]), 40).is_ok(), "a granted lower floor");
    }

    #[test]
    fn characters_are_drawn_evenly() {
        let alphabet = b"abc";
        let drawn = draw(alphabet, 30_000).unwrap();
        for letter in alphabet {
            let share = drawn.iter().filter(|byte| *byte == letter).count();
            assert!((9_500..10_500).contains(&share), "{share} of 30,000");
        }
    }
}
