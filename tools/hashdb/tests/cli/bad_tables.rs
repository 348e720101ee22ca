//! Tables of other content, cut, damaged or endless: one sentence each, and nothing is changed.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, FixedSizeBinaryArray, Int64Array, StringArray, UInt32Array,
};

use crate::arrays::codes;
use crate::tables::FORMATS;
use crate::{Place, read, write};

/// A code of the width of [`Place::with_records`].
const CODE: &str = "00000000000000ff";

/// Texts that a load into a database with records must refuse, and words of the sentence.
fn refuses(format: &str, cases: &[(String, &str)]) {
    let place = Place::with_records();
    let digest = place.digest("db");
    for (text, words) in cases {
        let file = format!("t.{format}");
        write(&place.path(&file), text.as_bytes());
        let ran = place.run(&["load", "db", &file, "--progress", "none"]);
        assert_eq!(ran.code, Some(1), "{words}: {}", ran.stderr);
        ran.is_one_sentence_with(words);
        ran.is_one_sentence_with(&file);
    }
    assert_eq!(place.digest("db"), digest, "nothing was loaded");
}

#[test]
fn parquet_of_other_content_is_refused_by_row_and_column() {
    let place = Place::empty();
    let key: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let code: ArrayRef = Arc::new(BinaryArray::from_iter_values([[1; 8], [2; 8]]));
    let columns = |other: &[(&'static str, ArrayRef)]| {
        let mut columns = vec![("key", Arc::clone(&key)), ("code", Arc::clone(&code))];
        columns.retain(|(name, _)| other.iter().all(|(other, _)| other != name));
        columns.extend(other.iter().cloned());
        columns
    };
    let floats: ArrayRef = Arc::new(arrow_array::Float32Array::from(vec![1.0, 2.0]));
    let nulls: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
    let narrow: ArrayRef = Arc::new(BinaryArray::from_iter_values([&[1; 8][..], &[2; 7]]));
    let odd: ArrayRef =
        Arc::new(FixedSizeBinaryArray::try_from_iter([[1; 9], [2; 9]].iter()).unwrap());
    let minus: ArrayRef = Arc::new(Int64Array::from(vec![1, -1]));
    let wide: ArrayRef = Arc::new(UInt32Array::from(vec![1, 1 << 20]));
    let empty: ArrayRef = Arc::new(StringArray::from(vec!["a", ""]));
    let cases = [
        (
            "column key: its type is Float32, expected binary, utf8 or an integer",
            columns(&[("key", Arc::clone(&floats))]),
        ),
        (
            "column code: its type is Utf8, expected fixed-size binary",
            columns(&[("code", Arc::clone(&key))]),
        ),
        (
            "column address: its type is Float32, expected an integer",
            columns(&[("address", Arc::clone(&floats))]),
        ),
        (
            "column value: its type is Float32, expected binary or utf8",
            columns(&[("value", floats)]),
        ),
        ("row 1, column key: it is null, expected a value", columns(&[("key", nulls)])),
        ("row 1, column key: the key is empty", columns(&[("key", empty)])),
        ("row 1, column code: the code has 7 bytes, expected 8", columns(&[("code", narrow)])),
        (
            "column code: its codes have 9 bytes, expected 8 to 128 in steps of 8",
            columns(&[("code", odd)]),
        ),
        (
            "row 1, column address: it is -1, expected 0 to 4294967295",
            columns(&[("address", minus)]),
        ),
        (
            "row 1, column address: it is 100000, expected an address of 16 bits",
            columns(&[("address", wide)]),
        ),
        ("has no column key; its columns are code", vec![("code", Arc::clone(&code))]),
        ("has no column code; its columns are key", vec![("key", Arc::clone(&key))]),
    ];
    for (words, columns) in cases {
        place.parquet("t.parquet", &columns);
        let ran =
            place.run(&["load", "db", "t.parquet", "--address-bits", "16", "--progress", "none"]);
        assert_eq!(ran.code, Some(1), "{words}: {}", ran.stderr);
        let last = ran.stderr.lines().last().unwrap();
        assert!(last.contains(words) && last.contains("t.parquet"), "{words}: {last}");
    }
    write(&place.path("t.parquet"), b"PAR1 and nothing else");
    place.fails(1, "t.parquet cannot be read: ", &["load", "new", "t.parquet"]);
    place.fails(1, "cannot read absent.parquet: ", &["load", "new", "absent.parquet"]);
    assert_eq!(place.existing("new"), None);
}

#[test]
fn commas_of_other_content_are_refused_by_line() {
    let code = CODE;
    refuses(
        "csv",
        &[
            ("".to_owned(), "is empty, expected a first line that names the columns"),
            (
                format!("name,code\na,{code}\n"),
                "has no column key; its first line names 'name', 'code'",
            ),
            ("key,address\na,1\n".into(), "has no column code"),
            (format!("key,code,key\na,{code},b\n"), "has two columns key"),
            (
                format!("key,code\na,{code}\nb,{code},1\n"),
                "line 3: 3 fields, expected 2 as in the first line",
            ),
            (
                format!("key,code\n\"a\nb\",{code}\nc,00ff\n"),
                "line 4: column code: the code has 2 bytes, expected 8",
            ),
            (
                "key,code\na,00000000000000fg\n".into(),
                "line 2: column code: '00000000000000fg' is no pairs of hex",
            ),
            (
                "key,code\na,\n".into(),
                "line 2: column code: the code has 0 bytes, expected 8 to 128",
            ),
            (
                format!("key,code,address\na,{code},x\n"),
                "line 2: column address: 'x' is no number below 2^32",
            ),
            (
                format!("key,code,address\na,{code},0x10000\n"),
                "line 2, column address: it is 10000, expected an address of 16 bits",
            ),
            (format!("key,code\n,{code}\n"), "line 2, column key: the key is empty"),
            (
                format!("key,code,value\na,{code},x\nb,{code},\"cut"),
                "line 3: a quote is opened here and never closed",
            ),
            (
                format!("key,code,value\na,{code},\"x\nb,{code},y\nc,{code},z\n"),
                "line 2: a quote is opened here and never closed",
            ),
            (
                format!("key,code\r\n\r\na,{code}\r\n\r\nb,{code},1\r\n"),
                "line 5: 3 fields, expected 2 as in the first line",
            ),
            (
                format!("key,code,address,address_bits\na,{code},0x0001,33\n"),
                "line 2, column address_bits: it is 33, expected 8 to 32",
            ),
            (
                format!("key,key_base64,code\na,YQ==,{code}\n"),
                "line 2: columns key and key_base64 are both filled",
            ),
            (
                format!("key_base64,code\nYQ,{code}\n"),
                "line 2: column key_base64: 'YQ' is no base64",
            ),
            (
                "key,code\na,00000000000000ff00000000000000ff\n".into(),
                "holds codes of 128 bits, expected 64",
            ),
        ],
    );
}

#[test]
fn objects_of_other_content_are_refused_by_line() {
    let code = CODE;
    refuses(
        "jsonl",
        &[
            ("[1]\n".into(), "line 1: '[1]' is no record"),
            (
                "\n{\"key\": \"a\"}\n".into(),
                "line 2: '{\"key\": \"a\"}' is no record, at column 12: missing field `code`",
            ),
            ("{\"key\": \"a\"".into(), "line 1: "),
            (format!("{{\"key\": 1, \"code\": \"{code}\"}}\n"), "invalid type: integer `1`"),
            (format!("{{\"code\": \"{code}\"}}\n"), "line 1: it has no key"),
            (
                format!("{{\"key\": \"a\", \"code\": \"{code}\", \"address\": 1.5}}\n"),
                "the address is neither a whole number nor text",
            ),
            (
                format!("{{\"key\": \"a\", \"code\": \"{code}\", \"address\": \"12\"}}\n"),
                "address: '12' does not begin with 0x",
            ),
            (
                format!(
                    "{{\"key\": \"a\", \"code\": \"{code}\", \"address\": 1}}\n{{\"key\": \"b\", \"code\": \"{code}\"}}\n"
                ),
                "line 2: it has no address, the first line has one",
            ),
            (
                format!("{{\"key\": \"a\", \"key_base64\": \"YQ==\", \"code\": \"{code}\"}}\n"),
                "it has both key and key_base64",
            ),
        ],
    );
}

#[test]
fn a_table_of_no_rows_tells_no_width() {
    let place = Place::with_records();
    write(&place.path("empty.csv"), b"key,code\n");
    let load = ["load", "db", "empty.csv", "--progress", "none"];
    assert_eq!(place.json(&load)[0]["loaded"], 0);
    let words = "empty.csv has no rows, which would tell the width";
    place.fails(1, words, &["load", "new", "empty.csv"]);
    let beyond = ["load", "db", "empty.csv", "--from", "3"];
    place.fails(2, "--from 3 is beyond the 0 rows of the files", &beyond);
}

/// Keys of lines that end as on Windows had a carriage return at their end, which nobody saw.
#[test]
fn a_file_of_keys_with_carriage_returns_is_refused() {
    let place = Place::empty();
    place.array_of_codes("codes.npy", &codes::<8>(2, 1));
    write(&place.path("keys.txt"), b"a\r\nb\r\n");
    let load = ["load", "db", "--codes", "codes.npy", "--keys", "keys.txt"];
    place.fails(1, "keys.txt, line 1: the key ends with a carriage return", &load);
    assert_eq!(place.existing("db"), None);
}

#[test]
fn rows_that_are_too_long_are_refused_in_bounded_memory() {
    let place = Place::with_records();
    for format in ["csv", "jsonl"] {
        // 200 MB without a line end, in at most 512 MB of address space above what the command needs.
        let line = format!(
            "(printf 'key,code\\n'; head -c 200000000 /dev/zero | tr '\\0' 'x') | \
             $HASHDB load db - --format {format} --progress none"
        );
        let line =
            if format == "jsonl" { line.replace("printf 'key,code\\n'", "true") } else { line };
        let ran = place.shell(&line);
        assert_eq!(ran.code, Some(1), "{format}: {}", ran.stderr);
        ran.is_one_sentence_with("more than 100663296 bytes");
        ran.is_one_sentence_with(if format == "csv" { "line 2: " } else { "line 1: " });
    }
}

#[test]
fn damaged_tables_are_errors_and_never_more() {
    let place = Place::with_records();
    let rows = codes::<8>(40, 3);
    let lines: Vec<_> = rows
        .iter()
        .enumerate()
        .map(|(row, code)| {
            format!(
                "{{\"key\":\"{row}\",\"code\":\"{}\",\"address\":7,\"value\":\"value {row}\"}}\n",
                crate::arrays::hex(code)
            )
        })
        .collect();
    write(&place.path("t.jsonl"), lines.concat().as_bytes());
    place.ok(&["load", "source", "t.jsonl", "--address-bits", "16", "--progress", "none"]);
    for format in ["parquet", "arrow"] {
        let (file, load) = (format!("t.{format}"), format!("bad.{format}"));
        place.ok(&["dump", "source", &file, "--progress", "none"]);
        let sound = read(&place.path(&file));
        let step = sound.len() / 24;
        for end in (0..sound.len()).step_by(step) {
            write(&place.path(&load), &sound[..end]);
            let ran = place.run(&["load", "db", &load, "--progress", "none"]);
            assert_eq!(ran.code, Some(1), "{format} cut at {end}: {}", ran.stderr);
            ran.is_one_sentence_with(&load);
        }
        for at in (0..sound.len()).step_by(step / 2) {
            let mut bytes = sound.clone();
            bytes[at] ^= 0xff;
            write(&place.path(&load), &bytes);
            // These formats have no checksums that must be there: other content may pass for sound.
            let ran = place.run(&["load", "db", &load, "--progress", "none"]);
            assert!(
                matches!(ran.code, Some(0 | 1)),
                "{format} at {at}: {:?} {}",
                ran.code,
                ran.stderr
            );
            if ran.code == Some(1) {
                ran.is_one_sentence_with(&load);
            }
        }
    }
    assert_eq!(place.json(&["check", "db"])[0]["clean"], true);
}

#[test]
fn arrays_of_strings_must_agree_with_their_lengths() {
    let place = Place::with_difficult_records::<8>("db", 16);
    place.ok(&["dump", "db", "t.npy", "--progress", "none"]);
    let lengths = read(&place.path("t.npy/keys.lengths.npy"));
    let mut other = lengths.clone();
    other[128] ^= 1;
    write(&place.path("t.npy/keys.lengths.npy"), &other);
    place.fails(1, "keys.npy holds ", &["load", "new", "t.npy"]);
    other[130] = 0xff;
    write(&place.path("t.npy/keys.lengths.npy"), &other);
    place.fails(1, "keys.lengths.npy, row 0: a length of ", &["load", "new", "t.npy"]);
    write(&place.path("t.npy/keys.lengths.npy"), &lengths);
    write(&place.path("t.npy/hashdb.json"), b"{\"address_bits\": 7}");
    place.fails(
        1,
        "hashdb.json: address_bits 7, expected address_bits of 8 to 32",
        &["load", "new", "t.npy"],
    );
    assert_eq!(place.existing("new"), None);
}

#[test]
fn an_unwritable_dump_leaves_nothing() {
    let place = Place::with_difficult_records::<16>("db", 28);
    for format in FORMATS {
        let ran =
            place.shell(&format!("ulimit -f 64; exec $HASHDB dump db t.{format} --progress none"));
        assert_eq!(ran.code, Some(1), "{format}: {}", ran.stderr);
        ran.is_one_sentence_with(&format!("cannot write t.{format}"));
        assert_eq!(place.existing(&format!("t.{format}")), None);
    }
}

/// `--from` passed over no row that was bad: all rows that had been read were checked, and files of numpy before
/// they were read, so that the row that stopped a load could not be left out.
#[test]
fn a_bad_row_is_passed_over_by_from_in_every_format() {
    let place = Place::empty();
    let key: ArrayRef = Arc::new(StringArray::from(vec![Some(""), None, Some("b"), Some("c")]));
    let code: ArrayRef =
        Arc::new(BinaryArray::from_iter_values([&[1; 7][..], &[2; 8], &[3; 8], &[4; 8]]));
    let address: ArrayRef = Arc::new(Int64Array::from(vec![-1, 1 << 20, 3, 4]));
    let value: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d"]));
    let columns = [("key", key), ("code", code), ("address", address), ("value", value)];
    place.parquet("t.parquet", &columns);
    let batch = arrow_array::RecordBatch::try_from_iter(columns).unwrap();
    let mut arrow = Vec::new();
    let mut writer = arrow_ipc::writer::FileWriter::try_new(&mut arrow, &batch.schema()).unwrap();
    writer.write(&batch.slice(0, 1)).unwrap();
    writer.write(&batch.slice(1, 3)).unwrap();
    writer.finish().unwrap();
    drop(writer);
    write(&place.path("t.arrow"), &arrow);
    write(
        &place.path("t.csv"),
        b"key,code,address,value\n,xyz,-1,a\na,b,c,d,e,f\nb,0303030303030303,0x0003,c\n\
          c,0404040404040404,0x0004,d\n",
    );
    write(
        &place.path("t.jsonl"),
        b"no record\n{\"key\": 7}\n\
          {\"key\": \"b\", \"code\": \"0303030303030303\", \"address\": 3, \"value\": \"c\"}\n\
          {\"key\": \"c\", \"code\": \"0404040404040404\", \"address\": 4, \"value\": \"d\"}\n",
    );
    place.array_of_codes("t.npy/codes.npy", &[[1; 8], [2; 8], [3; 8], [4; 8]]);
    place.array_of_addresses("t.npy/addresses.npy", &[1 << 20, 1 << 20, 3, 4]);
    write(&place.path("t.npy/keys.txt"), &[b"\n", &[b'x'; 9000][..], b"\nb\nc\n"].concat());
    write(&place.path("t.npy/values.npy"), &crate::arrays::npy(1, "|u1", "(4, 1)", b"abcd"));
    let mut digests = Vec::new();
    for format in ["parquet", "arrow", "csv", "jsonl", "npy"] {
        let (db, file) = (format!("db.{format}"), format!("t.{format}"));
        let load = |from: &str| {
            let all = ["load", &db, &file, "--address-bits", "16", "--progress", "none"];
            place.run(&[&all[..], &["--from", from, "--json"]].concat())
        };
        for from in ["0", "1"] {
            let ran = load(from);
            assert_eq!(ran.code, Some(1), "{format} from {from}: {}", ran.stderr);
            assert_eq!(place.existing(&db), None);
        }
        let ran = load("2");
        assert_eq!(ran.code, Some(0), "{format}: {}", ran.stderr);
        assert!(ran.stdout.contains("\"loaded\":2"), "{format}: {}", ran.stdout);
        assert_eq!(place.ok(&["get", &db, "b", "--value"]), "c");
        assert_eq!(place.json(&["get", &db, "c"])[0]["address"], "0004");
        digests.push(place.digest(&db));
    }
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}
