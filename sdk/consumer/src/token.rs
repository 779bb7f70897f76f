//! The enrolment string: a single-use token and the pin of the host's authority. Parsed once; zeroized on drop.

use crate::Error;
use crate::pin::Pin;
use zeroize::Zeroizing;

/// What `keybaton consumer enrol` printed.
pub(crate) struct EnrolmentToken {
    pub(crate) token: Zeroizing<String>,
    pub(crate) pin: Pin,
}

impl EnrolmentToken {
    /// `kbe_<id>_<secret>_<pin>`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let (token, pin) = text.rsplit_once('_').ok_or(Error::Token)?;
        let shaped = token.strip_prefix("kbe_").is_some_and(|rest| rest.split('_').count() == 2);
        let pin = Pin::parse(pin).filter(|_| shaped).ok_or(Error::Token)?;
        Ok(Self { token: Zeroizing::new(token.to_owned()), pin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_without_its_pin_is_refused() {
        let pin = "0".repeat(64);
        assert!(EnrolmentToken::parse(&format!(" kbe_0123456789abcdef_aa_{pin}\n")).is_ok());
        for bad in
            ["", "kbe_", "kbe_a_b", &format!("kb_a_b_{pin}"), &format!("kbe_a_{pin}"), &format!("kbe_a_b_c_{pin}")]
        {
            assert!(EnrolmentToken::parse(bad).is_err(), "`{bad}` was taken");
        }
    }
}
