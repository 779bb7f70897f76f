//! The rules of ARCHITECTURE.md that a compiler does not check, as tests. Each rule is a function that returns what
//! breaks it, and is itself tested on something that does. Nothing here builds or changes anything.

mod arrows;
mod manifests;
mod plugins;
mod repository;
mod sources;
