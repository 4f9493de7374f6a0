use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::bytes::hex_upper;
use crate::crypto::hash::Sha256Stream;
use crate::crypto::rng::{Purpose, Seed, StreamRng};
use crate::order::{Frame, RawOrder};

use super::{BatchError, BlockNumber};

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// Where orders come from: any reader; gzip and zstd are recognised by their first bytes.
pub type InputSource = Box<dyn Read + Send>;

/// The orders of an input, cut into blocks, with the digests that bind a batch to it.
pub struct Input {
    reader: Box<dyn Read + Send>,
    compressed: bool,
    raw: Arc<Mutex<Raw>>,
    text: Sha256Stream,
    text_bytes: u64,
    frame: Frame,
    ready: Vec<(RawOrder, [u8; 32])>,
    buffer: Zeroizing<Vec<u8>>,
    /// Part of `buffer` that has not gone to the frame yet.
    pending: std::ops::Range<usize>,
    ended: bool,
    next: u64,
    size: usize,
}

/// One block of orders.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) number: BlockNumber,
    pub(super) orders: Vec<RawOrder>,
    /// Digest of the uncompressed input up to the end of the line that completes the block.
    pub(super) input: String,
    /// Bytes of the input up to about there, as they came.
    pub(super) read: u64,
}

/// What was read of the input as it came.
#[derive(Default)]
struct Raw {
    digest: Sha256Stream,
    bytes: u64,
}

struct Digesting<R> {
    inner: R,
    raw: Arc<Mutex<Raw>>,
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        let mut raw = self.raw.lock().unwrap_or_else(PoisonError::into_inner);
        raw.digest.update(buffer.get(..n).unwrap_or_default());
        raw.bytes = raw.bytes.saturating_add(n as u64);
        Ok(n)
    }
}

impl Input {
    /// Orders of `source` in blocks of `size` positions.
    ///
    /// # Errors
    /// [`BatchError::Input`] if the first bytes cannot be read.
    pub fn new(source: InputSource, size: usize) -> Result<Self, BatchError> {
        let raw = Arc::new(Mutex::new(Raw::default()));
        let mut source = Digesting { inner: source, raw: Arc::clone(&raw) };
        let mut magic = Vec::with_capacity(4);
        source.by_ref().take(4).read_to_end(&mut magic).map_err(BatchError::Input)?;
        let zstd = magic == [0x28, 0xB5, 0x2F, 0xFD];
        let gzip = magic.starts_with(&[0x1F, 0x8B]);
        let source = Cursor::new(magic).chain(source);
        // Clear text goes from the file into our own buffer, which is wiped.
        let buffered = |source| BufReader::with_capacity(CHUNK, source);
        let reader: Box<dyn Read + Send> = if gzip {
            Box::new(flate2::bufread::MultiGzDecoder::new(buffered(source)))
        } else if zstd {
            Box::new(Zstd::new(buffered(source)))
        } else {
            Box::new(source)
        };
        Ok(Self {
            reader,
            compressed: gzip || zstd,
            raw,
            text: Sha256Stream::default(),
            text_bytes: 0,
            frame: Frame::new(),
            ready: Vec::new(),
            buffer: Zeroizing::new(vec![0; CHUNK]),
            pending: 0..0,
            ended: false,
            next: 0,
            size: size.max(1),
        })
    }

    /// The next block, or `None` after the last. `stop` is looked at between reads, so that an input without an end, or
    /// without the end of a line, does not hold a batch that is to stop.
    pub(super) fn next_block(&mut self, stop: &AtomicBool) -> Result<Option<Block>, BatchError> {
        while self.ready.len() < self.size && !self.ended {
            if stop.load(Ordering::Relaxed) {
                return Err(BatchError::Interrupted);
            }
            self.feed()?;
        }
        if self.ready.is_empty() {
            return Ok(None);
        }
        let rest = self.ready.split_off(self.size.min(self.ready.len()));
        let block = std::mem::replace(&mut self.ready, rest);
        let input = block.last().map(|(_, digest)| hex_upper(digest)).unwrap_or_default();
        let number = BlockNumber(self.next);
        self.next = self.next.saturating_add(1);
        let read = self.read();
        Ok(Some(Block { number, orders: block.into_iter().map(|(order, _)| order).collect(), input, read }))
    }

