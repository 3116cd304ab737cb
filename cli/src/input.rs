//! Standard input, read by a thread of its own: such a read cannot be given up, and the program must be able to end while
//! it waits.

use std::io::{BufRead, Read, stdin};
use std::thread;

use tokio::sync::mpsc;

/// The longest line, in bytes: the largest message that the library receives by default.
const LONGEST_LINE: u64 = 64 << 20;

/// The most bytes that are read at once, and so the largest binary message: what a pipe holds.
const CHUNK: usize = 64 << 10;

/// Messages that may wait to be sent; reading pauses then.
const WAITING: usize = 16;

/// What the user gives.
#[derive(Debug)]
pub(crate) enum Input {
    Text(String),
    Binary(Vec<u8>),
    /// Ctrl-C, where the terminal hands it to us as a key.
    Interrupt,
    /// Standard input cannot be used any further: why.
    Broken(String),
}

/// Reads lines as text, or whatever comes as binary, until the end: then the channel ends.
pub(crate) fn read(binary: bool) -> mpsc::Receiver<Input> {
    start(move |sender| if binary { read_chunks(&sender) } else { read_lines(&sender) })
}

/// Starts a thread that gives input.
pub(crate) fn start(give: impl FnOnce(mpsc::Sender<Input>) + Send + 'static) -> mpsc::Receiver<Input> {
    let (sender, receiver) = mpsc::channel(WAITING);
    // Nobody waits for it: the thread ends with the program.
    drop(thread::spawn(move || give(sender)));
    receiver
}

fn read_chunks(sender: &mpsc::Sender<Input>) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let input = match stdin().lock().read(&mut chunk) {
            Ok(0) => return,
            Ok(n) => Input::Binary(chunk[..n].to_vec()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => Input::Broken(format!("standard input cannot be read: {error}")),
        };
        if !give(sender, input) {
            return;
        }
    }
}

fn read_lines(sender: &mpsc::Sender<Input>) {
    for number in 1_u64.. {
        let mut line = Vec::new();
        let input = match stdin().lock().take(LONGEST_LINE + 1).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) => text(line, number),
            Err(error) => Input::Broken(format!("standard input cannot be read: {error}")),
        };
        if !give(sender, input) {
            return;
        }
    }
}

/// A line without its end.
fn text(mut line: Vec<u8>, number: u64) -> Input {
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    } else if line.len() as u64 > LONGEST_LINE {
        return Input::Broken(format!("line {number} of standard input is longer than 64 MiB: use --binary"));
    }
    match String::from_utf8(line) {
        Ok(line) => Input::Text(line),
        Err(_) => Input::Broken(format!("line {number} of standard input is not UTF-8: use --binary")),
    }
}

/// False when nobody wants more.
fn give(sender: &mpsc::Sender<Input>, input: Input) -> bool {
    let is_last = matches!(input, Input::Broken(_));
    sender.blocking_send(input).is_ok() && !is_last
}
