//! Pictures in, and queries by picture.

use std::io::{BufRead as _, BufReader, Cursor, Read as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use image::{ImageFormat, Rgb, RgbImage};

use crate::{Place, keys, objects};

/// A PNG file of a gradient that differs with `number`.
fn picture(number: u8) -> Vec<u8> {
    let image = RgbImage::from_fn(48, 40, |x, y| {
        let [x, y] = [x, y].map(|at| u8::try_from(at).unwrap());
        let wave = if (x / (3 + number % 7)).is_multiple_of(2) { 200 } else { 20 };
        Rgb([x.wrapping_mul(number), wave, y.wrapping_mul(5).wrapping_add(number.wrapping_mul(11))])
    });
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A folder with `count` pictures `photos/N.png` and a database for them.
pub(crate) fn photos(count: u8) -> Place {
    let place = Place::empty();
    for number in 0..count {
        crate::write(&place.path(&format!("photos/{number}.png")), &picture(number));
    }
    place.ok(&["create", "db"]);
    place
}

/// The developers' pictures, where they are at hand.
#[expect(clippy::print_stderr, reason = "what is not tested is said loudly")]
fn shared_data(folder: &str) -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = std::env::var_os("HASHDB_TEST_DATA").map_or(default, PathBuf::from).join(folder);
    if !data.exists() {
        eprintln!("SKIPPED: {} is not there", data.display());
        return None;
    }
    Some(data)
}

#[test]
fn an_ingested_picture_is_its_own_nearest() {
    let place = photos(6);
    let report = &place.json(&["ingest", "db", "photos", "--progress", "none"])[0];
    assert_eq!((&report["done"], &report["rejected"]), (&6.into(), &0.into()));
    let answers = place.json(&["query", "db", "photos/3.png", "photos/5.png", "-k", "1"]);
    assert_eq!(keys(&answers[0]), ["photos/3.png"]);
    assert_eq!(keys(&answers[1]), ["photos/5.png"]);
    assert_eq!(answers[1]["results"][0]["distance"], 0);
    let ball = &place.json(&["query", "db", "photos/3.png", "--ball", "2", "-k", "1"])[0];
    assert_eq!((keys(ball), &ball["plan"]), (vec!["photos/3.png"], &"ball-then-code".into()));

    let encoded = &place.json(&["encode", "photos/3.png"])[0];
    let record = &place.json(&["get", "db", "photos/3.png"])[0];
    assert_eq!((&encoded["address"], &encoded["code"]), (&record["address"], &record["code"]));
    assert_eq!(encoded["path"], "photos/3.png");

    place.ok(&["put", "db", "by-hand", "--image", "photos/3.png", "--value", "x"]);
    assert_eq!(place.json(&["get", "db", "by-hand"])[0]["code"], record["code"]);
    assert!(place.ok(&["check", "db"]).starts_with("no damage"));
}

/// The file was begun anew before the paths were looked at.
#[test]
fn a_path_that_is_not_there_costs_no_rejects() {
    let place = Place::empty();
    crate::write(&place.path("r.jsonl"), b"of yesterday");
    crate::write(&place.path("p/1.png"), b"");
    place.ok(&["create", "db"]);
    let ingest = ["ingest", "db", "--rejects", "r.jsonl", "--progress", "none"];
    for path in ["absent", "p/*.jpg"] {
        place.fails(1, "cannot read ", &[&ingest[..], &["p", path]].concat());
        assert_eq!(crate::read(&place.path("r.jsonl")), b"of yesterday");
    }
    // What was done is told, whatever becomes of the file.
    let full = ["ingest", "db", "p", "--rejects", "/dev/full", "--progress", "none"];
    let ran = place.run(&full);
    assert!(ran.code == Some(1) && ran.stdout.contains("rejected 1"), "{}", ran.stdout);
    assert!(ran.stderr.contains("/dev/full"), "{}", ran.stderr);
    for threads in ["0", "1025", "many"] {
        let ran = place.run(&[&ingest[..], &["p", "--threads", threads]].concat());
        assert!(ran.code == Some(2) && ran.stderr.contains("from 1 to 1024"), "{}", ran.stderr);
    }
}

#[test]
fn rejects_are_counted_by_cause_and_written_to_a_file() {
    let place = photos(3);
    crate::write(&place.path("photos/text.jpg"), b"this is no picture");
    crate::write(&place.path("photos/empty.png"), b"");
    crate::write(&place.path("photos/notes.txt"), b"passed over");
    let arguments = ["ingest", "db", "photos", "--rejects", "rejects.jsonl", "--json"];
    let ran = place.run(&[&arguments[..], &["--progress", "none"]].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(4), ""));
    let report = &objects(&ran.stdout)[0];
    let causes = serde_json::json!({ "empty": 1, "unknown-format": 1 });
    assert_eq!((&report["rejected"], &report["rejected_by_cause"]), (&2.into(), &causes));
    assert_eq!((&report["done"], &report["skipped"]), (&3.into(), &1.into()));
    let rejects = objects(&String::from_utf8(crate::read(&place.path("rejects.jsonl"))).unwrap());
    assert_eq!(rejects[0]["path"], "photos/empty.png");
    assert_eq!(rejects[0]["cause"], "the file is empty");

    // They are passed over from now on, but named in the file, and tried again when asked for.
    let ran = place.run(&[&arguments[..], &["--progress", "none"]].concat());
    assert!(ran.stderr.contains("2 that earlier runs rejected"), "{}", ran.stderr);
    assert_eq!((ran.code, &objects(&ran.stdout)[0]["done_before"]), (Some(0), &5.into()));
    let again = objects(&String::from_utf8(crate::read(&place.path("rejects.jsonl"))).unwrap());
    assert_eq!(again, rejects);
    let retry = ["ingest", "db", "photos", "--progress", "none", "--retry-rejects"];
    let named = place.run(&retry);
    assert_eq!(named.code, Some(4));
    assert!(named.stderr.contains("rejected photos/text.jpg: "), "{}", named.stderr);
    assert!(named.stdout.contains("1 unknown-format"), "{}", named.stdout);
}

