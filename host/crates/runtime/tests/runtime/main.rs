//! The runtime against real guests and real servers. `make plugins` builds the guests.

mod common;
mod hostile;
mod postgres;
