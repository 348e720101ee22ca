//! Tables out and in: a load of a dump is the same database, in every format.

use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{
    ArrayRef, BinaryArray, BinaryViewArray, FixedSizeBinaryArray, FixedSizeListArray, Int16Array,
    Int64Array, LargeBinaryArray, LargeStringArray, ListArray, RecordBatch, StringArray,
    StringViewArray, UInt8Array, UInt32Array, UInt64Array,
};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use hashdb::{Address, Code, Database, Options, WriteBatch, WriteOptions};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::Value;

use crate::arrays::codes;
use crate::{Place, write};

pub(crate) const FORMATS: [&str; 5] = ["npy", "parquet", "arrow", "csv", "jsonl"];

/// Keys that tables could trip over.
const KEYS: [&[u8]; 18] = [
    b"plain",
    b"a,b",
    b"say \"so\"",
    b"\"",
    b"line\nfeed",
    b"\r\n",
    b" ",
    b"\t",
    b"\xff\xfe",
    b"\0",
    b"\xc3\xa9",
    b"\xef\xbb\xbfmark",
    b"123",
    b"=1+1",
    b"null",
    b"{}",
    b"a;b",
    b"\x80\n,\"",
];

impl Place {
    /// Records of these widths with difficult keys and values, in a database called `name`.
    pub(crate) fn with_difficult_records<const WIDTH: usize>(name: &str, address_bits: u8) -> Self {
        let place = Self::empty();
        let code_bits = u16::try_from(WIDTH * 8).unwrap();
        let options = Options::new().code_bits(code_bits).address_bits(address_bits);
        let db = Database::create(place.path(name), options.background(false)).unwrap();
        let every_byte: Vec<u8> = (0..=255).collect();
        let long = vec![b'k'; hashdb::MAX_KEY_BYTES];
        let values: [&[u8]; 7] =
            [b"", b"v", b"a,\"b\"\r\nc", &every_byte, b"\xff", b"\0", b"{\"a\": [1, null]}"];
        let mut keys: Vec<_> = KEYS.iter().map(|key| key.to_vec()).collect();
        keys.push(long);
        keys.extend((0..3000).map(|number| format!("key {number}").into_bytes()));
        let mut batch = WriteBatch::new();
        for ((index, key), code) in keys.iter().enumerate().zip(codes::<WIDTH>(keys.len(), 11)) {
            let address = [0, u32::MAX][index % 2] >> (32 - u32::from(address_bits))
                ^ u32::try_from(index & 0xff).unwrap();
            let address = Address::new(address, address_bits).unwrap();
            batch.put(key, address, Code::from_bytes(&code).unwrap(), values[index % values.len()]);
        }
        let large = vec![0xa5; 3 << 20];
        for key in [&b"large"[..], b"larger"] {
            let address = Address::new(1, address_bits).unwrap();
            batch.put(key, address, Code::from_bytes(&[0xab; WIDTH]).unwrap(), &large);
        }
        db.write(batch, WriteOptions::default()).unwrap();
        place
    }

    pub(crate) fn digest(&self, db: &str) -> String {
        let stats = ["stats", db, "--digest", "--progress", "none"];
        self.json(&stats)[0]["digest"].as_str().unwrap().to_owned()
    }

    /// Writes a Parquet file of these columns.
    pub(crate) fn parquet(&self, name: &str, columns: &[(&str, ArrayRef)]) {
        let batch = RecordBatch::try_from_iter(columns.to_vec()).unwrap();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        write(&self.path(name), &bytes);
    }
}