    /// Gives the frame bytes up to the end of one line, so that the digest of a block does not depend on how the
    /// bytes arrived.
    fn feed(&mut self) -> Result<(), BatchError> {
        let mut out = Vec::new();
        if self.pending.is_empty() {
            let n = match self.reader.read(&mut self.buffer) {
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
                Err(e) if self.compressed && is_damage(&e) => return Err(BatchError::DamagedInput(e)),
                Err(e) => return Err(BatchError::Input(e)),
            };
            self.pending = 0..n;
            if n == 0 {
                self.ended = true;
                self.frame.finish(&mut out);
                self.take(out);
                return Ok(());
            }
        }
        let bytes = self.buffer.get(self.pending.clone()).unwrap_or_default();
        let end = bytes.iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| at.saturating_add(1));
        let line = bytes.get(..end).unwrap_or_default();
        self.text.update(line);
        self.text_bytes = self.text_bytes.saturating_add(line.len() as u64);
        self.frame.feed(line, &mut out);
        self.pending.start = self.pending.start.saturating_add(end);
        self.take(out);
        Ok(())
    }

    fn take(&mut self, out: Vec<RawOrder>) {
        if !out.is_empty() {
            let digest = self.text.digest();
            self.ready.extend(out.into_iter().map(|order| (order, digest)));
        }
    }

    /// Bytes of the input that the orders so far came from; of a compressed one, bytes that were read.
    fn read(&self) -> u64 {
        if !self.compressed {
            return self.text_bytes;
        }
        self.raw.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// SHA-256 of the input as it came, once its end has been reached.
    pub(super) fn whole(&self) -> Option<[u8; 32]> {
        self.ended.then(|| self.raw.lock().unwrap_or_else(PoisonError::into_inner).digest.digest())
    }

    /// How many orders have been seen.
    #[must_use]
    pub const fn orders(&self) -> u64 {
        self.frame.count()
    }

    /// SHA-256 of the whole input as it came. What a decompressor left unread is read here.
    ///
    /// # Errors
    /// [`BatchError::Input`].
    pub fn finish(mut self) -> Result<[u8; 32], BatchError> {
        io::copy(&mut self.reader, &mut io::sink()).map_err(BatchError::Input)?;
        let raw = self.raw.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(raw.digest.digest())
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Input({} orders)", self.orders())
    }
}

fn is_damage(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::Other
    )
}

type ZstdSource<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

/// One zstd frame after the other; skippable frames are refused.
struct Zstd<R: Read> {
    state: Option<ZstdState<R>>,
}

enum ZstdState<R: Read> {
    Between(ZstdSource<R>),
    Inside(Box<ruzstd::decoding::StreamingDecoder<ZstdSource<R>, ruzstd::decoding::FrameDecoder>>),
}

impl<R: Read> Zstd<R> {
    const fn new(source: ZstdSource<R>) -> Self {
        Self { state: Some(ZstdState::Between(source)) }
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.state.take() {
                None => return Ok(0),
                Some(ZstdState::Between(mut source)) => {
                    if io::BufRead::fill_buf(&mut source)?.is_empty() {
                        return Ok(0);
                    }
                    let decoder = ruzstd::decoding::StreamingDecoder::new(source)
                        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
                    self.state = Some(ZstdState::Inside(Box::new(decoder)));
                }
                Some(ZstdState::Inside(mut decoder)) => {
                    let n = decoder.read(buffer)?;
                    if n > 0 {
                        self.state = Some(ZstdState::Inside(decoder));
                        return Ok(n);
                    }
                    self.state = Some(ZstdState::Between(decoder.into_inner()));
                }
            }
        }
    }
}

/// SHA-256 of a file.
///
/// # Errors
/// [`BatchError::Input`].
pub fn file_digest(path: &Path) -> Result<[u8; 32], BatchError> {
    let mut file = File::open(path).map_err(BatchError::Input)?;
    let mut digest = Sha256Stream::default();
    let mut buffer = Zeroizing::new(vec![0; CHUNK]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(digest.digest()),
            Ok(n) => digest.update(buffer.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(BatchError::Input(e)),
        }
    }
}

/// A standard input that must be known as a whole before the first block, because the batch id follows from it (test
/// issuers with a fixed seed): kept in a file without a name, enciphered under a key that only this process has.
pub struct Spool {
    file: File,
    stream: crate::crypto::rng::CardStream,
    digest: [u8; 32],
    bytes: u64,
}

impl Spool {
    /// Reads `source` to its end. `path` names the file for a moment.
    ///
    /// # Errors
    /// [`BatchError::Input`].
    pub fn new(mut source: impl Read, path: &Path) -> Result<Self, BatchError> {
        let stream = Seed::from_os().map_err(BatchError::Lost)?.named_stream(b"spool", Purpose::Envelope);
        let mut keys = stream.rng();
        let mut digest = Sha256Stream::default();
        let mut bytes = 0_u64;
        let mut fill = || {
            let mut file = File::options().read(true).write(true).create_new(true).open(path)?;
            std::fs::remove_file(path)?;
            let mut buffer = Zeroizing::new(vec![0; CHUNK]);
            loop {
                let n = match source.read(&mut buffer) {
                    Ok(0) => return io::Result::Ok(file),
                    Ok(n) => n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                    Err(e) => return Err(e),
                };
                let part = buffer.get_mut(..n).unwrap_or_default();
                digest.update(part);
                bytes = bytes.saturating_add(n as u64);
                mask(&mut keys, part);
                file.write_all(part)?;
            }
        };
        let file = fill().map_err(BatchError::Input)?;
        Ok(Self { file, stream, digest: digest.digest(), bytes })
    }

