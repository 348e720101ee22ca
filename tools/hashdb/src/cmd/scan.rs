//! `hashdb scan`: records in the order of their addresses.

use std::path::PathBuf;

use anyhow::Result;
use hashdb::{Address, Readable as _, Record};
use serde::Serialize;

use crate::exit::Exit;
use crate::output::Output;
use crate::text::{self, JsonKey};

/// List records in the order of their addresses
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database directory
    db: PathBuf,
    /// Begin at this address, in hexadecimal
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Stop after this many records
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print one JSON object a record
    #[arg(long)]
    json: bool,
}

/// One record in JSON.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    key: JsonKey,
    id: u64,
    address: String,
    code: String,
}

/// Prints the records one by one, so that memory does not grow with the database.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let db = super::open_read_only(&args.db)?;
    let stats = db.stats();
    let records = match &args.from {
        None => db.iter(),
        Some(hex) => db.iter_from(Address::from_hex(hex, stats.address_bits)?)?,
    };
    let id_width = stats.next_id.to_string().len().max(2);
    let mut output = Output::new();
    if !args.json {
        let header = Columns { id: "id", address: "address", code: "code", key: "key" };
        output.line(header.text(id_width, stats.address_bits, stats.code_bits))?;
    }
    for record in records.take(args.limit.unwrap_or(usize::MAX)) {
        let record = record?;
        if args.json {
            output.json(&Row::from(&record))?;
            continue;
        }
        let columns = Columns {
            id: &record.id.to_string(),
            address: &record.address.to_string(),
            code: &record.code.to_string(),
            key: &text::key(&record.key),
        };
        output.line(columns.text(id_width, stats.address_bits, stats.code_bits))?;
    }
    output.finish()?;
    Ok(Exit::Done)
}

impl From<&Record> for Row {
    fn from(record: &Record) -> Self {
        Self {
            key: JsonKey::new(&record.key),
            id: record.id,
            address: record.address.to_string(),
            code: record.code.to_string(),
        }
    }
}

/// One line of the listing; widths are known beforehand, so no row waits for the others.
struct Columns<'a> {
    id: &'a str,
    address: &'a str,
    code: &'a str,
    key: &'a str,
}

impl Columns<'_> {
    fn text(&self, id_width: usize, address_bits: u8, code_bits: u16) -> String {
        let address_width = usize::from(address_bits.div_ceil(4)).max("address".len());
        let code_width = usize::from(code_bits / 4);
        let Self { id, address, code, key } = self;
        format!("{id:>id_width$}  {address:<address_width$}  {code:<code_width$}  {key}")
    }
}