/// The records of three rows, as files that other programs compress with Zstandard: Parquet, an Arrow IPC file
/// and a stream.
fn compressed(place: &Place) -> [&'static str; 3] {
    let keys: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    let codes: ArrayRef = Arc::new(BinaryArray::from_iter_values([[0; 8], [1; 8], [2; 8]]));
    let addresses: ArrayRef = Arc::new(UInt32Array::from(vec![1, 2, 3]));
    let value = "a text that comes again ".repeat(200);
    let values: ArrayRef = Arc::new(StringArray::from(vec![value.as_str(), "", value.as_str()]));
    let columns = [("key", keys), ("code", codes), ("address", addresses), ("value", values)];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let compression = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    let metadata = writer.close().unwrap();
    let columns = metadata.row_groups().iter().flat_map(|group| group.columns());
    assert!(columns.into_iter().all(|column| matches!(column.compression(), Compression::ZSTD(_))));
    write(&place.path("t.parquet"), &bytes);
    let options = || IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD));
    let (mut file, mut stream, schema) = (Vec::new(), Vec::new(), batch.schema());
    let mut writer =
        FileWriter::try_new_with_options(&mut file, &schema, options().unwrap()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let mut writer =
        StreamWriter::try_new_with_options(&mut stream, &schema, options().unwrap()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    drop(writer);
    // The magic number of a Zstandard frame: something in them is compressed.
    for bytes in [&file, &stream] {
        assert!(bytes.windows(4).any(|four| four == [0x28, 0xb5, 0x2f, 0xfd]));
    }
    write(&place.path("file.arrow"), &file);
    write(&place.path("stream.arrow"), &stream);
    ["t.parquet", "file.arrow", "stream.arrow"]
}

/// Parquet and Arrow IPC that other programs had compressed with Zstandard were refused by name.
#[test]
fn tables_compressed_with_zstandard_are_loaded() {
    let place = Place::empty();
    let files = compressed(&place);
    for file in files {
        let db = format!("{file}-db");
        let load = ["load", &db, file, "--address-bits", "16", "--progress", "none"];
        assert_eq!(place.json(&load)[0]["records"], 3, "{file}");
        assert_eq!(place.digest(&db), place.digest("t.parquet-db"), "{file}");
        assert_eq!(place.ok(&["get", &db, "c", "--value"]).len(), 24 * 200);
        // Cut short it is one error, and nothing is loaded.
        let bytes = crate::read(&place.path(file));
        write(&place.path(file), &bytes[..bytes.len() / 2]);
        let again = ["load", "cut", file, "--address-bits", "16", "--progress", "none"];
        assert_eq!(place.run(&again).code, Some(1), "{file}");
        assert_eq!(place.existing("cut"), None, "{file}");
    }
}

fn round_trips<const WIDTH: usize>(address_bits: u8) {
    let place = Place::with_difficult_records::<WIDTH>("db", address_bits);
    let digest = place.digest("db");
    for format in FORMATS {
        let (file, again) = (format!("table.{format}"), format!("again-{format}"));
        let dumped = &place.json(&["dump", "db", &file, "--progress", "none"])[0];
        assert_eq!(dumped["records"], 3021, "{format}");
        let loaded = &place.json(&["load", &again, &file, "--progress", "none"])[0];
        assert_eq!((&loaded["loaded"], &loaded["inserted"]), (&3021.into(), &3021.into()));
        assert_eq!(place.digest(&again), digest, "{format}");
        place.fails(1, &format!("{file} is there already"), &["dump", "db", &file]);
    }
}

#[test]
fn a_load_of_a_dump_is_the_same_database() {
    round_trips::<16>(30);
}

#[test]
fn a_dump_of_no_records_is_loaded_as_well() {
    let place = Place::empty();
    let bits = ["--code-bits", "128", "--address-bits", "13"];
    place.ok(&[&["create", "db", "--encoder", "none"], &bits[..]].concat());
    for format in FORMATS {
        let (file, again) = (format!("table.{format}"), format!("again-{format}"));
        place.ok(&["dump", "db", &file, "--progress", "none"]);
        let load = ["load", &again, &file, "--progress", "none"];
        // Without rows text has nothing that would tell.
        let more: &[&str] = if matches!(format, "csv" | "jsonl") { &bits } else { &[] };
        if !more.is_empty() {
            place.fails(1, "has no rows, which would tell the width of a new database", &load);
        }
        place.ok(&[&load, more].concat());
        assert_eq!(place.digest(&again), place.digest("db"), "{format}");
    }
    let load = ["load", "again-csv", "table.csv", "--code-bits", "64"];
    place.fails(2, "--code-bits 64 contradicts again-csv, which has 128 bits", &load);
    let load = ["load", "new", "table.csv", "--code-bits", "100"];
    place.fails(2, "--code-bits must be 64 to 1024 in steps of 64, not 100", &load);
}

/// Text of which each byte became an escape of six was longer than a row may be that is read again.
#[test]
fn long_values_of_nothing_but_escapes_are_read_again() {
    let place = Place::empty();
    let options = Options::new().code_bits(64).address_bits(12).background(false);
    let db = Database::create(place.path("db"), options).unwrap();
    for (key, byte) in [(&b"control"[..], 1), (b"quote", b'"'), (b"letter", b'x')] {
        let address = Address::new(0, 12).unwrap();
        let value = vec![byte; hashdb::MAX_VALUE_BYTES];
        db.put(key, address, Code::from_bytes(&[0; 8]).unwrap(), &value).unwrap();
    }
    drop(db);
    for format in ["csv", "jsonl"] {
        let (file, again) = (format!("table.{format}"), format!("again-{format}"));
        place.ok(&["dump", "db", &file, "--progress", "none"]);
        place.ok(&["load", &again, &file, "--progress", "none"]);
        assert_eq!(place.digest(&again), place.digest("db"), "{format}");
    }
}

#[test]
fn a_dump_of_more_records_than_are_gathered_at_once_is_whole() {
    let place = Place::empty();
    place.array_of_codes("codes.npy", &codes::<8>(600_000, 1));
    let index = ["--index", "none", "--progress", "none"];
    place.ok(&[&["load", "db", "--codes", "codes.npy"], &index[..]].concat());
    place.ok(&["dump", "db", "t.npy", "--progress", "none"]);
    assert_eq!(
        place.json(&[&["load", "again", "t.npy"], &index[..]].concat())[0]["loaded"],
        600_000
    );
    assert_eq!(place.digest("again"), place.digest("db"));
}

/// A dump used `FILE.tmp`, whoever that was of: it was emptied, or removed with all that was in it.
#[test]
fn a_dump_touches_nothing_but_its_table() {
    let place = Place::with_difficult_records::<16>("db", 28);
    for format in FORMATS {
        // As long as a name may be.
        let file = format!("{}.{format}", "t".repeat(254 - format.len()));
        let other = format!("{}.tmp/mine", &file[..200]);
        write(&place.path(&other), b"mine");
        let before = place.shell("ls -A").stdout;
        // One that fails leaves nothing, and one that is late takes nobody's place.
        let ran = place.shell(&format!("ulimit -f 64; exec $HASHDB dump db {file}"));
        assert_eq!(ran.code, Some(1), "{format}: {}", ran.stderr);
        assert_eq!(place.shell("ls -A").stdout, before, "{format}");
        let dump = format!("$HASHDB dump db {file} --progress none");
        let both = format!("{dump} & one=$!; {dump}; other=$?; wait $one; echo $? $other");
        let ran = place.shell(&both);
        let codes = ran.stdout.lines().last().unwrap();
        assert!(matches!(codes, "0 1" | "1 0"), "{format}: {codes}, {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("{file} is there already")), "{}", ran.stderr);
        place.ok(&["load", &format!("again-{format}"), &file, "--progress", "none"]);
        assert_eq!(place.digest(&format!("again-{format}")), place.digest("db"));
        assert_eq!(crate::read(&place.path(&other)), b"mine");
        let mode = place.shell(&format!("umask 022; stat -c %A {file} | cut -c 8-10")).stdout;
        assert!(mode.starts_with("r-"), "{format}: {mode}");
    }
}

#[test]
fn the_largest_and_the_smallest_widths_pass_through_tables() {
    round_trips::<128>(32);
    round_trips::<8>(8);
}

#[test]
fn tables_pass_through_pipes() {
    let place = Place::with_difficult_records::<16>("db", 28);
    let digest = place.digest("db");
    for format in ["csv", "jsonl"] {
        let line = format!(
            "$HASHDB dump db - --format {format} --progress none | \
             $HASHDB load piped-{format} - --format {format} --progress none --json"
        );
        let ran = place.shell(&line);
        assert_eq!(ran.code, Some(0), "{format}: {}", ran.stderr);
        assert_eq!(place.digest(&format!("piped-{format}")), digest);
    }
    place.ok(&["dump", "db", "t.arrow", "--progress", "none"]);
    place.fails(2, "standard input needs --format", &["load", "new", "-"]);
    place.fails(
        2,
        "cannot be read from standard input",
        &["load", "new", "-", "--format", "parquet"],
    );
    place.fails(2, "standard output needs --format csv or jsonl", &["dump", "db", "-"]);
    place.fails(2, "the name t.txt tells no format", &["dump", "db", "t.txt"]);
    place.fails(2, "the name t.txt tells no format", &["load", "db", "t.txt"]);
}

#[test]
fn a_dump_by_filter_holds_those_records_alone() {
    let place = Place::with_difficult_records::<16>("db", 28);
    let rows = |file: &str, filter: &[&str]| {
        let dump = ["dump", "db", file, "--progress", "none"];
        place.json(&[&dump, filter].concat())[0]["records"].as_u64().unwrap()
    };
    assert_eq!(rows("p.csv", &["--filter-prefix", "key 29"]), 111);
    assert_eq!(rows("i.jsonl", &["--ids", "0,7,7,99999999"]), 2);
    let ran = place.run(&["dump", "db", "u.csv", "--ids", "7,99999999,88888888"]);
    assert!(ran.stderr.contains("hashdb: no record has 2 of the ids"), "{}", ran.stderr);
    assert_eq!(rows("n.parquet", &["--filter-prefix", "absent"]), 0);
    assert_eq!(rows("n.npy", &["--filter-prefix", "absent"]), 0);
    assert_eq!(rows("n.arrow", &["--ids", "99999999"]), 0);
    for table in ["n.parquet", "n.npy", "n.arrow"] {
        let db = format!("db-{table}");
        let report = &place.json(&["load", &db, table, "--progress", "none"])[0];
        assert_eq!((&report["loaded"], &report["records"]), (&0.into(), &0.into()), "{table}");
    }
}

#[test]
fn several_tables_of_several_formats_load_in_one_run() {
    let place = Place::with_difficult_records::<16>("db", 28);
    let parts = [("a.csv", "key 1"), ("b.parquet", "key 2"), ("c.jsonl", "key 3")];
    for (file, prefix) in parts {
        place.ok(&["dump", "db", file, "--filter-prefix", prefix, "--progress", "none"]);
    }
    let load = ["load", "new", "b.parquet", "a.csv", "c.jsonl", "--progress", "none"];
    let report = &place.json(&load)[0];
    assert_eq!(report["records"], 1111 * 2 + 111);
    place.ok(&["dump", "db", "d.npy", "--progress", "none"]);
    place.array_of_codes("n.npy", &codes::<16>(3, 1));
    place.fails(2, "n.npy has no keys", &["load", "new", "d.npy", "n.npy"]);
}

#[test]
fn columns_of_every_fitting_type_are_read() {
    let place = Place::empty();
    let rows = codes::<16>(3, 4);
    let bytes: Vec<&[u8]> = rows.iter().map(<[u8; 16]>::as_slice).collect();
    let flat = UInt8Array::from(rows.as_flattened().to_vec());
    let item = Arc::new(arrow_schema::Field::new("item", arrow_schema::DataType::UInt8, true));
    let list = FixedSizeListArray::new(item, 16, Arc::new(flat), None);
    let fixed = FixedSizeBinaryArray::try_from_iter(bytes.iter()).unwrap();
    let code: [ArrayRef; 5] = [
        Arc::new(fixed),
        Arc::new(BinaryArray::from_iter_values(&bytes)),
        Arc::new(LargeBinaryArray::from_iter_values(&bytes)),
        Arc::new(BinaryViewArray::from_iter_values(&bytes)),
        Arc::new(list),
    ];
    let key: [ArrayRef; 5] = [
        Arc::new(StringArray::from(vec!["1", "20", "3"])),
        Arc::new(LargeStringArray::from(vec!["1", "20", "3"])),
        Arc::new(StringViewArray::from(vec!["1", "20", "3"])),
        Arc::new(BinaryArray::from_iter_values([b"1", &b"20"[..], b"3"])),
        Arc::new(Int64Array::from(vec![1, 20, 3])),
    ];
    let address: [ArrayRef; 5] = [
        Arc::new(UInt32Array::from(vec![5, 6, 7])),
        Arc::new(UInt64Array::from(vec![5, 6, 7])),
        Arc::new(Int64Array::from(vec![5, 6, 7])),
        Arc::new(Int16Array::from(vec![5, 6, 7])),
        Arc::new(UInt8Array::from(vec![5, 6, 7])),
    ];
    let value: [ArrayRef; 5] = [
        Arc::new(StringArray::from(vec![Some("x"), None, Some("")])),
        Arc::new(LargeStringArray::from(vec![Some("x"), None, None])),
        Arc::new(BinaryArray::from_iter([Some(b"x"), None, None])),
        Arc::new(LargeBinaryArray::from_iter([Some(b"x"), None, None])),
        Arc::new(BinaryViewArray::from_iter([Some(b"x"), None, None])),
    ];
    let mut digests = Vec::new();
    for types in 0..5 {
        let db = format!("db{types}");
        let other: ArrayRef = Arc::new(UInt8Array::from(vec![None, Some(1), None]));
        place.parquet(
            "t.parquet",
            &[
                ("other", other),
                ("value", Arc::clone(&value[types])),
                ("code", Arc::clone(&code[types])),
                ("address", Arc::clone(&address[types])),
                ("key", Arc::clone(&key[types])),
            ],
        );
        let load = ["load", &db, "t.parquet", "--address-bits", "12", "--progress", "none"];
        assert_eq!(place.json(&load)[0]["records"], 3, "types {types}");
        digests.push(place.digest(&db));
    }
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
    let second = &place.json(&["get", "db4", "20", "--value"])[0];
    assert_eq!((&second["address"], &second["value"]), (&"006".into(), &"".into()));
    place.fails(
        2,
        "new is new and the table does not tell how wide its addresses are; give --address-bits",
        &["load", "new", "t.parquet"],
    );
}

#[test]
fn values_of_one_length_are_rows_of_an_array() {
    let place = Place::empty();
    place.array_of_codes("codes.npy", &codes::<8>(3, 5));
    place.array_of_codes("values.npy", &[*b"one", *b"two", *b"six"]);
    let load = ["load", "db", "--codes", "codes.npy", "--values", "values.npy"];
    assert_eq!(place.json(&[&load[..], &["--progress", "none"]].concat())[0]["records"], 3);
    assert_eq!(place.ok(&["get", "db", "1", "--value"]), "two");
    place.array_of_codes("values.npy", &[*b"one", *b"two"]);
    place.fails(1, "values.npy holds 2 values, expected 3, one a code", &load);
}

#[test]
fn the_digest_tells_databases_apart() {
    let place = Place::with_records();
    let digest = place.digest("db");
    assert_eq!(digest.len(), 64);
    assert!(place.ok(&["stats", "db", "--digest", "--progress", "none"]).contains(&digest));
    assert!(!place.ok(&["stats", "db"]).contains("digest"));
    place.ok(&[
        "put",
        "db",
        "b",
        "--code",
        "00000000000000ff",
        "--address",
        "0001",
        "--value",
        "second",
    ]);
    assert_eq!(place.digest("db"), digest, "the same record under another id");
    place.ok(&["compact", "db"]);
    assert_eq!(place.digest("db"), digest);
    place.ok(&[
        "put",
        "db",
        "b",
        "--code",
        "00000000000000ff",
        "--address",
        "0001",
        "--value",
        "other",
    ]);
    assert_ne!(place.digest("db"), digest);
}

#[test]
fn without_addresses_they_are_the_first_bits_of_the_codes() {
    let (place, rows) = (Place::empty(), codes::<16>(3, 4));
    let code: ArrayRef = Arc::new(BinaryArray::from_iter_values(&rows));
    let key: ArrayRef = Arc::new(StringArray::from(vec!["1", "20", "3"]));
    place.parquet("n.parquet", &[("key", key), ("code", code)]);
    assert_eq!(place.json(&["load", "new", "n.parquet", "--progress", "none"])[0]["records"], 3);
    let first = &place.json(&["get", "new", "1"])[0];
    assert_eq!(first["address"], crate::arrays::hex(&rows[0])[..7]);
    Place::with_records_in(&place, "narrow");
    place.fails(
        1,
        "n.parquet holds codes of 128 bits, expected 64",
        &["load", "narrow", "n.parquet"],
    );
}

/// Records that a database takes with no patch addresses and with up to three were written without them by every
/// format but JSON lines; a note on standard error said so, and the load of such a dump was another database.
#[test]
fn patch_addresses_go_through_every_format() {
    let place = Place::empty();
    let options = Options::new().code_bits(64).address_bits(12).background(false);
    let db = Database::create(place.path("db"), options).unwrap();
    let address = |value| Address::new(value, 12).unwrap();
    let code = Code::from_bytes(&[7; 8]).unwrap();
    for number in 0..300_u32 {
        let own: Vec<_> = (0..number % 4).map(|patch| address(number ^ patch << 9)).collect();
        let key = number.to_string();
        let place = address(number);
        db.put_with_patches(key.as_bytes(), place, code.clone(), b"v", &own).unwrap();
    }
    drop(db);
    for format in FORMATS {
        let (file, back) = (format!("patched.{format}"), format!("back-{format}"));
        let ran = place.run(&["dump", "db", &file, "--progress", "none"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{format}");
        place.ok(&["load", &back, &file]);
        assert_eq!(place.digest(&back), place.digest("db"), "{format}");
        // Beginning in the middle, too.
        let part = format!("part-{format}");
        place.ok(&["load", &part, &file, "--from", "298"]);
        place.ok(&["dump", &part, &format!("{part}.jsonl")]);
        let lines = crate::objects(
            &String::from_utf8(crate::read(&place.path(&format!("{part}.jsonl")))).unwrap(),
        );
        let of = |key: &str| {
            let line = lines.iter().find(|line| line["key"] == key);
            line.map(|line| line["patches"].as_array().map_or(0, Vec::len))
        };
        assert_eq!((lines.len(), of("298"), of("299")), (2, Some(2), Some(3)), "{format}");
    }
}

#[test]
fn patch_addresses_that_cannot_be_are_refused_by_their_place() {
    let (place, rows) = (Place::with_records(), codes::<8>(2, 4));
    let line = |patches: &str| {
        format!(r#"{{"key":"k","code":"0707070707070707","address":"0x0001","patches":{patches}}}"#)
    };
    let many = vec!["1"; 257];
    let json = format!("[{}]", many.join(","));
    let csv = |patches: &str| format!("key,code,address,patches\nk,0707070707070707,1,{patches}\n");
    let width = "column patches: one is 10000, expected addresses of 16 bits";
    let count = "column patches: there are 257 of them, expected 256 at most";
    for (name, text, says) in [
        ("t.jsonl", line("[\"12\"]"), "line 1: patches: address: '12' does not begin with 0x"),
        ("t.jsonl", line("[65536]"), width),
        ("t.jsonl", line(&json), count),
        ("t.csv", csv("1 x"), "line 2: column patches: 'x' is no number below 2^32"),
        ("t.csv", csv("0x1 0x10000"), width),
        ("t.csv", csv(&many.join("  ")), count),
    ] {
        write(&place.path(name), text.as_bytes());
        let ran = place.run(&["load", "db", name]);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
    }
    let key: ArrayRef = Arc::new(StringArray::from(vec!["1", "20"]));
    let code: ArrayRef = Arc::new(BinaryArray::from_iter_values(&rows));
    let address: ArrayRef = Arc::new(UInt32Array::from(vec![1, 2]));
    let lists = |lists: [Option<Vec<Option<i64>>>; 2]| -> ArrayRef {
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists))
    };
    let load = ["load", "db", "t.parquet", "--progress", "none"];
    for (patches, says) in [
        (lists([None, Some(vec![Some(-1)])]), "row 1, column patches: it is -1"),
        (lists([None, Some(vec![None])]), "row 1, column patches: it is null"),
        (lists([Some(vec![Some(65_536)]), None]), width),
        (lists([None, Some(vec![Some(1); 257])]), count),
        (Arc::clone(&address), "column patches: its type is UInt32, expected a list of an integer"),
    ] {
        let columns =
            [("key", &key), ("code", &code), ("address", &address), ("patches", &patches)];
        place.parquet("t.parquet", &columns.map(|(name, column)| (name, Arc::clone(column))));
        let ran = place.run(&load);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
    }
    let patches = lists([None, Some(vec![Some(7), Some(8)])]);
    place.parquet(
        "t.parquet",
        &[("patches", patches), ("key", key), ("code", code), ("address", address)],
    );
    place.ok(&load);
    let of = |key| place.json(&["get", "db", key])[0]["patches"].clone();
    assert_eq!((of("1"), of("20")), (Value::Null, serde_json::json!(["0007", "0008"])));

    place.ok(&["dump", "db", "t.npy"]);
    let lengths = crate::read(&place.path("t.npy/patches.lengths.npy"));
    let mut longer = lengths.clone();
    *longer.last_mut().unwrap() ^= 1; // The largest byte of the last length.
    write(&place.path("t.npy/patches.lengths.npy"), &longer);
    let ran = place.run(&["load", "db", "t.npy", "--progress", "none"]);
    let words = "patches.lengths.npy, row 4: a length of";
    assert!(ran.code == Some(1) && ran.stderr.contains(words), "{}", ran.stderr);
}
