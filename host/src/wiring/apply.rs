//! `plan` and `apply` on the host: what files would change, what blocks it, what it weakens. Removes nothing at a target.

use super::circles::{ADVICE, circle_of, notes, still_needed};
use super::connections::{self, Aim};
use super::declared::declared;
use super::host::{Host, InForce};
use keybaton_api::model::{ApplyReport, Change, Diagnostic, FileInput, PlanReport, SecretChange};
use keybaton_api::ports::{ApplyOrder, Caller, Failure, FailureKind};
use keybaton_schedule::catalog::Catalog;
use keybaton_schedule::change::{self, KeyChange, changes};
use keybaton_schedule::declaration::{Input, Loaded, load};
use keybaton_schedule::spec::Spec;
use std::collections::BTreeMap;

/// A plan, and the declarations that would be in force after it.
pub(crate) struct Planned {
    pub(crate) report: PlanReport,
    specs: Vec<Spec>,
}

impl Host {
    pub(crate) async fn planned(&self, files: &[FileInput], prune: bool, caller: &Caller) -> Result<Planned, Failure> {
        let force = self.force.lock().await;
        self.plan_on(&force, files, prune, caller).await
    }

    pub(crate) async fn applied(&self, order: ApplyOrder, caller: &Caller) -> Result<ApplyReport, Failure> {
        let mut force = self.force.lock().await;
        let Planned { report, specs } = self.plan_on(&force, &order.files, order.prune, caller).await?;
        let refused = if report.refused() {
            Some("something blocks it; what is in force stays".to_owned())
        } else if report.weakens() && !order.allow_weaker {
            Some(
                "it is weaker than what is in force, or than the defaults; --allow-weaker says that this is meant"
                    .to_owned(),
            )
        } else {
            None
        };
        if refused.is_none() {
            self.keep(&mut force, specs, &caller.author).await?;
        }
        Ok(ApplyReport { applied: refused.is_none(), refused, plan: report })
    }

    async fn plan_on(
        &self,
        force: &InForce,
        files: &[FileInput],
        prune: bool,
        caller: &Caller,
    ) -> Result<Planned, Failure> {
        let inputs: Vec<Input<'_>> = files.iter().map(|file| Input { name: &file.path, text: &file.text }).collect();
        let plugins = force.catalog.lock().entries().iter().filter(|entry| !entry.retained);
        let catalog = Catalog::unknown()
            .with_plugins(plugins.map(|entry| entry.name.clone()))
            .with_connections(&force.connections);
        let loaded = load(&inputs, &catalog);
        if let (Some(mine), Some(other)) = (&caller.namespaces, loaded.specs.iter().find(|spec| !may(caller, spec))) {
            let mine: Vec<String> = mine.iter().map(ToString::to_string).collect();
            let what = format!("{} is outside of your namespaces ({})", other.name, mine.join(", "));
            return Err(Failure::new(FailureKind::Refused, what));
        }
        let mut report =
            PlanReport { secrets: Vec::new(), diagnostics: loaded.diagnostics.iter().map(diagnostic).collect() };
        if !report.diagnostics.is_empty() {
            return Ok(Planned { report, specs: Vec::new() });
        }
        let specs = merged(&force.specs, &loaded.specs, prune, caller);
        let changed: BTreeMap<_, _> =
            changes(&force.specs, &specs).into_iter().map(|change| (change.name().clone(), change)).collect();
        let aims = connections::aims(&force.connections);
        let clashes = self.clashes(&specs, &loaded.specs, &aims).await;
        for spec in &loaded.specs {
            if let Some(why) = circle_of(spec, &specs, &force.connections) {
                let mut found = diagnostic(&loaded.finding(spec, "/connection", "circle", &why));
                found.suggestion = Some(ADVICE.to_owned());
                report.diagnostics.push(found);
            }
            let aim = aims.get(&*spec.connection).cloned().unwrap_or_default();
            let (mut line, found) = self.examined(force, &loaded, spec, &aim, changed.get(&spec.name)).await?;
            line.blocks.extend(clashes.get(&spec.name).cloned().unwrap_or_default());
            line.warns.extend(notes(spec, &specs, &force.connections));
            if line.change == Change::Unchanged {
                let place = |it: Diagnostic| format!("{}:{}:{}: {}", it.file, it.line, it.column, it.message);
                line.blocks.extend(found.into_iter().map(place));
            } else {
                report.diagnostics.extend(found);
            }
            report.secrets.push(line);
        }
        let removed = changed.values().filter(|change| matches!(change, change::Change::Removed { .. }));
        report.secrets.extend(removed.map(|change| SecretChange {
            blocks: still_needed(change.name(), &force.connections),
            ..line(change.name().to_string(), Change::Removed)
        }));
        Ok(Planned { report, specs })
    }

