//! The virtual card in a virtual reader: a client of vsmartcard's vpcd, so that pcscd and every PC/SC program see a chip.
//!
//! ```sh
//! cargo run --example vpcd_card -- --chip scp02
//! ```
//!
//! vpcd asks over TCP: two bytes of length, then a command APDU, or one byte: 00 power off, 01 power on, 02 reset, 04 ATR.
#![allow(clippy::print_stderr, missing_docs)] // a program, and its words for people

#[path = "agent/chip.rs"]
mod chip;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use clap::Parser;
use emv_dataprep::verify::card_os::VirtualCard;

/// TS, T0 (TD1 follows, no historical bytes), TD1 (T=1), TCK.
const ATR: [u8; 4] = [0x3B, 0x80, 0x01, 0x81];

/// Put the virtual card into vpcd's reader
#[derive(Parser)]
struct Args {
    /// Where vpcd listens
    #[arg(long, default_value = "127.0.0.1:35963")]
    vpcd: String,
    /// Which chip
    #[arg(long, value_enum, default_value = "scp02")]
    chip: chip::ChipKind,
    /// The card leaves the reader after so many commands, without the last answer, and comes back a second later
    #[arg(long)]
    tear: Option<u32>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let mut card = chip::test_chip(args.chip, Vec::new())?;
    let mut tear = args.tear;
    loop {
        let mut reader = TcpStream::connect(&args.vpcd)?;
        eprintln!("vpcd_card: in the reader");
        match serve(&mut reader, &mut card, &mut tear) {
            Ok(()) => {
                eprintln!("vpcd_card: taken away");
                card.reset();
                drop(reader);
                std::thread::sleep(Duration::from_secs(1));
            }
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(e) => return Err(e.into()),
        }
    }
}

/// Until the card is torn (`Ok`) or the reader ends.
fn serve(reader: &mut TcpStream, card: &mut VirtualCard, tear: &mut Option<u32>) -> std::io::Result<()> {
    loop {
        let mut length = [0; 2];
        reader.read_exact(&mut length)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        reader.read_exact(&mut message)?;
        let answer = match message.as_slice() {
            [0x00..=0x02] => {
                card.reset();
                continue;
            }
            [0x04] => ATR.to_vec(),
            command => {
                let answer = card.transmit(command);
                if let Some(left) = tear {
                    if *left == 0 {
                        *tear = None;
                        return Ok(());
                    }
                    *left = left.saturating_sub(1);
                }
                answer
            }
        };
        let length = u16::try_from(answer.len()).unwrap_or_default().to_be_bytes();
        reader.write_all(&[&length[..], &answer].concat())?;
    }
}
