//! The binary `keybaton`: parses the command line, runs one command, and turns its result into an exit code.
//! Never holds a secret itself.

mod cli;
mod client;
mod commands;
mod config;
mod demo;
mod exit;
mod output;
mod wiping;
mod wiring;

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static HEAP: wiping::Wiping = wiping::Wiping;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let output = output::Output::new(&cli.common);
    match commands::run(cli, &output) {
        Ok(code) => code.into(),
        Err(failure) => {
            output.failure(&failure);
            failure.exit.into()
        }
    }
}
