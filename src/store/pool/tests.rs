use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::claim::Claim;
use super::segment::{Origin, RawKey};
use super::*;
use crate::crypto::backend::Backend;
use crate::crypto::rsa::{RsaPrivate, Sampling};
use crate::keys::{KeyAlgorithm, KeyAttributes, KeyIndex, SoftwareRing};
use crate::prepare::RsaKeySupply;
use crate::secret::Secret;
use crate::store::{Disk, DiskFile, OsDisk};

fn ring(indexes: &[u8]) -> SoftwareRing {
    let mut ring = SoftwareRing::new(Backend::Portable);
    for index in indexes {
        let name = KeyRef::new(KeyUse::Pool, KeyIndex(*index));
        let key = Secret::new((*index..index + 32).collect());
        ring.add_clear(name, KeyAlgorithm::Aes256, key, KeyAttributes::default()).unwrap();
    }
    ring
}

fn spec() -> KeySpec {
    KeySpec::new(512, Exponent::THREE).unwrap()
}

fn pool<'a>(root: &Path, ring: &'a SoftwareRing) -> Pool<'a> {
    Pool::new(root, Store::default(), ring).unwrap()
}

fn fill(pool: &Pool<'_>, count: u64) {
    let stop = AtomicBool::new(false);
    let fill = Fill {
        spec: spec(),
        count,
        threads: 1,
        backend: Backend::detect(),
        stop: &stop,
        progress: &NoFillProgress,
    };
    assert_eq!(pool.fill(&fill).unwrap(), count);
}

fn take(supply: &PoolSupply<'_>) -> Option<RsaPrivate> {
    supply.take(1, Purpose::IccKey, spec())
}

fn moduli(supply: &PoolSupply<'_>, most: usize) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| take(supply)).take(most).map(|k| k.public().modulus().to_vec()).collect()
}

fn counts(pool: &Pool<'_>) -> (u64, u64) {
    let status = pool.status().unwrap();
    assert!(status.damaged.is_empty(), "{:?}", status.damaged);
    let [shelf] = status.shelves.as_slice() else { panic!("{:?}", status.shelves) };
    assert_eq!(shelf.spec, spec());
    (shelf.available, shelf.burnt)
}

/// Paths of the segments that are ready.
fn segments(pool: &Pool<'_>) -> Vec<PathBuf> {
    pool.ready_ids(spec()).unwrap().iter().map(|id| pool.ready(spec()).join(id)).collect()
}

#[test]
fn every_key_is_taken_once_and_fits() {
    let (folder, ring) = (tempfile::tempdir().unwrap(), ring(&[1]));
    let root = folder.path().join("pool");
    assert!(pool(&root, &ring).status().unwrap().shelves.is_empty());
    fill(&pool(&root, &ring), 7);
    assert_eq!(counts(&pool(&root, &ring)), (7, 0));
    let supply = PoolSupply::open(pool(&root, &ring)).unwrap();
    assert!(supply.take(1, Purpose::Pin, spec()).is_none());
    assert!(supply.take(1, Purpose::IccKey, spec().with_sampling(Sampling::FreshCandidates)).is_none());
    assert!(supply.take(1, Purpose::IccKey, KeySpec::new(528, Exponent::THREE).unwrap()).is_none());
    let key = take(&supply).unwrap();
    assert_eq!((key.public().bits(), key.exponent()), (512, Exponent::THREE));
    key.check().unwrap();
    let mut taken: BTreeSet<_> = moduli(&supply, 9).into_iter().collect();
    assert!(taken.insert(key.public().modulus().to_vec()));
    assert_eq!(taken.len(), 7);
    assert!(supply.close().is_empty());
    assert_eq!(counts(&pool(&root, &ring)), (0, 7));
    assert!(
        !std::fs::read_dir(&root).unwrap().any(|e| e.unwrap().file_name().to_str().unwrap().contains("work"))
    );
}

