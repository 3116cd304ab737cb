//! A line that is typed at a terminal, and survives what arrives meanwhile.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor, ExternalPrinter};
use tokio::sync::mpsc;

use crate::input::{self, Input};
use crate::output::Sink;

const PROMPT: &str = "> ";

/// The terminal while a line is edited on it. The editor's thread may still wait for a key when the program ends, so the
/// terminal is put back as it was from here.
pub(crate) struct Terminal {
    #[cfg(unix)]
    before: Option<nix::sys::termios::Termios>,
    is_editing: Arc<AtomicBool>,
}

impl Terminal {
    /// Begins to edit: lines from the keyboard, and the way for what is printed above them. `None` where the terminal
    /// cannot do that.
    pub(crate) fn open(binary: bool) -> Option<(Self, mpsc::Receiver<Input>, Sink)> {
        #[cfg(unix)]
        let before = nix::sys::termios::tcgetattr(io::stdin()).ok();
        // Pasted lines are lines: each is sent, as if it had been typed.
        let config = Config::builder().bracketed_paste(false).auto_add_history(true).build();
        let history = MemHistory::with_config(&config);
        let mut editor: Editor<(), _> = Editor::with_history(config, history).ok()?;
        let mut printer = editor.create_external_printer().ok()?;
        let is_editing = Arc::new(AtomicBool::new(false));
        let flag = is_editing.clone();
        let input = input::start(move |sender| edit(&mut editor, &flag, binary, &sender));
        let sink: Sink = Box::new(move |bytes| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            printer.print(text).map_err(io::Error::other)
        });
        let terminal = Self {
            #[cfg(unix)]
            before,
            is_editing,
        };
        Some((terminal, input, sink))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(before) = &self.before {
            _ = nix::sys::termios::tcsetattr(io::stdin(), nix::sys::termios::SetArg::TCSADRAIN, before);
        }
        if self.is_editing.load(Ordering::SeqCst) {
            // What was typed stays to be read; what follows begins a line.
            _ = io::Write::write_all(&mut io::stdout().lock(), b"\n");
        }
    }
}

/// Gives lines until Ctrl-D or Ctrl-C.
fn edit(
    editor: &mut Editor<(), MemHistory>,
    is_editing: &AtomicBool,
    binary: bool,
    sender: &mpsc::Sender<Input>,
) {
    loop {
        is_editing.store(true, Ordering::SeqCst);
        let line = editor.readline(PROMPT);
        is_editing.store(false, Ordering::SeqCst);
        let input = match line {
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
