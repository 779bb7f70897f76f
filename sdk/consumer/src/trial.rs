//! What an application says of a credential it tried. Holds no value: reasons go to the host, which scrubs them.

use futures::future::BoxFuture;
use std::future::Future;
use std::sync::Arc;

use crate::credential::Credential;

/// Why a trial did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrialFailure {
    /// The target refuses the credential. It is tried again a few times, since targets need a moment to settle; then
    /// the rotation is told and rolls back.
    Refused(String),
    /// This workload can't use it, whatever the target says (a format it does not read). The rotation is told at once.
    Unfit(String),
    /// It could not be told (the network, a time-out). Tried again for as long as the host waits.
    Unsure(String),
}

impl TrialFailure {
    /// The target refuses the credential.
    #[expect(clippy::needless_pass_by_value, reason = "fits `map_err` as it is")]
    pub fn refused(why: impl ToString) -> Self {
        Self::Refused(why.to_string())
    }

    /// This workload can't use it.
    #[expect(clippy::needless_pass_by_value, reason = "fits `map_err` as it is")]
    pub fn unfit(why: impl ToString) -> Self {
        Self::Unfit(why.to_string())
    }

    /// It could not be told.
    #[expect(clippy::needless_pass_by_value, reason = "fits `map_err` as it is")]
    pub fn unsure(why: impl ToString) -> Self {
        Self::Unsure(why.to_string())
    }
}

/// Tries a credential for real.
pub(crate) type Trial = Arc<dyn Fn(Credential) -> BoxFuture<'static, Result<(), TrialFailure>> + Send + Sync>;

pub(crate) fn trial<F, Fut>(callback: F) -> Trial
where
    F: Fn(Credential) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), TrialFailure>> + Send + 'static,
{
    Arc::new(move |credential| Box::pin(callback(credential)))
}
