//! Why a durable store did not take or give: the error of every port on it. The journal's own error says more, because
//! others append there too.

/// The store did not do what was asked. A write that fails has kept nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// What is stored is torn or was edited; it is not read as truth.
    #[error("what is stored is damaged: {detail}")]
    Damaged {
        /// Where and what.
        detail: String,
    },
    /// The store cannot be reached or written.
    #[error("the store is unavailable: {detail}")]
    Unavailable {
        /// What the store said.
        detail: String,
    },
}
