//! Proof of possession: what a consumer computes over a challenge, and how it is checked. Never stores or logs a proof.

/// Why a proof was refused. Each is told apart on purpose: none of them helps a liar to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Never given out, used already, or expired.
    #[error("the challenge is unknown, used or expired; ask for a new one")]
    Nonce,
    /// The challenge was given to somebody else.
    #[error("the challenge was given to another consumer or replica")]
    Stranger,
    /// The challenge was for another purpose.
    #[error("the challenge was for another purpose")]
    Purpose,
    /// The challenge was for another generation or rotation.
    #[error("the challenge was for another generation or rotation")]
    Generation,
    /// The generation is not one this consumer was offered, or is gone.
    #[error("the generation is stale or was never offered to this consumer")]
    Stale,
    /// The bytes do not match.
    #[error("the proof does not match")]
    Mismatch,
    /// The generation has no secret field: nothing can be proven.
    #[error("the generation has no secret field to prove possession of")]
    NoSecretField,
    /// Only `store`, `holder` and `process` can be stated by a consumer itself.
    #[error("a consumer can't state evidence of this kind")]
    Kind,
}
