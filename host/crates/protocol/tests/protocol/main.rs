//! The protocol, told in sentences: one file per theme.

mod common;
mod doubt;
mod evidence;
mod gates;
mod illegal;
mod offers;
mod paths;
mod people;
mod places;
mod random;
mod refusals;
mod resumed;
mod times;
mod waves;