#[test]
fn what_nobody_took_comes_back_and_what_was_taken_does_not() {
    let (folder, ring) = (tempfile::tempdir().unwrap(), ring(&[1]));
    fill(&pool(folder.path(), &ring), 6);
    let mut taken = BTreeSet::new();
    for (n, left) in [(2, 4), (1, 3)] {
        let supply = PoolSupply::open(pool(folder.path(), &ring)).unwrap();
        let before = taken.len();
        taken.extend(moduli(&supply, n));
        assert_eq!((taken.len(), counts(&pool(folder.path(), &ring))), (before + n, (0, 6)));
        // Closed in order, or dropped.
        if n == 1 {
            drop(supply)
        } else {
            assert!(supply.close().is_empty())
        }
        assert_eq!(counts(&pool(folder.path(), &ring)), (left, 6 - left));
    }
    // Killed: nothing comes back.
    let supply = PoolSupply::open(pool(folder.path(), &ring)).unwrap();
    taken.extend(moduli(&supply, 1));
    std::mem::forget(supply);
    assert_eq!((taken.len(), counts(&pool(folder.path(), &ring))), (4, (0, 6)));
    // Filling again adds.
    fill(&pool(folder.path(), &ring), 2);
    assert_eq!(counts(&pool(folder.path(), &ring)), (2, 6));
}

#[test]
fn threads_and_processes_share_without_meeting() {
    let (folder, ring) = (tempfile::tempdir().unwrap(), ring(&[1]));
    for _ in 0..5 {
        fill(&pool(folder.path(), &ring), 3);
    }
    let supplies: Vec<_> = (0..3).map(|_| PoolSupply::open(pool(folder.path(), &ring)).unwrap()).collect();
    let taken: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            supplies.iter().cycle().take(6).map(|s| scope.spawn(|| moduli(s, 20))).collect();
        workers.into_iter().flat_map(|w| w.join().unwrap()).collect()
    });
    assert_eq!((taken.len(), taken.iter().collect::<BTreeSet<_>>().len()), (15, 15));
}

#[test]
fn a_segment_tells_no_prime_and_opens_under_its_key_only() {
    let (folder, one) = (tempfile::tempdir().unwrap(), ring(&[1]));
    fill(&pool(folder.path(), &one), 2);
    let [path] = segments(&pool(folder.path(), &one)).try_into().unwrap();
    let before = std::fs::read(&path).unwrap();
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777,
        0o600
    );
    // A newer key seals what is new; the older one opens what is there.
    let both = ring(&[1, 9]);
    fill(&pool(folder.path(), &both), 2);
    assert_eq!(counts(&pool(folder.path(), &both)), (4, 0));
    let nine = ring(&[9]);
    let status = pool(folder.path(), &nine).status().unwrap();
    assert_eq!((status.shelves[0].available, status.damaged.len()), (2, 1));
    assert!(status.damaged[0].to_string().contains("no such key"), "{}", status.damaged[0]);

    let supply = PoolSupply::open(pool(folder.path(), &both)).unwrap();
    let keys: Vec<_> = std::iter::from_fn(|| take(&supply)).collect();
    assert_eq!(keys.len(), 4);
    let has = |hay: &[u8], needle: &[u8]| hay.windows(needle.len()).any(|w| w == needle);
    for key in &keys {
        assert!(!has(&before, key.p().expose()) && !has(&before, key.q().expose()));
    }
    // What is left of a burnt segment has no key block.
    let id = path.file_name().unwrap();
    let left = std::fs::read_to_string(pool(folder.path(), &one).burnt(spec()).join(id)).unwrap();
    assert!(!left.contains("block") && left.ends_with("}\n"), "{left}");
    assert!(matches!(Pool::new(folder.path(), Store::default(), &ring(&[])), Err(PoolError::NoKey)));
}

#[test]
fn a_damaged_segment_is_named_and_the_others_go_on() {
    let (folder, ring) = (tempfile::tempdir().unwrap(), ring(&[1]));
    let pool = || pool(folder.path(), &ring);
    fill(&pool(), 2);
    let [path] = segments(&pool()).try_into().unwrap();
    let good = std::fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let work = pool().work().unwrap();
        let id = path.file_name().unwrap().to_str().unwrap();
        match pool().claim(&work, spec(), id) {
            Err(PoolError::Segment { path: named, .. }) => assert_eq!(named, path),
            other => panic!("byte {at}: {}", other.is_ok()),
        }
    }
    for cut in [0, 1, good.len() / 2, good.len() - 1] {
        std::fs::write(&path, &good[..cut]).unwrap();
        assert_eq!(pool().status().unwrap().damaged.len(), 1);
    }
    fill(&pool(), 3);
    let status = pool().status().unwrap();
    assert_eq!((status.shelves[0].available, status.shelves[0].burnt), (3, 0));
    let supply = PoolSupply::open(pool()).unwrap();
    assert_eq!(moduli(&supply, 9).len(), 3);
    let [note] = <[PoolError; 1]>::try_from(supply.close()).unwrap();
    assert!(note.to_string().starts_with(&format!("pool segment {}: ", path.display())), "{note}");
    assert!(path.exists());
}

