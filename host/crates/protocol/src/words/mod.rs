//! The words that everything else is said in: plain data, without rules.

pub mod action;
pub(crate) mod answers;
pub mod command;
pub mod event;
pub mod evidence;
pub mod fault;
pub mod ids;
pub(crate) mod minted;
pub(crate) mod pins;
pub mod plan;
pub mod policy;
pub mod profile;
pub mod step;
