//! A host call's answer as the journal keeps it: versioned JSON, secrets replaced by the labels they are sealed under.

use crate::refusal::Refusal;
use keybaton_protocol::fault::{Blame, FailureClass};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version that this host writes. Older ones stay readable for as long as a rotation can be open.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Envelope {
    v: u32,
    #[serde(flatten)]
    body: Body,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Body {
    Ok(serde_json::Value),
    Err(Failed),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failed {
    class: String,
    blame: String,
    code: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

/// Writes an answer.
pub(crate) fn encode<T: Serialize>(answer: &Result<T, Refusal>) -> Result<Vec<u8>, serde_json::Error> {
    let body = match answer {
        Ok(value) => Body::Ok(serde_json::to_value(value)?),
        Err(refusal) => Body::Err(Failed {
            class: refusal.class.name().to_owned(),
            blame: refusal.blame.name().to_owned(),
            code: refusal.code.clone(),
            message: refusal.message.clone(),
            retry_after_ms: refusal.retry_after_ms,
        }),
    };
    serde_json::to_vec(&Envelope { v: VERSION, body })
}

/// Reads an answer back.
///
/// # Errors
/// What is wrong with the record, as a lower-case fragment.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<Result<T, Refusal>, String> {
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if envelope.v != VERSION {
        return Err(format!("version {} is not known here", envelope.v));
    }
    match envelope.body {
        Body::Ok(value) => serde_json::from_value(value).map(Ok).map_err(|error| error.to_string()),
        Body::Err(failed) => Ok(Err(Refusal {
            class: FailureClass::from_name(&failed.class).ok_or("an unknown class")?,
            blame: Blame::from_name(&failed.blame).ok_or("an unknown blame")?,
            code: failed.code,
            message: failed.message,
            retry_after_ms: failed.retry_after_ms,
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let refusal = Refusal::retryable("sql.connection", "no route").after_ms(Some(5));
        for answer in [Ok(vec!["a".to_owned()]), Err(refusal)] {
            let bytes = encode(&answer).unwrap();
            assert_eq!(decode::<Vec<String>>(&bytes), Ok(answer));
        }
    }

    #[test]
    fn records_of_version_1_stay_readable() {
        let kept = br#"{"v":1,"err":{"class":"ambiguous","blame":"target","code":"sql.lost","message":"m"}}"#;
        assert_eq!(decode::<()>(kept), Ok(Err(Refusal::lost("sql.lost", "m"))));
        assert_eq!(decode::<u8>(br#"{"v":1,"ok":7}"#), Ok(Ok(7)));
        assert!(decode::<u8>(br#"{"v":2,"ok":7}"#).unwrap_err().contains("version 2"));
    }
}
