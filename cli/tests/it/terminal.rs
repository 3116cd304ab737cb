//! `aiows connect` at a terminal: what a person sees, told by a terminal that is a library.

use std::io::{Read, Write};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use aiowebsocket::CloseCode;
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::Pid;
use pty_process::Size;
use pty_process::blocking::{Command, Pts, Pty, open};
use snapbox::str;

use crate::support::{LIMIT, Program, Server, check, end_of, frame, opening_and_sending, plain, talking};

#[test]
fn what_is_typed_survives_what_arrives() {
    let server = Server::start(&["--broadcast"]);
    let mut terminal = Terminal::start(&["connect", &server.url]);
    terminal.see("> ");
    let mut other = Program::start(&["connect", &server.url]);
    thread::sleep(Duration::from_millis(200));
    terminal.kind("half a sen");
    terminal.see("> half a sen");
    other.say("an interruption");
    terminal.see("< an interruption");
    terminal.kind("tence\r");
    assert_eq!(other.line(), "half a sentence");
    terminal.see_last("> ");
    check(
        terminal.screen(),
        str![[r#"
connected to ws://127.0.0.1:PORT/; Enter sends a line, Ctrl-D closes
< an interruption
> half a sentence
>
"#]],
    );
    // The line before, from the history, with its end taken away.
    terminal.kind("\x1b[A\x7f\x7f\x7f\r");
    assert_eq!(other.line(), "half a sente");
    terminal.kind("\x04");
    assert_eq!(terminal.end(), Some(0));
}

#[test]
fn nothing_that_arrives_moves_the_cursor() {
    let message = "\x1b[2J\x1b[31mred\x07 a\rb \u{202e}c\n> typed by nobody";
    let server = Server::start(&["--broadcast"]);
    let mut terminal = Terminal::start(&["connect", &server.url]);
    terminal.see("> ");
    speak(&server, message);
    terminal.see("typed by nobody");
    terminal.see_last("> ");
    check(
        terminal.screen(),
        str![[r#"
connected to ws://127.0.0.1:PORT/; Enter sends a line, Ctrl-D closes
< \u{1b}[2J\u{1b}[31mred\u{7} a\u{d}b \u{202e}c
  > typed by nobody
>
"#]],
    );
    terminal.kind("\x04");
    assert_eq!(terminal.end(), Some(0));
}

#[test]
fn bytes_and_json_are_shown_for_people() {
    let frames = [
        frame(2, b"\x00\x1b[31m\xff"),
        frame(2, &[7; 100]),
        frame(1, "{\"a\":[1,{\"b\":\"\u{9b}31m\"}]}".as_bytes()),
        frame(8, &1000_u16.to_be_bytes()),
    ];
    let mut terminal = Terminal::start(&["connect", "--json", &opening_and_sending(frames.concat())]);
    terminal.see("* closed");
    check(
        terminal.screen(),
        str![[r#"
connected to ws://127.0.0.1:PORT/; Enter sends a line, Ctrl-D closes
< (7 bytes) 00 1b 5b 33 31 6d ff
< (100 bytes) 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 …
< {
    "a": [
      1,
      {
        "b": "\u{9b}31m"
      }
    ]
  }
> 
* closed: 1000 (Normal Closure)
"#]],
    );
    assert_eq!(terminal.end(), Some(0));
}

#[test]
fn ctrl_c_ends_it() {
    let server = Server::start(&["-v"]);
    let mut terminal = Terminal::start(&["connect", &server.url]);
    terminal.see("> ");
    terminal.kind("unsent\x03");
    assert_eq!(terminal.end(), Some(130));
    assert!(terminal.is_as_before());
    server.program.error_line(|line| line.ends_with("closed: 1001 (Going Away)"));
}

/// Whoever presses Ctrl-D has seen what there is: nothing is waited for.
#[test]
fn ctrl_d_ends_it_at_once() {
    let server = Server::start(&[]);
    let mut terminal = Terminal::start(&["connect", "--linger", "forever", &server.url]);
    terminal.see("> ");
    terminal.kind("\x04");
    assert_eq!(terminal.end(), Some(0));
}

/// What is typed while there is no connection goes to the next, and what is told meanwhile leaves it alone.
#[test]
fn a_line_that_is_typed_survives_a_lost_connection() {
    let server = Server::start(&[]);
    let url = server.url.clone();
    let mut terminal = Terminal::start(&["connect", "--reconnect=0.3", &url]);
    let connected = format!("* {url}: connected");
    terminal.see(&connected);
    terminal.kind("half a sen");
    terminal.see("> half a sen");
    drop(server);
    terminal.until("the loss", |screen| screen.contains("; again in "));
    terminal.kind("tence\r");
    terminal.see("> half a sentence");
    let address = url.trim_start_matches("ws://").trim_end_matches('/');
    let _server = Server::of(Program::start(&["serve", address]));
    terminal.see("< half a sentence");
    assert_eq!(terminal.contents().matches(&connected).count(), 2, "{}", terminal.contents());
    terminal.kind("\x03");
    assert_eq!(terminal.end(), Some(130));
}

#[test]
fn the_terminal_is_left_as_it_was() {
    let server = Server::start(&[]);
    let mut terminal = Terminal::start(&["connect", &server.url]);
    terminal.kind("half");
    terminal.see("> half");
    assert!(!terminal.is_as_before(), "the editor reads keys");
    let began = Instant::now();
    terminal.signal(Signal::SIGTERM);
    assert_eq!(terminal.end(), Some(143));
    assert!(began.elapsed().as_secs() < 4, "the editor was ended, and not waited for in vain");
    assert!(terminal.is_as_before());
    // What comes after begins on a line of its own, and what was typed can be read.
    terminal.until("the end of the line", |_| terminal.cursor_column() == 0);
    terminal.see("> half");
}

/// So do the steps of `-v`, which standard error has.
#[test]
fn a_line_that_is_typed_survives_the_steps() {
    let server = Server::start(&[]);
    let mut terminal = Terminal::start(&["connect", "-v", "--reconnect=0.3", &server.url]);
    terminal.see(&format!("* {}: connected", server.url));
    terminal.kind("half a sen");
    terminal.see("> half a sen");
    let address = server.url.trim_start_matches("ws://").trim_end_matches('/').to_owned();
    drop(server);
    let _server = Server::of(Program::start(&["serve", &address]));
    // Each step is a line of its own, and below them stands what was typed.
    terminal.until("another connection", |screen| {
        let (mut lines, typed) = (screen.lines().rev(), "> half a sen");
        lines.next() == Some(typed) && lines.next().is_some_and(|line| line.ends_with(": connected"))
    });
    let screen = terminal.contents();
    assert!(
        !screen.lines().any(|line| line.starts_with("> *") || line.starts_with("> half a sen*")),
        "{screen}"
    );
    assert!(
        screen.lines().any(|line| line.starts_with("* ") && line.contains("  connecting to ")),
        "{screen}"
    );
    terminal.kind("\x03");
    assert_eq!(terminal.end(), Some(130));
}

/// Nothing is printed on it any more, nor can the editor end: it has its modes back, and the program has ended.
#[test]
fn a_terminal_that_stands_still_is_left_as_it_was() {
    let flood = [&[0x81, 125][..], &[b'x'; 125]].concat().repeat(100);
    let url = talking(move |stream| while stream.write_all(&flood).is_ok() {});
    let mut terminal = Terminal::unread(&["connect", &url]);
    thread::sleep(Duration::from_secs(2));
    assert!(!terminal.is_as_before(), "the editor reads keys");
    terminal.signal(Signal::SIGTERM);
    assert_eq!(terminal.end(), Some(143));
    assert!(terminal.is_as_before());
}

/// A program at a terminal of 24 lines of 80 columns.
struct Terminal {
    child: Child,
    pty: Arc<Pty>,
    /// Held, so that the terminal outlives the program and can be looked at.
    _pts: Pts,
    screen: Arc<Mutex<vt100::Parser>>,
    before: Termios,
}

impl Terminal {
    fn start(arguments: &[&str]) -> Self {
        let terminal = Self::unread(arguments);
        let (reader, shown) = (terminal.pty.clone(), terminal.screen.clone());
        drop(thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = (&*reader).read(&mut bytes) {
                shown.lock().expect("no panic").process(&bytes[..n]);
            }
        }));
        terminal
    }

    /// One that takes no more than what the system keeps.
    fn unread(arguments: &[&str]) -> Self {
        let (pty, pts) = open().expect("a terminal");
        pty.resize(Size::new(24, 80)).expect("its size");
        let before = tcgetattr(&pty).expect("its modes");
        let child = Command::new(env!("CARGO_BIN_EXE_aiows"))
            .args(arguments)
            .env("TERM", "xterm")
            .spawn_borrowed(&pts)
            .expect("the program starts");
        let pty = Arc::new(pty);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(
            24.try_into().expect("rows"),
            80.try_into().expect("columns"),
            0,
        )));
        Self { child, pty, _pts: pts, screen, before }
    }

    fn kind(&self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).expect("it reads");
    }

    /// Waits until some line begins like this, or has it as its end.
    fn see(&self, text: &str) {
        self.until(text, |screen| {
            screen.lines().any(|line| line.starts_with(text.trim_end()) || line.ends_with(text))
        });
    }

    /// Waits until the last line is this.
    fn see_last(&self, text: &str) {
        self.until(text, |screen| {
            screen.lines().last().is_some_and(|line| line.trim_end() == text.trim_end())
        });
    }

    fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let began = Instant::now();
        while !is_so(&self.contents()) {
            assert!(began.elapsed() < LIMIT, "{what:?} is not to be seen in\n{}", self.contents());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn contents(&self) -> String {
        self.screen.lock().expect("no panic").screen().contents()
    }

    /// For the snapshot.
    fn screen(&self) -> String {
        plain(self.contents().trim_end().as_bytes())
    }

    fn cursor_column(&self) -> u16 {
        self.screen.lock().expect("no panic").screen().cursor_position().1
    }

    fn is_as_before(&self) -> bool {
        tcgetattr(&*self.pty).expect("its modes") == self.before
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        kill(id, signal).expect("it runs");
    }

    /// Waits for the program's end; its exit code.
    fn end(&mut self) -> Option<i32> {
        end_of(&mut self.child).code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// One message from another client.
fn speak(server: &Server, message: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut ws = aiowebsocket::connect(&server.url).await.expect("open");
        ws.send(message).await.expect("sent");
        ws.close(CloseCode::NORMAL, "").await.expect("closed");
    });
}