    /// One declaration held against what is in force, its plugin and its target.
    async fn examined(
        &self,
        force: &InForce,
        loaded: &Loaded,
        spec: &Spec,
        aim: &Aim,
        change: Option<&change::Change>,
    ) -> Result<(SecretChange, Vec<Diagnostic>), Failure> {
        let mut line = match change {
            None => line(spec.name.to_string(), Change::Unchanged),
            Some(change::Change::Added { .. }) => line(spec.name.to_string(), Change::Added),
            Some(_) => line(spec.name.to_string(), Change::Changed),
        };
        if let Some(change) = change {
            line.weakens = change.weaker().map(weakening).collect();
            if let change::Change::Changed { keys, .. } = change {
                line.differences = keys.iter().map(difference).collect();
            }
        }
        let mut diagnostics = Vec::new();
        match self.engine.examine(&declared(spec, aim, &force.connections)).await {
            Ok(examination) => {
                for finding in &examination.settings {
                    let pointer = format!("/settings{}", finding.path);
                    let placed = diagnostic(&loaded.finding(spec, &pointer, "settings", &finding.message));
                    if finding.fatal {
                        diagnostics.push(placed);
                    } else {
                        line.warns.push(format!("{}:{}: {}", placed.file, placed.line, placed.message));
                    }
                }
                line.blocks = examination.blocks;
                line.warns.extend(examination.warns);
                line.overlap = examination.overlap;
                line.due_at = examination.due_at;
            }
            Err(error) => line.blocks.push(chain(&error)),
        }
        Ok((line, diagnostics))
    }
}

/// What would be in force: the files' declarations over those in force; without pruning nothing is taken away.
fn merged(old: &[Spec], new: &[Spec], prune: bool, caller: &Caller) -> Vec<Spec> {
    let kept = old.iter().filter(|spec| !new.iter().any(|other| other.name == spec.name));
    let kept = kept.filter(|spec| !(prune && may(caller, spec)));
    new.iter().chain(kept).cloned().collect()
}

fn may(caller: &Caller, spec: &Spec) -> bool {
    caller.namespaces.as_ref().is_none_or(|namespaces| namespaces.contains(spec.name.namespace()))
}

fn line(secret: String, change: Change) -> SecretChange {
    SecretChange {
        secret,
        change,
        differences: Vec::new(),
        blocks: Vec::new(),
        weakens: Vec::new(),
        warns: Vec::new(),
        overlap: None,
        due_at: None,
    }
}

fn difference(change: &KeyChange) -> String {
    let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
    format!("{}: {} -> {}", change.key, show(&change.old), show(&change.new))
}

fn weakening(change: &KeyChange) -> String {
    format!("{} ({})", difference(change), change.weakens.unwrap_or_default())
}

fn diagnostic(found: &keybaton_schedule::diagnostic::Diagnostic) -> Diagnostic {
    let expected = found.expected.as_ref().map(|expected| format!("expected {expected}"));
    Diagnostic {
        file: found.place.file.clone(),
        line: found.place.line,
        column: found.place.column,
        text: found.text.clone(),
        message: found.message.clone(),
        suggestion: found.suggestion.clone().or(expected),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}
