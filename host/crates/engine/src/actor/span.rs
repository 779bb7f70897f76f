//! The span of a turn: which rotation, step, attempt, place and plugin what is logged in it is about. Names only, and
//! nothing is computed where nobody listens.

use super::Actor;
use tracing::Span;
use tracing::field::{Empty, display};

impl Actor {
    /// The span of the next turn. What it is about is known once the journal has been read.
    pub(super) fn span(&self) -> Span {
        tracing::info_span!(
            "rotation",
            secret = %self.name,
            rotation = Empty,
            step = Empty,
            attempt = Empty,
            place = Empty,
            plugin = Empty,
        )
    }

    /// Says what the turn is about, once: a value that is recorded twice is shown twice. Done before what came is taken
    /// in, and for a rotation that begins in this turn before it is written.
    pub(super) fn describe(&mut self) {
        let span = Span::current();
        if self.described || span.is_disabled() {
            return;
        }
        let Some(secret) = self.loaded.as_ref().map(|loaded| &loaded.secret) else { return };
        let (Some(rotation), Some(pins)) = (secret.rotation(), secret.pins()) else { return };
        span.record("rotation", display(&rotation.id));
        span.record("plugin", display(&pins.plugin));
        if let Some(step) = secret.step(self.instant) {
            span.record("step", step.name());
        }
        // Where one call is under way, that is what the turn is about; where there are several, no one of them is.
        let mut running = secret.running_calls().filter_map(|call| secret.calls().get(&call));
        if let (Some(call), None) = (running.next(), running.next()) {
            span.record("attempt", call.attempt);
            span.record("place", display(&call.place));
        }
        self.described = true;
    }
}