#[test]
fn a_segment_that_comes_back_is_not_used_again() {
    let (folder, ring) = (tempfile::tempdir().unwrap(), ring(&[1]));
    let pool = || pool(folder.path(), &ring);
    fill(&pool(), 3);
    let [path] = segments(&pool()).try_into().unwrap();
    let copy = std::fs::read(&path).unwrap();
    let supply = PoolSupply::open(pool()).unwrap();
    assert_eq!(moduli(&supply, 1).len(), 1);
    std::mem::forget(supply);
    std::fs::write(&path, &copy).unwrap();
    assert_eq!(counts(&pool()), (0, 3));
    let supply = PoolSupply::open(pool()).unwrap();
    assert!(take(&supply).is_none());
    assert!(supply.close().is_empty());
    assert!(!path.exists());
    // Under another name it is not the segment that its name says.
    let other = path.with_file_name("0".repeat(32));
    std::fs::write(&other, &copy).unwrap();
    let supply = PoolSupply::open(pool()).unwrap();
    assert!(take(&supply).is_none());
    assert_eq!(supply.close().len(), 1);
}

#[test]
fn key_material_of_a_dead_holder_is_wiped() {
    let (folder, ring) = (tempfile::tempdir().unwrap(), ring(&[1]));
    let pool = || pool(folder.path(), &ring);
    fill(&pool(), 2);
    let [path] = segments(&pool()).try_into().unwrap();
    let burnt = pool().burnt(spec()).join(path.file_name().unwrap());
    // As after a kill between the link and the removal.
    std::fs::hard_link(&path, &burnt).unwrap();
    let dead = folder.path().join(".work-DEAD");
    std::fs::create_dir(&dead).unwrap();
    assert_eq!(counts(&pool()), (0, 2));
    drop(PoolSupply::open(pool()).unwrap());
    assert!(!path.exists() && !dead.exists());
    assert!(!std::fs::read_to_string(&burnt).unwrap().contains("seal"));
    assert_eq!(counts(&pool()), (0, 2));
}

#[test]
fn asking_to_stop_seals_what_is_made() {
    let (folder, ring) = (tempfile::tempdir().unwrap(), ring(&[1]));
    let stop = AtomicBool::new(true);
    let fill = Fill {
        spec: spec(),
        count: 5,
        threads: 1,
        backend: Backend::Portable,
        stop: &stop,
        progress: &NoFillProgress,
    };
    assert!(matches!(pool(folder.path(), &ring).fill(&fill), Err(PoolError::Interrupted { made: 0 })));
    assert!(pool(folder.path(), &ring).status().unwrap().shelves.is_empty());
}

#[test]
fn debug_tells_no_key() {
    let (folder, ring) = (tempfile::tempdir().unwrap(), ring(&[1]));
    fill(&pool(folder.path(), &ring), 1);
    let work = pool(folder.path(), &ring).work().unwrap();
    let [path] = segments(&pool(folder.path(), &ring)).try_into().unwrap();
    let id = path.file_name().unwrap().to_str().unwrap();
    let Ok(Claim::Ours(opened)) = pool(folder.path(), &ring).claim(&work, spec(), id) else { panic!() };
    assert_eq!(format!("{:?}", opened.keys), "[RawKey(Secret(64 bytes))]");
    let supply = PoolSupply::open(pool(folder.path(), &ring)).unwrap();
    assert!(
        format!("{supply:?}")
            .ends_with("key: KeyRef { usage: Pool, index: KeyIndex(1), only: None }, .. }, .. }")
    );
}

/// A disk that dies: from the n-th operation that changes something, all of them fail, as for a process that is killed.
#[derive(Debug)]
struct Dying {
    left: Arc<AtomicUsize>,
}

impl Dying {
    fn live(&self) -> io::Result<()> {
        let used = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        used.map(|_| ()).map_err(|_| io::Error::other("dead"))
    }
}

#[derive(Debug)]
struct DyingFile(Box<dyn DiskFile>, Arc<AtomicUsize>);

impl DiskFile for DyingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        Dying { left: Arc::clone(&self.1) }.live()?;
        self.0.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Dying { left: Arc::clone(&self.1) }.live()?;
        self.0.sync()
    }
}

