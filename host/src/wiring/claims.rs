//! What a plan says of secrets that name the same thing of one server: each rotation would end the other's credential.

use super::connections::Aim;
use super::host::Host;
use keybaton_engine::claims::{clash_text, login_text};
use keybaton_engine::ports::rotator::Rotator as _;
use keybaton_protocol::ids::{ConnectionName, SecretName};
use keybaton_schedule::spec::Spec;
use std::collections::{BTreeMap, BTreeSet};

impl Host {
    /// Why each of these declarations must not be in force beside `all` that would be. Plugins are asked, targets are not.
    pub(super) async fn clashes(
        &self,
        all: &[Spec],
        these: &[Spec],
        aims: &BTreeMap<ConnectionName, Aim>,
    ) -> BTreeMap<SecretName, Vec<String>> {
        let endpoint = |spec: &Spec| aims.get(&*spec.connection).map(|aim| aim.server.endpoint.as_str());
        let looked_at: BTreeSet<&str> = these.iter().filter_map(endpoint).collect();
        let mut claims: BTreeMap<(&str, String), Vec<&Spec>> = BTreeMap::new();
        for spec in all {
            let Some(endpoint) = endpoint(spec).filter(|endpoint| looked_at.contains(endpoint)) else { continue };
            // What the plugin says against the settings is said by the examination.
            let Ok(said) = self.runtime.profile(&spec.plugin, spec.settings.json()).await else { continue };
            for claim in said.claims {
                claims.entry((endpoint, claim)).or_default().push(spec);
            }
        }
        let mut clashes: BTreeMap<SecretName, Vec<String>> = BTreeMap::new();
        for ((endpoint, claim), holders) in &claims {
            for spec in holders {
                let other = holders.iter().find(|other| other.name != spec.name);
                let logins = aims.get(&*spec.connection).map(|aim| aim.server.logins.as_slice()).unwrap_or_default();
                let login = logins.iter().find(|(login, _)| login == claim);
                let texts = [
                    other.map(|other| clash_text(claim, endpoint, &other.name)),
                    login.map(|(_, connection)| login_text(claim, endpoint, connection.as_str())),
                ];
                clashes.entry(spec.name.clone()).or_default().extend(texts.into_iter().flatten());
            }
        }
        clashes
    }
}
