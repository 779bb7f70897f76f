//! `plan` and `apply`: declarations go to the host as text, and come back as changes, blocks and diagnostics.

use super::show::ahead;
use crate::cli::{Apply, Common, Plan};
use crate::client::Client;
use crate::exit::{Context, Exit, Failure};
use crate::output::{Output, Tone, paint};
use keybaton_api::model::{
    ApplyReport, ApplyRequest, Change, Diagnostic, FileInput, PlanReport, PlanRequest, SecretChange,
};
use keybaton_protocol::fault::Blame;
use keybaton_schedule::catalog::Catalog;
use keybaton_schedule::declaration::{Input, Loaded, load};
use std::path::{Path, PathBuf};

/// Shows what declarations would change.
pub(crate) async fn plan(common: &Common, output: &Output, asked: Plan) -> Result<Exit, Failure> {
    let files = declarations(&asked.paths)?;
    let loaded = read(output, &files)?;
    if asked.offline {
        let names: Vec<String> = loaded.specs.iter().map(|spec| spec.name.to_string()).collect();
        output.result(&names, |output, names| output.line(format!("{} declarations are well-formed", names.len())));
        return Ok(Exit::Done);
    }
    let progress = output.progress("asking the host, its plugins and their targets");
    let request = PlanRequest { files, prune: asked.prune };
    let report: Result<PlanReport, Failure> = Client::new(common)?.post("/v1/plan", &request).await;
    progress.finish_and_clear();
    let report = report?;
    output.result(&report, show);
    Ok(if report.blocked() {
        Exit::Invalid
    } else if asked.exit_code && report.changes() {
        Exit::Changes
    } else {
        Exit::Done
    })
}

/// Puts declarations into force.
pub(crate) async fn apply(common: &Common, output: &Output, asked: Apply) -> Result<Exit, Failure> {
    let files = declarations(&asked.paths)?;
    read(output, &files)?;
    let request = ApplyRequest { files, allow_weaker: asked.allow_weaker, prune: asked.prune };
    let progress = output.progress("asking the host, its plugins and their targets");
    let report: Result<ApplyReport, Failure> = Client::new(common)?.post("/v1/apply", &request).await;
    progress.finish_and_clear();
    let report = report?;
    output.result(&report, |output, report| {
        show(output, &report.plan);
        match &report.refused {
            Some(why) => output.line(format!("{}: {why}", paint(Tone::Bad, "not applied"))),
            None => output.line(paint(Tone::Good, "applied")),
        }
    });
    Ok(if report.applied { Exit::Done } else { Exit::Invalid })
}

/// Reads the files without a host, so that what is plainly wrong is shown at its place at once.
fn read(output: &Output, files: &[FileInput]) -> Result<Loaded, Failure> {
    let inputs: Vec<Input<'_>> = files.iter().map(|file| Input { name: &file.path, text: &file.text }).collect();
    let loaded = load(&inputs, &Catalog::unknown());
    if loaded.diagnostics.is_empty() {
        return Ok(loaded);
    }
    output.result(&loaded.diagnostics, |output, _| output.line(loaded.render(output.colored())));
    let these = if loaded.diagnostics.len() == 1 { "this problem" } else { "these problems" };
    Err(Failure::new(Exit::Invalid, format!("the declarations have {these}; nothing was sent to the host"))
        .blame(Blame::Operator))
}

fn show(output: &Output, report: &PlanReport) {
    for problem in &report.diagnostics {
        output.line(problem_lines(problem));
    }
    for change in &report.secrets {
        output.line(change_lines(change));
    }
    let problems = report.diagnostics.len() + report.secrets.iter().map(|one| one.blocks.len()).sum::<usize>();
    let count = |kind| report.secrets.iter().filter(|one| one.change == kind).count();
    let summary = format!(
        "{} added, {} changed, {} removed (unmanaged), {} unchanged; {} problem{}",
        count(Change::Added),
        count(Change::Changed),
        count(Change::Removed),
        count(Change::Unchanged),
        problems,
        if problems == 1 { "" } else { "s" },
    );
    output.line(paint(if report.blocked() { Tone::Bad } else { Tone::Good }, &summary));
}

fn problem_lines(problem: &Diagnostic) -> String {
    let Diagnostic { file, line, column, text, message, suggestion } = problem;
    let mut lines = format!("{}: {message}\n  --> {file}:{line}:{column}: `{text}`", paint(Tone::Bad, "error"));
    if let Some(suggestion) = suggestion {
        lines.push_str(&format!("\n  {}: {suggestion}", paint(Tone::Good, "help")));
    }
    lines
}

fn change_lines(change: &SecretChange) -> String {
    let (sign, tone) = match change.change {
        Change::Added => ("+", Tone::Good),
        Change::Changed => ("~", Tone::Warn),
        Change::Removed => ("-", Tone::Bad),
        Change::Unchanged => ("=", Tone::Dim),
    };
    let overlap = change.overlap.as_deref().map(|overlap| format!("  overlap: {overlap}")).unwrap_or_default();
    let mut text = format!("{} {}{overlap}", paint(tone, sign), change.secret);
    for (tone, word, lines) in [
        (Tone::Dim, "sets", &change.differences),
        (Tone::Bad, "blocked", &change.blocks),
        (Tone::Warn, "weakens", &change.weakens),
        (Tone::Warn, "note", &change.warns),
    ] {
        for line in lines {
            text.push_str(&format!("\n    {} {line}", paint(tone, word)));
        }
    }
    if matches!(change.change, Change::Added | Change::Changed) && change.due_at.is_some() {
        text.push_str(&format!("\n    {} {}", paint(Tone::Dim, "due"), ahead(change.due_at)));
    }
    text
}

fn declarations(paths: &[PathBuf]) -> Result<Vec<FileInput>, Failure> {
    let files = read_yaml(paths)?;
    if files.is_empty() {
        return Err(Failure::new(Exit::Invalid, "no .yaml file is there").help("name files or directories of them"));
    }
    Ok(files)
}

/// All YAML files below these paths, in order of their names.
pub(crate) fn read_yaml(paths: &[PathBuf]) -> Result<Vec<FileInput>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        collect(path, &mut found, true)?;
    }
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).failed(Exit::Invalid, format!("cannot read {}", path.display()))?;
        Ok(FileInput { path: path.display().to_string(), text })
    };
    found.iter().map(read).collect()
}

fn collect(path: &Path, found: &mut Vec<PathBuf>, named: bool) -> Result<(), Failure> {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).failed(Exit::Invalid, format!("cannot list {}", path.display()))?;
        let mut entries: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        entries.sort();
        entries.iter().try_for_each(|entry| collect(entry, found, false))
    } else {
        let yaml = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        if named || yaml {
            found.push(path.to_owned());
        }
        Ok(())
    }
}
