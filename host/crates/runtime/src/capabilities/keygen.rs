//! `keygen`: secrets made here, above the host's floor, sealed before the guest gets a handle. Never takes bytes from
//! a guest.

mod keys;
pub(crate) mod password;
pub(crate) use password::FLOOR_BITS;

use crate::bindings::keybaton::rotator::keygen::{Host, HostKeypair, PasswordPolicy};
use crate::bindings::keybaton::rotator::types::Failure;
use crate::limits;
use crate::record::{Begun, Canon, Clean, Yield};
use crate::refusal::Refusal;
use crate::scrub::Scrubber;
use crate::secret::Held;
use crate::state::{CallState, bounded};
use serde::{Deserialize, Serialize};
use wasmtime::component::Resource;

/// A key pair behind a guest's handle.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct HeldKeypair {
    private: Held,
    public: keys::Public,
}

impl std::fmt::Debug for HeldKeypair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HeldKeypair(redacted)")
    }
}

/// What the journal keeps of a generated secret: nothing but that it was made.
#[derive(Debug, Serialize, Deserialize)]
struct Made {}

impl Clean for Made {
    fn clean(&mut self, _: &mut Scrubber) {}
}

impl CallState {
    /// Answers from the record, or makes and records a secret.
    async fn generate_recorded<F, E>(&mut self, canon: Canon, make: F) -> wasmtime::Result<Result<Held, Refusal>>
    where
        F: FnOnce(&mut Self) -> E,
        E: Future<Output = Result<Vec<u8>, Refusal>>,
    {
        let yielded = match self.business()?.ledger.begin::<Made>(&canon).await? {
            Begun::Recorded(yielded) => yielded,
            Begun::Fresh(entry) => {
                let made = make(self).await;
                let ledger = self.business()?.ledger.clone();
                let yielded = match made {
                    Ok(bytes) => {
                        let bytes = keybaton_engine::ports::secret::SecretBytes::new(bytes);
                        let held = Held::new(bytes, ledger.label(&entry, 0), None);
                        Yield { answer: Ok(Made {}), secrets: vec![held] }
                    }
                    Err(refusal) => Err(refusal).into(),
                };
                ledger.settle(&entry, yielded, &mut self.scrubber).await?
            }
        };
        Ok(match yielded.answer {
            Ok(Made {}) => yielded.secrets.into_iter().next().ok_or_else(|| {
                Refusal::host("host.record", "a generated secret is on record without its sealed value")
            }),
            Err(refusal) => Err(refusal),
        })
    }
}

impl Host for CallState {
    async fn password(&mut self, policy: PasswordPolicy) -> wasmtime::Result<Result<Resource<Held>, Failure>> {
        let size = policy.alphabet.len() + policy.required.iter().map(String::len).sum::<usize>();
        bounded(size + policy.required.len(), limits::TEXT_BYTES, "a password policy")?;
        let mut canon = Canon::of("keygen.password").text(&policy.length.to_string()).text(&policy.alphabet);
        for set in &policy.required {
            canon = canon.text(set);
        }
        let floor_bits = self.allowed.grants.password_floor_bits;
        let made = self.generate_recorded(canon, |_| async move { password::generate(&policy, floor_bits) }).await?;
        Ok(match made {
            Ok(held) => Ok(self.give_secret(held)?),
            Err(refusal) => Err(refusal.into()),
        })
    }

    async fn generate(&mut self, algorithm: String) -> wasmtime::Result<Result<Resource<HeldKeypair>, Failure>> {
        bounded(algorithm.len(), limits::TEXT_BYTES, "an algorithm's name")?;
        let canon = Canon::of("keygen.generate").text(&algorithm);
        let made = self.generate_recorded(canon, |_| async move { keys::generate(algorithm).await }).await?;
        let pair = made.and_then(|private| {
            let public = keys::Public::of(&private)?;
            Ok(HeldKeypair { private, public })
        });
        Ok(match pair {
            Ok(pair) => {
                self.scrubber.learn(pair.private.expose());
                Ok(self.give(pair)?)
            }
            Err(refusal) => Err(refusal.into()),
        })
    }
}

impl HostKeypair for CallState {
    async fn public_openssh(&mut self, pair: Resource<HeldKeypair>, comment: String) -> wasmtime::Result<String> {
        let comment: String = limits::cut(&comment, 255).chars().filter(|c| !c.is_control()).collect();
        Ok(self.table.get(&pair)?.public.openssh(&comment))
    }

    async fn public_spki_pem(&mut self, pair: Resource<HeldKeypair>) -> wasmtime::Result<String> {
        Ok(self.table.get(&pair)?.public.spki_pem().to_owned())
    }

    async fn csr_pem(
        &mut self,
        pair: Resource<HeldKeypair>,
        subject: String,
        sans: Vec<String>,
    ) -> wasmtime::Result<Result<String, Failure>> {
        bounded(
            subject.len() + sans.iter().map(|san| san.len() + 1).sum::<usize>(),
            limits::TEXT_BYTES,
            "a CSR's names",
        )?;
        let private = self.table.get(&pair)?.private.clone();
        let request = keys::csr(&private, &subject, &sans);
        // It is on no record, being made of what is; but whose fault it was must not depend on who passes it on.
        self.business()?.ledger.note(request.as_ref().err());
        Ok(request.map_err(Failure::from))
    }

    async fn private(&mut self, pair: Resource<HeldKeypair>) -> wasmtime::Result<Resource<Held>> {
        let private = self.table.get(&pair)?.private.clone();
        Ok(self.give_secret(private)?)
    }

    async fn drop(&mut self, pair: Resource<HeldKeypair>) -> wasmtime::Result<()> {
        self.table.delete(pair)?;
        Ok(())
    }
}