#[test]
fn what_is_no_picture_is_named() {
    let place = photos(1);
    crate::write(&place.path("text.jpg"), b"this is no picture");
    for command in [&["query", "db", "text.jpg"][..], &["encode", "text.jpg"]] {
        place.fails(1, "cannot use text.jpg: the content is no known image format", command);
    }
    place.fails(1, "cannot read absent.png: ", &["query", "db", "absent.png"]);
    place.fails(1, "cannot read absent: ", &["ingest", "db", "absent", "--progress", "none"]);
    place.fails(1, "text.jpg", &["put", "db", "k", "--image", "text.jpg"]);
    let some = place.run(&["encode", "text.jpg", "photos/0.png", "--json"]);
    assert_eq!((some.code, objects(&some.stdout).len()), (Some(4), 1));
    place.fails(1, "text.jpg: ", &["create", "other", "--encoder", "text.jpg"]);
    place.fails(1, "cannot use device cuda:7", &["encode", "photos/0.png", "--device", "cuda:7"]);
    assert_eq!(place.run(&["encode", "photos/0.png", "--device", "gpu"]).code, Some(2));
}

#[test]
fn a_database_without_encoder_takes_no_pictures() {
    let place = Place::with_records();
    crate::write(&place.path("photos/0.png"), &picture(0));
    for command in [&["ingest", "db", "photos"][..], &["query", "db", "photos/0.png"]] {
        place.fails(1, "db has no encoder", command);
    }
}

