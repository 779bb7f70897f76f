//! The account servers run under. It never raises rights, only drops them.

use std::{fs, os::unix::fs::chown, path::Path};

use crate::{Error, Result};

/// Accounts that exist to own nothing, in the order of preference. `initdb` needs one with a name.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// An account of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its user id.
    pub uid: u32,
    /// The id of its group.
    pub gid: u32,
}

impl Account {
    /// The account to run a server under that refuses root: `None` where this process is not root anyway.
    ///
    /// # Errors
    /// Root on a machine with none of the accounts that own nothing.
    pub fn for_servers() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let accounts = fs::read_to_string("/etc/passwd").map_err(Error::io("read /etc/passwd"))?;
        match UNPRIVILEGED.iter().find_map(|name| find(&accounts, name)) {
            Some(account) => Ok(Some(account)),
            None => Err(Error::Missing { program: "an unprivileged account (postgres or nobody)".into() }),
        }
    }

    /// Gives a file or folder to this account.
    pub(crate) fn own(&self, path: &Path) -> Result<()> {
        chown(path, Some(self.uid), Some(self.gid)).map_err(Error::io(format!(
            "give {} to {}",
            path.display(),
            self.name
        )))
    }
}

/// One line of passwd(5): `name:password:uid:gid:…`.
fn find(accounts: &str, name: &str) -> Option<Account> {
    let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut numbers = line.split(':').skip(2);
    let uid = numbers.next()?.parse().ok()?;
    let gid = numbers.next()?.parse().ok()?;
    Some(Account { name: name.to_owned(), uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts = "root:x:0:0::/root:/bin/sh\nnobodyelse:x:5:6::/:/bin/sh\nnobody:x:65534:65533::/:/bin/sh\n";
        let found = find(accounts, "nobody").expect("nobody is in the list");
        assert_eq!((found.uid, found.gid), (65534, 65533));
        assert_eq!(find(accounts, "postgres"), None);
    }
}
