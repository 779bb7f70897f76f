//! The engine: carries out what the protocol decides. Owns the ports; names neither wasmtime nor a database.

pub mod ports;