#[test]
fn progress_goes_to_standard_error_in_the_form_asked_for() {
    let place = photos(3);
    crate::write(&place.path("photos/text.jpg"), b"this is no picture");
    // What is no terminal is shown lines, whether they are asked for or not.
    for mode in [&[][..], &["--progress", "auto"], &["--progress", "plain"]] {
        let ran = place.run(&[&["ingest", "db", "photos", "--json", "--again"], mode].concat());
        let line = ran.stderr.lines().find(|line| line.starts_with("3 images, ")).unwrap();
        assert!(line.contains("/s, 1 rejected, 100 % read"), "{line}");
        assert_eq!(objects(&ran.stdout).len(), 1);
        assert_eq!(objects(&ran.stdout)[0]["done"], 3);
    }
    let rejects = ["--rejects", "r.jsonl"];
    let json = ["ingest", "db", "photos", "--progress", "json", "--again"];
    let json = place.run(&[&json[..], &rejects].concat());
    let last = objects(&json.stderr).pop().unwrap();
    assert_eq!((&last["done"], &last["rejected"]), (&3.into(), &1.into()));
    assert_eq!((&last["total_bytes"], &last["seconds_left"]), (&last["bytes"], &0.into()));
    for stage in ["found", "decoded", "encoded", "written"] {
        assert_eq!(last[stage], 4, "{stage}");
    }
    assert!(json.stdout.starts_with("ingested 3 images"));
    let none = ["ingest", "db", "photos", "--progress", "none", "--again"];
    assert_eq!(place.run(&[&none[..], &rejects].concat()).stderr, "");
}

#[test]
fn a_terminal_is_shown_a_bar_for_each_stage() {
    let place = photos(3);
    let wanted = "exec $HASHDB ingest db photos --progress auto > out.txt";
    // It runs a command on a terminal of its own, which holds standard error here and no more.
    let ran = place.shell(&format!("script -qec '{wanted}' /dev/null"));
    if ran.code == Some(127) {
        eprintln!("SKIPPED a_terminal_is_shown_a_bar...: there is no script here");
        return;
    }
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for stage in ["read   [====", "decode [====", "encode [====", "write  [====", "3 images, "] {
        assert!(ran.stdout.contains(stage), "{stage}: {}", ran.stdout);
    }
    let told = String::from_utf8(crate::read(&place.path("out.txt"))).unwrap();
    assert!(told.starts_with("ingested 3 images") && told.lines().count() == 1, "{told}");
}

#[test]
fn shards_are_ingested_and_their_pictures_found_again_for_a_sheet() {
    let place = photos(2);
    let mut names = vec!["photos.tar"];
    place.shell("tar -cf photos.tar photos && tar -czf packed.tar.gz photos");
    if !place.path("packed.tar.gz").exists() {
        eprintln!("SKIPPED shards_are_ingested...: there is no tar here");
        return;
    }
    names.push("packed.tar.gz");
    place.ok(&[&["ingest", "db", "--progress", "none"], &names[..]].concat());
    let nearest = &place.json(&["query", "db", "photos/1.png", "-k", "2"])[0];
    assert_eq!(keys(nearest), ["photos.tar/photos/1.png", "packed.tar.gz/photos/1.png"]);

    let codes = ["--code", &"00".repeat(32), "--address", "0000000"];
    place.ok(&[&["put", "db", "no-picture"], &codes[..]].concat());
    place.ok(&["query", "db", "photos/1.png", "--sheet", "sheet.png"]);
    let sheet = image::load_from_memory(&crate::read(&place.path("sheet.png"))).unwrap();
    let (sheet, query) = (sheet.to_rgb8(), image::load_from_memory(&picture(1)).unwrap());
    let colors = |image: &RgbImage| {
        image.pixels().filter(|pixel| pixel.0[1] > 150 && pixel.0[0] < 100).count()
    };
    // The query and its two copies are drawn, each larger than the picture itself.
    assert!(colors(&sheet) >= 3 * colors(&query.to_rgb8()), "{}", colors(&sheet));
    let grey = sheet.pixels().filter(|pixel| pixel.0 == [224, 224, 224]).count();
    assert!(grey > 5000, "the record without a picture is a grey tile: {grey}");
}

