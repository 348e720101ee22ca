//! Many queries over threads. Each query's answer depends on the view alone, so it is the same for
//! any number of threads.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::search;
use crate::db::answer::Answer;
use crate::db::engine::SearchTools;
use crate::db::explain::Trace;
use crate::db::query::Query;
use crate::db::view::View;
use crate::error::{Error, Result};

/// Queries that a thread takes at once: enough to share the reading of a scan.
const CHUNK: usize = 64;

/// More threads would only wait for each other.
const MAX_THREADS_A_CORE: usize = 8;

/// Answers all queries over `threads` threads, 0 for one a core.
pub(crate) fn search_batch(
    tools: &SearchTools,
    view: &Arc<View>,
    queries: &[Query],
    threads: usize,
) -> Result<Vec<Answer>> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = if threads == 0 { cores } else { threads.min(cores * MAX_THREADS_A_CORE) };
    // Few queries are shared evenly rather than left to the first thread.
    let chunk = queries.len().div_ceil(threads).clamp(1, CHUNK);
    let chunks: Vec<_> = queries.chunks(chunk).collect();
    let threads = threads.min(chunks.len());
    if threads <= 1 {
        let answers = chunks.iter().map(|chunk| search(tools, view, chunk, &mut Trace::off()));
        return answers.collect::<Result<Vec<_>>>().map(|answers| answers.concat());
    }
    let next = AtomicUsize::new(0);
    let answered = Mutex::new(Vec::with_capacity(chunks.len()));
    let work = || {
        while let Some(chunk) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let answers = search(tools, view, chunk, &mut Trace::off());
            let failed = answers.is_err();
            answered.lock().push((chunk.as_ptr() as usize, answers));
            if failed {
                // The others would work in vain.
                next.store(chunks.len(), Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Without another thread the work is done by those there are.
            let _fewer = std::thread::Builder::new()
                .name("hashdb-query".to_owned())
                .spawn_scoped(scope, work);
        }
        work();
    });
    let mut answered = answered.into_inner();
    answered.sort_unstable_by_key(|(place, _)| *place);
    let mut answers = Vec::with_capacity(queries.len());
    for (_, part) in answered {
        answers.extend(part?);
    }
    if answers.len() == queries.len() {
        Ok(answers)
    } else {
        Err(Error::invalid("batch", "was not answered in full"))
    }
}
