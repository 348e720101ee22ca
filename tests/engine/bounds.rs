//! What may cross threads: every public type, asserted when this is compiled.

use hashdb::{
    Address, Answer, Backup, BackupCreated, BackupProgress, BackupReport, CheckpointInfo, Code,
    Damage, Database, EncoderModel, Error, ExplainedSource, Explanation, Filter, Generation,
    IndexOptions, Iter, Level, Neighbor, Options, PatchAnswer, PatchExplanation, PatchQuery, Plan,
    Query, QueryStats, Record, SegmentStats, Snapshot, Stats, VerifyReport, WriteBatch,
    WriteOptions, Written,
};

const fn crosses_threads<T: Send + Sync + 'static>() {}

const _: () = {
    crosses_threads::<Database>();
    crosses_threads::<Snapshot>();
    crosses_threads::<Iter>();
    crosses_threads::<WriteBatch>();
    crosses_threads::<WriteOptions>();
    crosses_threads::<Written>();
    crosses_threads::<Options>();
    crosses_threads::<IndexOptions>();
    crosses_threads::<EncoderModel>();
    crosses_threads::<Query>();
    crosses_threads::<Filter>();
    crosses_threads::<Answer>();
    crosses_threads::<Plan>();
    crosses_threads::<QueryStats>();
    crosses_threads::<Explanation>();
    crosses_threads::<ExplainedSource>();
    crosses_threads::<PatchQuery>();
    crosses_threads::<PatchAnswer>();
    crosses_threads::<PatchExplanation>();
    crosses_threads::<Neighbor>();
    crosses_threads::<Record>();
    crosses_threads::<Address>();
    crosses_threads::<Code>();
    crosses_threads::<Stats>();
    crosses_threads::<SegmentStats>();
    crosses_threads::<Level>();
    crosses_threads::<VerifyReport>();
    crosses_threads::<Damage>();
    crosses_threads::<CheckpointInfo>();
    crosses_threads::<Backup>();
    crosses_threads::<BackupCreated>();
    crosses_threads::<BackupProgress>();
    crosses_threads::<BackupReport>();
    crosses_threads::<Generation>();
    crosses_threads::<Error>();
};
