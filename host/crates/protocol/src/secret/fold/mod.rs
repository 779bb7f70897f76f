//! The arms of the transition table, a file a theme. Each checks everything before it changes anything.

mod brakes;
mod clock;
mod course;
mod endings;
mod intents;
mod observed;
mod outcomes;
mod pinned;
mod restored;
mod statements;
