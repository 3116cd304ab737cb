//! A line that is typed at a terminal, and survives what arrives meanwhile.

use std::io;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor, ExternalPrinter};
use tokio::sync::mpsc;

use crate::input::{self, Input};
use crate::output::Sink;

const PROMPT: &str = "> ";

/// How long the editor may take to begin and to end: it only waits for a terminal that stands still (Ctrl-S).
const PATIENCE: Duration = Duration::from_secs(5);

/// Up a line and down again: what is printed to wake the editor and changes nothing.
const NOTHING: &str = "\x1b[A\n";

/// How the terminal was before a line was edited on it; nothing while none is.
#[cfg(unix)]
static BEFORE: Mutex<Option<nix::sys::termios::Termios>> = Mutex::new(None);

/// The way above the line that is edited; nothing while none is.
static ABOVE: Mutex<Option<Box<dyn ExternalPrinter + Send>>> = Mutex::new(None);

/// The terminal while a line is edited on it. Dropping it shows everything that was printed, ends the editor, and leaves the
/// terminal as it was.
pub(crate) struct Terminal {
    printer: Box<dyn ExternalPrinter + Send>,
    /// Ends with the editor.
    editing: Receiver<()>,
}

impl Terminal {
    /// Begins to edit: lines from the keyboard, and the way for what is printed above them. `None` where the terminal
    /// cannot do that.
    pub(crate) fn open(binary: bool) -> Option<(Self, mpsc::Receiver<Input>, Sink)> {
        #[cfg(unix)]
        let before = nix::sys::termios::tcgetattr(io::stdout()).ok()?;
        // Pasted lines are lines: each is sent, as if it had been typed.
        let config = Config::builder().bracketed_paste(false).auto_add_history(true).build();
        let history = MemHistory::with_config(&config);
        let mut editor: Editor<(), _> = Editor::with_history(config, history).ok()?;
        let mut printer = editor.create_external_printer().ok()?;
        let sink: Sink = Box::new(move |bytes| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            printer.print(text).map_err(io::Error::other)
        });
        let printer = Box::new(editor.create_external_printer().ok()?);
        let above = Box::new(editor.create_external_printer().ok()?);
        let (is_editing, editing) = sync_channel(0);
        let input = input::start(move |sender| {
            edit(&mut editor, binary, &sender);
            drop((editor, is_editing));
        });
        #[cfg(unix)]
        before_is(Some(before));
        let terminal = Self { printer, editing };
        terminal.wait_for_prompt();
        *lock(&ABOVE) = Some(above);
        Some((terminal, input, sink))
    }

    /// What is printed before the editor has begun would land in the middle of its prompt.
    #[cfg(unix)]
    #[expect(clippy::disallowed_methods, reason = "a terminal tells nobody when its modes change")]
    fn wait_for_prompt(&self) {
        use nix::sys::termios::{LocalFlags, tcgetattr};
        const STEP: Duration = Duration::from_millis(1);
        for _ in 0..PATIENCE.as_millis() {
            std::thread::sleep(STEP);
            match tcgetattr(io::stdout()) {
                Ok(modes) if modes.local_flags.contains(LocalFlags::ICANON) => {}
                _ => break,
            }
        }
        std::thread::sleep(STEP);
    }

    #[cfg(not(unix))]
    fn wait_for_prompt(&self) {}

    /// Ends the editor, which waits for a key. There is no call for that; but it ends with its input, and looks at its input
    /// when something is printed.
    #[cfg(unix)]
    fn end_editor(&mut self) -> io::Result<()> {
        // It takes the second only after it has shown what came before the first.
        for _ in 0..2 {
            self.printer.print(NOTHING.to_owned()).map_err(io::Error::other)?;
        }
        nix::unistd::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        self.printer.print(NOTHING.to_owned()).map_err(io::Error::other)
    }

    fn has_ended(&self) -> bool {
        matches!(self.editing.try_recv(), Err(std::sync::mpsc::TryRecvError::Disconnected))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        *lock(&ABOVE) = None;
        #[cfg(unix)]
        {
            if !self.has_ended() {
                // An error says that it ended meanwhile, and has nobody to print to any more.
                _ = self.end_editor();
                _ = self.editing.recv_timeout(PATIENCE);
            }
            restore();
        }
        if !self.has_ended() {
            // What was typed stays to be read; what follows begins a line.
            _ = io::Write::write_all(&mut io::stdout().lock(), b"\n");
        }
    }
}

/// Prints a line above the one that is edited. False where none is.
pub(crate) fn print_above(line: &str) -> bool {
    match &mut *lock(&ABOVE) {
        Some(printer) => printer.print(format!("{line}\n")).is_ok(),
        None => false,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leaves the terminal as it was: also for an end that drops nothing.
#[cfg(unix)]
pub(crate) fn restore() {
    use nix::sys::termios::{SetArg, tcsetattr};
    if let Some(before) = before_is(None) {
        _ = tcsetattr(io::stdout(), SetArg::TCSANOW, &before);
    }
}

/// Puts this in the place of what was there.
#[cfg(unix)]
fn before_is(now: Option<nix::sys::termios::Termios>) -> Option<nix::sys::termios::Termios> {
    std::mem::replace(&mut *lock(&BEFORE), now)
}

/// Gives lines until Ctrl-D or Ctrl-C.
fn edit(editor: &mut Editor<(), MemHistory>, binary: bool, sender: &mpsc::Sender<Input>) {
    loop {
        let input = match editor.readline(PROMPT) {
            Ok(line) if binary => Input::Binary(line.into_bytes()),
            Ok(line) => Input::Text(line),
            Err(ReadlineError::Eof) => return,
            Err(ReadlineError::Interrupted) => Input::Interrupt,
            Err(error) => Input::Broken(format!("the terminal cannot be read: {error}")),
        };
        let is_last = matches!(input, Input::Interrupt | Input::Broken(_));
        if sender.blocking_send(input).is_err() || is_last {
            return;
        }
    }
}
