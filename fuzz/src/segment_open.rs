//! Any bytes as a segment: an error, or a segment that can be searched without a panic, a read out of
//! range or an endless loop. The last byte chooses whether checksums are made right first, which lets
//! mutations through to the checks behind them.

use hashdb::Level;
use hashdb::internals::db::{Probe, ProbedSegment};

use super::{memory, segment};

/// Opens the bytes, opens what they hold, and asks it everything.
pub fn run(data: &[u8]) {
    let Some((bytes, &[code, radius, reseal])) = data.split_last_chunk::<3>() else {
        return;
    };
    let mut bytes = bytes.to_vec();
    if reseal & 1 == 1 {
        segment::seal(&mut bytes);
    }
    let levels = Level::available();
    let probe = Probe {
        level: levels[usize::from(reseal >> 1) % levels.len()],
        address: u32::from(code) * 0x0101_0101,
        radius: u32::from(radius),
        code,
        k: 10,
    };
    let opened = memory::limited(bytes.len(), || {
        let segment = ProbedSegment::of_bytes(&bytes)?;
        segment.open_indexes()?;
        Ok::<_, hashdb::Error>(segment)
    });
    let asked = opened.and_then(|segment| {
        segment.ask(&probe)?;
        segment.verify()
    });
    if let Err(error) = asked {
        assert!(!error.to_string().is_empty());
    }
}