impl Disk for Dying {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.live()?;
        Ok(Box::new(DyingFile(OsDisk.create_new(path)?, Arc::clone(&self.left))))
    }
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.live()?;
        Ok(Box::new(DyingFile(OsDisk.append(path)?, Arc::clone(&self.left))))
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.live().and_then(|()| OsDisk.link(from, to))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.live().and_then(|()| OsDisk.rename(from, to))
    }
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.live().and_then(|()| OsDisk.create_folder(path))
    }
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.live().and_then(|()| OsDisk.sync_folder(path))
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.live().and_then(|()| OsDisk.remove_file(path))
    }
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.live().and_then(|()| OsDisk.remove_folder(path))
    }
}

/// A holder dies at each of its operations: what it handed out and what the next ones get never meet.
#[test]
fn no_key_is_used_twice_wherever_the_holder_dies() {
    let (folder, ring) = (tempfile::tempdir().unwrap(), ring(&[1]));
    let filled = folder.path().join("filled");
    for _ in 0..2 {
        fill(&pool(&filled, &ring), 3);
    }
    let (mut died, mut whole) = (0, false);
    for n in 0..200 {
        let root = folder.path().join(n.to_string());
        copy(&filled, &root);
        let left = Arc::new(AtomicUsize::new(n));
        let dying = Pool::new(&root, Store::new(Arc::new(Dying { left: Arc::clone(&left) })), &ring).unwrap();
        let mut taken = Vec::new();
        let mut failed = true;
        if let Ok(supply) = PoolSupply::open(dying) {
            taken = moduli(&supply, 4);
            failed = !supply.close().is_empty();
        }
        died += u32::from(failed && left.load(Ordering::SeqCst) == 0);
        whole = left.load(Ordering::SeqCst) > 0;
        let (available, burnt) = counts(&pool(&root, &ring));
        assert_eq!(available + burnt, 6, "operation {n}");
        let supply = PoolSupply::open(pool(&root, &ring)).unwrap();
        let rest = moduli(&supply, 9);
        assert_eq!(rest.len() as u64, available, "operation {n}");
        let all: BTreeSet<_> = taken.iter().chain(&rest).collect();
        assert_eq!(all.len(), taken.len() + rest.len(), "operation {n}");
        if whole {
            assert_eq!(all.len(), 6);
            break;
        }
    }
    assert!(whole && died > 20, "{died}");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

/// A segment that is sealed well and holds a key of another size or exponent, or no key: it is passed over, one by one.
#[test]
fn a_key_that_is_none_is_named_and_the_next_one_taken() {
    let (folder, ring) = (tempfile::tempdir().unwrap(), ring(&[1]));
    let pool = pool(folder.path(), &ring);
    let stream = Seed::fixed([5; 32]).named_stream(b"pool tests", Purpose::PoolKey);
    let good = crate::crypto::rsa::generate(spec(), &stream).unwrap();
    let (p, q) = (good.p().expose().to_vec(), good.q().expose().to_vec());
    let raw = |p: &[u8], q: &[u8]| RawKey::from_bytes([p, q].concat());
    // p - 1 a multiple of 3: such a prime is none for this exponent.
    let other = KeySpec::new(512, Exponent::F4).unwrap();
    let unfit = (0..).map(|i| crate::crypto::rsa::generate(other, &stream.sub(&[i])).unwrap());
    let third = |n: &[u8]| n.iter().fold(0_u32, |r, b| (r * 256 + u32::from(*b)) % 3);
    let unfit = unfit.map(|k| k.p().expose().to_vec()).find(|p| third(p) == 1).unwrap();
    let mut short = p.clone();
    short[0] = 0;
    let keys = [raw(&p, &q), raw(&q, &p), raw(&p, &p), raw(&unfit, &q), raw(&short, &q), raw(&[0; 32], &q)];
    let work = pool.work().unwrap();
    pool.publish(&work, spec(), Origin::Made, &keys).unwrap();
    drop(work);
    let supply = PoolSupply::open(pool).unwrap();
    assert_eq!(take(&supply).unwrap().public(), good.public());
    assert!(take(&supply).is_none());
    let notes = supply.close();
    assert_eq!(notes.len(), 5, "{notes:?}");
    assert!(
        notes.iter().all(|n| matches!(n, PoolError::Segment { path, .. } if path.starts_with(folder.path())))
    );
}
