//! Writes the database that tests/engine/format.rs opens: run by tools/fixture, once a format.
//!
//! Small widths, a segment with a pair table, a record replaced and one deleted after it was sealed,
//! records in the memtable, values and none.

use hashdb::{Address, Code, Database, Options, Result};

fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "fixture".to_owned());
    let options = Options::new().code_bits(64).address_bits(8).background(false);
    let db = Database::create(&path, options)?;
    let put = |key: &str, address: &str, code: &str, value: &str| -> Result<()> {
        let (address, code) = (Address::from_hex(address, 8)?, code.parse::<Code>()?);
        db.put(key.as_bytes(), address, code, value.as_bytes())
    };
    put("alpha", "5a", "0123456789abcdef", "the first value")?;
    put("beta", "10", "ffffffffffffffff", "to be replaced")?;
    put("deleted", "5a", "0123456789abcdef", "to be deleted")?;
    put("epsilon", "a5", "fedcba9876543210", "")?;
    db.seal()?;
    put("beta", "20", "0123456789abcdee", "replaced")?;
    put("gamma", "f0", "00000000ffffffff", "")?;
    put("delta", "5b", "ffffffff00000000", "in the memtable")?;
    db.delete(b"deleted")?;
    Ok(())
}