    /// SHA-256 of the input.
    #[must_use]
    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// How long the input is.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The input once more.
    ///
    /// # Errors
    /// [`BatchError::Input`].
    pub fn reader(mut self) -> Result<InputSource, BatchError> {
        self.file.seek(SeekFrom::Start(0)).map_err(BatchError::Input)?;
        Ok(Box::new(Unmask { file: self.file, keys: self.stream.rng() }))
    }
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Spool")
    }
}

struct Unmask {
    file: File,
    keys: StreamRng,
}

impl Read for Unmask {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        mask(&mut self.keys, buffer.get_mut(..n).unwrap_or_default());
        Ok(n)
    }
}

/// Exclusive or with the key stream, byte by byte, so that the cuts between reads do not matter.
fn mask(keys: &mut StreamRng, bytes: &mut [u8]) {
    for byte in bytes {
        let [k] = keys.bytes::<1>();
        *byte ^= k;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hash::sha256;

    const TEXT: &[u8] = b"{\"a\":1}\n\n{\"a\":2}\n{\"cards\":[{\"a\":3},{\"a\":4}]}\n{\"a\":5}\n";

    /// A reader that gives a few bytes at a time.
    struct Slow(Cursor<Vec<u8>>, usize);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(buffer.len());
            self.0.read(&mut buffer[..n])
        }
    }

    type Blocks = Vec<(u64, Vec<u64>, String)>;

    fn blocks(bytes: &[u8], step: usize, size: usize) -> Result<(Blocks, [u8; 32]), BatchError> {
        let mut input = Input::new(Box::new(Slow(Cursor::new(bytes.to_vec()), step)), size)?;
        let mut out = Vec::new();
        while let Some(block) = input.next_block(&AtomicBool::new(false))? {
            let positions = block.orders.iter().map(RawOrder::position).collect();
            out.push((block.number.0, positions, block.input));
        }
        assert_eq!(input.orders(), 5);
        Ok((out, input.finish()?))
    }

    #[test]
    fn blocks_do_not_depend_on_how_bytes_arrive() {
        let (plain, digest) = blocks(TEXT, 1, 2).unwrap();
        assert_eq!(digest, sha256(&[TEXT]));
        assert_eq!(plain.iter().map(|b| b.1.clone()).collect::<Vec<_>>(), [vec![1, 2], vec![3, 4], vec![5]]);
        assert_eq!(plain[2].2, hex_upper(&sha256(&[TEXT])));
        for step in [2, 3, 7, 1000] {
            assert_eq!(blocks(TEXT, step, 2).unwrap().0, plain);
        }
        // A block that ends inside a body.
        assert_eq!(blocks(TEXT, 9, 3).unwrap().0[0].1, [1, 2, 3]);
    }

    #[test]
    fn gzip_and_zstd_are_recognised() {
        let plain = blocks(TEXT, 1000, 2).unwrap().0;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(TEXT).unwrap();
        let gzip = gzip.finish().unwrap();
        let (read, digest) = blocks(&gzip, 5, 2).unwrap();
        assert_eq!((read, digest), (plain.clone(), sha256(&[&gzip])));
        let cut = &gzip[..gzip.len() - 9];
        assert!(matches!(blocks(cut, 5, 2), Err(BatchError::DamagedInput(_))));

        let compress = |part: &[u8]| {
            ruzstd::encoding::compress_to_vec(part, ruzstd::encoding::CompressionLevel::Fastest)
        };
        // Two frames, one after the other.
        let zstd = [compress(&TEXT[..20]), compress(&TEXT[20..])].concat();
        let (read, digest) = blocks(&zstd, 5, 2).unwrap();
        assert_eq!((read, digest), (plain, sha256(&[&zstd])));
        assert!(matches!(blocks(&zstd[..zstd.len() - 3], 5, 2), Err(BatchError::DamagedInput(_))));
    }

    #[test]
    fn a_spool_gives_the_input_back_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let spool = Spool::new(Slow(Cursor::new(TEXT.to_vec()), 7), &path).unwrap();
        assert_eq!(spool.digest(), sha256(&[TEXT]));
        assert!(!path.exists());
        let mut stored = Vec::new();
        let mut file = spool.file.try_clone().unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut stored).unwrap();
        assert_ne!(stored, TEXT);
        assert_eq!(stored.len(), TEXT.len());
        let mut back = Vec::new();
        spool.reader().unwrap().read_to_end(&mut back).unwrap();
        assert_eq!(back, TEXT);
    }
}
