//! The state of one secret: the fold of its journal. Its fields are this folder's own, so that nothing but
//! [`Secret::record`](crate::Secret::record) changes them.

pub mod calls;
pub(crate) mod draft;
pub mod generation;
pub mod membership;
pub mod retirement;
pub mod rotation;
pub mod settled;
pub mod state;
pub(crate) mod table;

mod fold;
mod reading;
