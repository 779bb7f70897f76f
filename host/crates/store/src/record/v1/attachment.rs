//! What an append carries beside events: host calls' replies, which values it sealed, which generations it erased.
//! Holds digests of sealed values, never the values; a reply is scrubbed before it comes here.

use crate::record::{RecordError, Stored};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keybaton_engine::ports::journal::Reply;
use serde::{Deserialize, Serialize};

/// The part of a row that is no event.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attachment {
    /// Host calls' replies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) replies: Vec<ReplyRecord>,
    /// Generation, label, and digest of the sealed value: a deleted or exchanged value shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) sealed: Vec<(u32, String, String)>,
    /// Generations erased.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) erased: Vec<u32>,
}

/// One reply; its body is base64.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplyRecord {
    pub(crate) call: u32,
    ordinal: u32,
    request: String,
    body: String,
}

impl Stored<Reply> for ReplyRecord {
    fn store(model: &Reply) -> Self {
        let Reply { call, ordinal, request, body } = model;
        Self { call: call.0, ordinal: ordinal.0, request: Stored::store(request), body: STANDARD.encode(body) }
    }

    fn load(self) -> Result<Reply, RecordError> {
        let body = STANDARD.decode(&self.body).map_err(|_| RecordError::value("base64 text", &self.body))?;
        Ok(Reply { call: self.call.load()?, ordinal: self.ordinal.load()?, request: self.request.load()?, body })
    }
}
