//! The rotation protocol: facts fold into state, a pure function decides what comes next.
//!
//! This crate does no IO, reads no clock and draws no randomness: time and identifiers are arguments.
//! It holds no secret bytes and knows no plugin, database or network.
//!
//! The words are in [`ids`], [`step`], [`profile`], [`policy`], [`evidence`], [`fault`], [`event`] and [`action`].

pub mod action;
pub mod command;
pub mod event;
pub mod evidence;
pub mod fault;
pub mod ids;
pub mod policy;
pub mod profile;
pub mod step;
