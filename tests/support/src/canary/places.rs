//! Where a canary looks: files and folders, and the memory of a process. It only reads.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use super::{Canary, Sighting};
use crate::{Error, Result};

/// How much is looked through at once.
const CHUNK_BYTES: usize = 1024 * 1024;

impl Canary {
    /// Looks through a file, or every regular file below a folder, their names included. Links are not followed.
    ///
    /// # Errors
    /// Something could not be read: an unread file proves nothing.
    pub fn search_path(&self, path: &Path) -> Result<Vec<Sighting>> {
        let mut found = BTreeSet::new();
        self.visit(path, &mut found)?;
        Ok(found.into_iter().collect())
    }

    /// Looks through all memory that a process can write: heap, stacks, data. It needs the right to trace it.
    ///
    /// # Errors
    /// The process is gone, or not ours to look into.
    pub fn search_memory(&self, process_id: u32) -> Result<Vec<Sighting>> {
        let failed = || Error::io(format!("read the memory of process {process_id}"));
        let regions = fs::read_to_string(format!("/proc/{process_id}/maps")).map_err(failed())?;
        let mut memory = File::open(format!("/proc/{process_id}/mem")).map_err(failed())?;
        let mut found = BTreeSet::new();
        for (start, end) in regions.lines().filter_map(writable) {
            let place = format!("memory of process {process_id}");
            memory.seek(SeekFrom::Start(start)).map_err(failed())?;
            // A region may have been given back since the list was made; what is gone holds nothing.
            let _ = self.stream(&place, &mut (&mut memory).take(end - start), start, &mut found);
        }
        Ok(found.into_iter().collect())
    }

    fn visit(&self, path: &Path, found: &mut BTreeSet<Sighting>) -> Result<()> {
        let failed = || Error::io(format!("look through {}", path.display()));
        let place = path.display().to_string();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        self.search_at(&format!("the name of {place}"), name, 0, found);
        let kind = fs::symlink_metadata(path).map_err(failed())?.file_type();
        if kind.is_dir() {
            for entry in fs::read_dir(path).map_err(failed())? {
                self.visit(&entry.map_err(failed())?.path(), found)?;
            }
        } else if kind.is_file() {
            let mut file = File::open(path).map_err(failed())?;
            self.stream(&place, &mut file, 0, found).map_err(failed())?;
        }
        Ok(())
    }

    /// Each chunk begins with the end of the one before, so that nothing hides on the seam.
    fn stream(&self, place: &str, source: &mut impl Read, base: u64, found: &mut BTreeSet<Sighting>) -> io::Result<()> {
        let overlap = self.longest().saturating_sub(1);
        let mut buffer = Vec::with_capacity(CHUNK_BYTES + overlap);
        let mut start = base;
        loop {
            let read = source.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            self.search_at(place, &buffer, start, found);
            let done = buffer.len().saturating_sub(overlap);
            buffer.drain(..done);
            start += done as u64;
        }
    }
}

/// proc_pid_maps(5): `start-end perms …`.
fn writable(line: &str) -> Option<(u64, u64)> {
    let mut columns = line.split_whitespace();
    let (start, end) = columns.next()?.split_once('-')?;
    if !columns.next()?.starts_with("rw") {
        return None;
    }
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}
