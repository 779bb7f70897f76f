//! The protocol, told in sentences: one file per theme.

mod clock;
mod common;
mod crowds;
mod decisions;
mod doubt;
mod endings;
mod evidence;
mod expiry;
mod facts;
mod first;
mod gates;
mod illegal;
mod moved;
mod occupants;
mod offers;
mod paths;
mod people;
mod places;
mod random;
mod refusals;
mod restored;
mod resumed;
mod settled;
mod strangers;
mod times;
mod waves;