/// A shard of so many entries, which are the pictures of `photos` again and again.
fn repeat(place: &Place, count: usize) {
    let names = ["0.png", "1.png", "2.png", "3.png", "4.png"];
    let pictures = names.map(|name| crate::read(&place.path(&format!("photos/{name}"))));
    let mut shard = tar::Builder::new(Vec::new());
    for (name, bytes) in names.iter().zip(&pictures).cycle().take(count) {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        shard.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    crate::write(&place.path("s.tar"), &shard.into_inner().unwrap());
}

/// Starts an ingest that would take long, sends it a signal once it is under way, and returns its
/// exit code and what it wrote to standard error.
fn ingest_until(place: &Place, signal: &str) -> (Option<i32>, String) {
    let mut command = place.command();
    repeat(place, 30_000);
    command.args(["ingest", "db", "s.tar", "--again", "--progress", "json"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    // A slow machine may tell its progress before anything is written.
    loop {
        let mut line = String::new();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it has ended: {text}");
        text += &line;
        if objects(&line)[0]["written"] != 0 {
            break;
        }
    }
    assert_eq!(place.shell(&format!("kill -{signal} {}", child.id())).code, Some(0));
    stderr.read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code(), text)
}

#[test]
fn an_interrupted_ingest_keeps_what_it_did() {
    let place = photos(5);
    let (code, stderr) = ingest_until(&place, "INT");
    assert_eq!(code, Some(130), "{stderr}");
    assert!(stderr.contains("stopping: what is decoded is still written"), "{stderr}");
    let way_on = "interrupted; what was done is stored, and the same command does the rest";
    assert!(stderr.contains(way_on), "{stderr}");
    let report = &place.json(&["check", "db"])[0];
    assert_eq!((&report["clean"], &report["records"]), (&true.into(), &5.into()));
}

#[test]
fn a_killed_ingest_leaves_a_sound_database() {
    let place = photos(5);
    let (code, stderr) = ingest_until(&place, "KILL");
    assert_eq!(code, None, "{stderr}");
    let report = &place.json(&["check", "db"])[0];
    assert_eq!((&report["clean"], &report["records"]), (&true.into(), &5.into()));
    assert_eq!(keys(&place.json(&["query", "db", "photos/2.png"])[0])[0], "s.tar/2.png");
}

#[test]
fn an_ingest_killed_at_any_moment_ends_like_one_that_was_not() {
    let place = photos(60);
    place.shell("tar -cf shard.tar photos");
    let shards = place.path("shard.tar").exists();
    let paths: &[&str] = if shards { &["photos", "shard.tar"] } else { &["photos"] };
    place.ok(&[&["ingest", "db", "--progress", "none"], paths].concat());
    let digest = |db| place.json(&["stats", db, "--digest"])[0]["digest"].clone();
    place.ok(&["create", "killed"]);
    for wait in 0..12 {
        let mut command = place.command();
        command.args(["ingest", "killed", "--progress", "none", "--threads", "1"]).args(paths);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(40 * wait));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let report = &place.json(&[&["ingest", "killed", "--progress", "none"], paths].concat())[0];
    assert_eq!(report["rejected"], 0);
    assert_eq!(digest("killed"), digest("db"));
    assert!(place.ok(&["check", "killed"]).starts_with("no damage"));
    let again = &place.json(&[&["ingest", "killed", "--progress", "none"], paths].concat())[0];
    assert_eq!(
        (&again["done"], &again["done_before"]),
        (&0.into(), &(60 + paths.len() - 1).into())
    );
}

#[test]
fn files_that_go_and_change_are_followed_when_asked_for() {
    let place = photos(4);
    let ingest = ["ingest", "db", "photos", "--progress", "none"];
    place.ok(&ingest);
    place.shell("rm photos/1.png");
    crate::write(&place.path("photos/2.png"), &picture(77));
    let report = &place.json(&ingest)[0];
    assert_eq!((&report["done"], &report["done_before"]), (&0.into(), &3.into()));
    let report = &place.json(&[&ingest[..], &["--update", "--delete-missing"]].concat())[0];
    assert_eq!((&report["done"], &report["deleted"]), (&1.into(), &1.into()));
    assert_eq!(place.json(&["stats", "db"])[0]["records"], 3);
}

#[test]
fn broken_pictures_never_stop_an_ingest() {
    let Some(data) = shared_data("broken") else { return };
    let place = photos(0);
    let data = data.join("files");
    let arguments = ["ingest", "db", data.to_str().unwrap(), "--rejects", "r", "--json"];
    let ran = place.run(&[&arguments[..], &["--progress", "none"]].concat());
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    let report = &objects(&ran.stdout)[0];
    let rejects = objects(&String::from_utf8(crate::read(&place.path("r"))).unwrap());
    assert_eq!(report["rejected"], rejects.len());
    assert_eq!(place.json(&["stats", "db"])[0]["records"], report["done"]);
}
