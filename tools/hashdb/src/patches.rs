//! Patch addresses of pictures (multiple semantic hashing): whether a database's encoder gives any that the database
//! takes, and whether a command stores them.

use anyhow::{Result, bail};
use hashdb::Database;
use hashdb::ingest::noted_patches;
use hashdb::model::{Encoder as _, Model, PATCHES};

use crate::output::note;

/// The arguments that choose whether an ingest stores patches.
#[derive(Debug, clap::Args)]
pub(crate) struct PatchChoice {
    /// Store the addresses of 81 patches of the picture with its record, which hashdb query --patches searches; the
    /// encoder needs a patch net. Records that are there already keep what they hold, unless --again reads them
    /// [default: as earlier ingests did]
    #[arg(long, conflicts_with = "no_patches")]
    patches: bool,
    /// Store none, whatever earlier ingests did; a record that is replaced loses those that it had
    #[arg(long)]
    no_patches: bool,
}

impl PatchChoice {
    /// How many patch addresses are stored with each record. What earlier ingests did goes on, and the user is told:
    /// records without patches are never found by them.
    pub(crate) fn count(&self, db: &Database, encoder: &Model) -> Result<usize> {
        let goes_on = !self.patches && !self.no_patches && are_stored(db)?;
        if !self.patches && !goes_on {
            return Ok(0);
        }
        check(db, encoder)?;
        if goes_on {
            note(
                "patch addresses are stored too, as by earlier ingests; --no-patches leaves them out",
            );
        }
        Ok(PATCHES)
    }
}

/// Whether ingests into a database stored patches.
pub(crate) fn are_stored(db: &Database) -> Result<bool> {
    Ok(noted_patches(db)?.is_some())
}

/// Checks that a database's encoder gives patch addresses like those that the database holds.
pub(crate) fn check(db: &Database, encoder: &Model) -> Result<()> {
    let stats = db.stats();
    let (path, expected) = (stats.path.display(), stats.address_bits);
    match encoder.patch_bits() {
        None => bail!(
            "the encoder of {path} has no patch net; hashdb train --preset kh2011-patch makes an encoder with one, for \
             a new database"
        ),
        Some(found) if found != expected => bail!(
            "the patch net of the encoder of {path} gives addresses of {found} bits, expected {expected} as in the \
             database"
        ),
        Some(_) => {}
    }
    match noted_patches(db)? {
        Some(noted) if noted != PATCHES => bail!(
            "the records of {path} have {noted} patch addresses a picture, this hashdb computes {PATCHES}"
        ),
        _ => Ok(()),
    }
}

/// Checks that there is something to be found by patches.
pub(crate) fn check_any(db: &Database) -> Result<()> {
    let stats = db.stats();
    if stats.patches == 0 {
        let path = stats.path.display();
        bail!("no record of {path} has patch addresses; hashdb ingest --patches stores them");
    }
    Ok(())
}
