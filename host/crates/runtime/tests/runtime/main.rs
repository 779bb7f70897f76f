//! The runtime against real guests and real servers. `make plugins` builds the guests.

mod approval;
mod common;
mod double;
mod doubt;
mod hostile;
mod http;
mod postgres;
