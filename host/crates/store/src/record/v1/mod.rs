//! Version 1 of the records. Frozen once released: a changed shape is a version 2 beside it, never an edit here.

pub(crate) mod attachment;
pub(crate) mod event;
pub(crate) mod mark;
mod outcome;
mod policy;
pub(crate) mod settled;
mod standing;
pub(crate) mod write;
