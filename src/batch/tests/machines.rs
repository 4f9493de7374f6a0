use super::*;

/// What a later issue does with shards: machines that commit blocks of one stream apart, merged into one folder. The
/// records name absolute blocks and the running digest of the whole stream, so the folder takes them whoever made them;
/// of two records of one block the first stays, and the manifest is the one that a single machine writes.
#[test]
fn blocks_that_two_machines_committed_become_one_batch() {
    let part = |folder: &Path, chunks: u64| {
        let stop = Arc::new(AtomicBool::new(false));
        let (raised, left) = (Arc::clone(&stop), AtomicU64::new(chunks));
        let mut fake = Fake::new();
        fake.on_chunk = Box::new(move || {
            if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                raised.store(true, Ordering::SeqCst);
            }
        });
        let run = Run { threads: 1, block: 1, stop: &stop, fake, ..Run::new(folder) }.go();
        assert!(matches!(run, Err(BatchError::Interrupted)), "{run:?}");
    };
    let records = |folder: &Path| {
        let names = std::fs::read_dir(folder.join(".job/records")).unwrap();
        let mut names: Vec<_> = names.map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let alone = fresh();
    Run { block: 1, ..Run::new(alone.path()) }.go().unwrap();
    let (first, second) = (fresh(), fresh());
    part(first.path(), 2);
    part(second.path(), 9);
    let (mine, theirs) = (records(first.path()), records(second.path()));
    assert!(!mine.is_empty() && mine.len() < theirs.len() && theirs.len() < ORDERS as usize);
    // The other machine's blocks: files first, the record last, and never over one that is there.
    let mut taken = 0;
    for name in &theirs {
        let at = |folder: &Path| folder.join(".job/records").join(name);
        let record = BlockRecord::read(&std::fs::read(at(second.path())).unwrap()).unwrap();
        let attempt = Path::new(".job/attempts").join(&record.attempt);
        if mine.contains(name) {
            assert_eq!(
                std::fs::hard_link(at(second.path()), at(first.path())).unwrap_err().kind(),
                io::ErrorKind::AlreadyExists
            );
            continue;
        }
        std::fs::create_dir_all(first.path().join(&attempt)).unwrap();
        for file in std::fs::read_dir(second.path().join(&attempt)).unwrap() {
            let name = file.unwrap().file_name();
            let (from, to) =
                (second.path().join(&attempt).join(&name), first.path().join(&attempt).join(&name));
            std::fs::copy(from, to).unwrap();
        }
        // What is published already goes back under its attempt's name.
        for (i, file) in record.files.iter().enumerate() {
            let published = second.path().join(&file.path);
            if published.exists() {
                std::fs::copy(published, first.path().join(&attempt).join(i.to_string())).unwrap();
            }
        }
        std::fs::hard_link(at(second.path()), at(first.path())).unwrap();
        taken += 1;
    }
    assert!(taken > 0);
    let made = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&made);
    let mut fake = Fake::new();
    fake.on_chunk = Box::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    Run { block: 1, fake, ..Run::new(first.path()) }.go().unwrap();
    assert!(
        made.load(Ordering::SeqCst) <= ORDERS - theirs.len() as u64,
        "a block that was taken over was made again"
    );
    assert_eq!(tree(first.path()), tree(alone.path()));
}
