//! Programs that are started, talked to, and ended within a limit; and what they said, with ports and times taken out.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use aiowebsocket::opening::{Accepting, HeadLimits};
use regex::Regex;
use snapbox::{Assert, IntoData};
use tokio::net::TcpSocket;

/// Longer than anything here takes on a busy machine; whoever waits this long has failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A program that runs; it is ended when the test lets go of it.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    lines: Receiver<String>,
    error_lines: Receiver<String>,
}

/// What a program said, and how it ended.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// A port where nobody listens, and that nobody else gets while it is held.
pub(crate) fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let address = socket.local_addr().expect("bound");
    (socket, address)
}

/// Runs `aiows` with these arguments and this standard input, to its end.
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Said {
    Program::start(arguments).fed(input)
}

/// `told`, with variables of the environment.
pub(crate) fn told_with(variables: &[(&str, &str)], arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aiows"));
    command.args(arguments).envs(variables.iter().copied());
    Program::of(command).fed(input.as_bytes()).to_string()
}

/// A folder with files, in which programs are run; it is gone with this value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("aiows-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).expect("a file");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Starts `aiows` here.
    pub(crate) fn start(&self, arguments: &[&str]) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aiows"));
        command.args(arguments).current_dir(&self.0);
        Program::of(command)
    }

    /// `aiows serve` on a free port, started here.
    pub(crate) fn serve(&self, options: &[&str]) -> Server {
        Server::of(self.start(&[&["serve", "0"], options].concat()))
    }

    /// What `aiows` tells, run here.
    pub(crate) fn told(&self, arguments: &[&str], input: &str) -> String {
        self.start(arguments).fed(input.as_bytes()).to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `run`, for the snapshot.
pub(crate) fn told(arguments: &[&str], input: &str) -> String {
    run(arguments, input.as_bytes()).to_string()
}

/// Compares with a snapshot; `SNAPSHOTS=overwrite` writes it anew.
pub(crate) fn check(actual: impl IntoData, expected: impl IntoData) {
    // A backslash here is what a person reads, and no path of another system.
    Assert::new().action_env("SNAPSHOTS").normalize_paths(false).eq(actual, expected);
}

const PROXY_VARIABLES: [&str; 13] = [
    "REQUEST_METHOD",
    "all_proxy",
    "ALL_PROXY",
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
    "ws_proxy",
    "WS_PROXY",
    "wss_proxy",
    "WSS_PROXY",
];

impl Program {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aiows"));
        command.args(arguments);
        Self::of(command)
    }

    /// Started by a line of the shell, in which `$0` is the program.
    #[cfg(unix)]
    pub(crate) fn shell(line: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", line, env!("CARGO_BIN_EXE_aiows")]);
        Self::of(command)
    }

    pub(crate) fn of(mut command: Command) -> Self {
        // What the tests say about proxies is all there is.
        let is_set: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
        for name in PROXY_VARIABLES.into_iter().filter(|name| !is_set.iter().any(|set| set == name)) {
            command.env_remove(name);
        }
        let mut child = command
            .env_remove("COLUMNS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdin = child.stdin.take();
        let (sender, lines) = mpsc::channel();
        let stdout = gather(child.stdout.take().expect("a pipe"), sender);
        let (sender, error_lines) = mpsc::channel();
        let stderr = gather(child.stderr.take().expect("a pipe"), sender);
        Self { child, stdin, stdout, stderr, lines, error_lines }
    }

    /// The next line of standard output.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(LIMIT).expect("a line in time")
    }

    /// Waits for such a line of standard error.
    pub(crate) fn error_line(&self, is_it: impl Fn(&str) -> bool) {
        while !is_it(&self.error_lines.recv_timeout(LIMIT).expect("a line in time")) {}
    }

    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().expect("standard input is open"), "{line}").expect("it is read");
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        nix::sys::signal::kill(id, signal).expect("it runs");
    }

    /// The most memory that it ever had, in bytes.
    #[cfg(target_os = "linux")]
    pub(crate) fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
        peak.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
    }

    /// Gives it this input, and waits for its end.
    pub(crate) fn fed(mut self, input: &[u8]) -> Said {
        let mut stdin = self.stdin.take().expect("a pipe");
        let input = input.to_vec();
        // One that ends without reading its input breaks the pipe, and one that stands still blocks it.
        drop(thread::spawn(move || stdin.write_all(&input)));
        self.wait()
    }

    /// Ends its input, and waits for its end.
    pub(crate) fn end(mut self) -> Said {
        drop(self.stdin.take());
        self.wait()
    }

    /// Waits for its end while its input stays open.
    pub(crate) fn wait(mut self) -> Said {
        let status = end_of(&mut self.child);
        let read = |handle: &mut Option<JoinHandle<Vec<u8>>>| {
            handle.take().expect("waited for once").join().expect("read to its end")
        };
        Said { code: status.code(), stdout: read(&mut self.stdout), stderr: read(&mut self.stderr) }
    }
}

/// Waits for the end of a program.
pub(crate) fn end_of(child: &mut Child) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            return status;
        }
        assert!(began.elapsed() < LIMIT, "the program did not end in time");
        thread::sleep(Duration::from_millis(5));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Reads to the end; each line is told at once as well.
fn gather(stream: impl Read + Send + 'static, lines: mpsc::Sender<String>) -> Option<JoinHandle<Vec<u8>>> {
    Some(thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut all = Vec::new();
        loop {
            let before = all.len();
            match stream.read_until(b'\n', &mut all) {
                Ok(0) | Err(_) => return all,
                Ok(_) => {}
            }
            let line = String::from_utf8_lossy(&all[before..]).trim_end_matches('\n').to_owned();
            // Nobody has to listen.
            _ = lines.send(line);
        }
    }))
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.code.map_or("a signal".to_owned(), |code| code.to_string());
        write!(
            f,
            "exit code: {code}\n----- stdout\n{}----- stderr\n{}",
            plain(&self.stdout),
            plain(&self.stderr)
        )
    }
}

/// What differs from run to run, as a word.
pub(crate) fn plain(text: &[u8]) -> String {
    const FILTERS: [(&str, &str); 9] = [
        (r"(127\.0\.0\.1|localhost):\d{4,5}", "$1:PORT"),
        (r"\d\d:\d\d:\d\d\.\d{3}", "TIME"),
        (r"(?m)^\* +\d+(\.\d+)? (µs|ms|s)\b", "* DURATION"),
        (r"\d+(\.\d+)? (µs|ms|s)\b", "DURATION"),
        (r"(?i)(Sec-WebSocket-Key|Sec-WebSocket-Accept): \S+", "$1: KEY"),
        (r"\bTLS_[A-Z0-9_]+", "CIPHER"),
        (r"\b[0-9a-f]{64}\b", "FINGERPRINT"),
        (r"aiowebsocket/\d+\.\d+\.\d+", "aiowebsocket/VERSION"),
        (r"aiows \d+\.\d+\.\d+", "aiows VERSION"),
    ];
    let mut text = String::from_utf8_lossy(text).into_owned();
    for (pattern, word) in FILTERS {
        text = Regex::new(pattern).expect("a pattern").replace_all(&text, word).into_owned();
    }
    text
}

/// `aiows serve` on a free port.
pub(crate) struct Server {
    pub(crate) program: Program,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::of(Program::start(&[&["serve", "0"], options].concat()))
    }

    /// One that was started otherwise.
    pub(crate) fn of(program: Program) -> Self {
        let line = program.line();
        let url = line.strip_prefix("listening on ").expect("the address comes first").to_owned();
        Self { program, url }
    }
}

/// A server that answers each request with what `answer` makes of its head.
pub(crate) fn answering_all(answer: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("it is bound"));
    drop(thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            stream.set_read_timeout(Some(LIMIT)).expect("a limit");
            let head = String::from_utf8(read_head(&mut stream)).expect("text");
            // One that has gone wants no answer.
            _ = stream.write_all(answer(&head).as_bytes());
        }
    }));
    url
}

/// A server that gives everybody this answer, and the heads that it got.
pub(crate) fn refusing(answer: &'static str) -> (String, Receiver<String>) {
    let (sender, heads) = mpsc::channel();
    let url = answering_all(move |head| {
        // Nobody has to listen.
        _ = sender.send(head.to_owned());
        answer.to_owned()
    });
    (url, heads)
}

/// A server of one connection that answers a request with these bytes, and then ends or stays.
pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> String {
    let answer = answer.into();
    once(move |mut stream| {
        read_head(&mut stream);
        stream.write_all(&answer).expect("the client reads");
    })
}

/// A WebSocket server of one connection that sends these frames after its 101, ends its side, and reads to the end.
pub(crate) fn opening_and_sending(frames: impl Into<Vec<u8>>) -> String {
    let frames = frames.into();
    once(move |mut stream| {
        open(&mut stream);
        stream.write_all(&frames).expect("the client reads");
        stream.shutdown(Shutdown::Write).expect("it is open");
        _ = stream.read_to_end(&mut Vec::new());
    })
}

/// A WebSocket server of one connection that reads to the end, and never answers: neither a Ping nor a Close.
pub(crate) fn opening_and_reading() -> String {
    once(|mut stream| {
        open(&mut stream);
        _ = stream.read_to_end(&mut Vec::new());
    })
}

/// A WebSocket server of one connection that talks as the test says, and then ends.
pub(crate) fn talking(talk: impl FnOnce(&mut TcpStream) + Send + 'static) -> String {
    once(move |mut stream| {
        open(&mut stream);
        talk(&mut stream);
    })
}

/// The next frame of a client, which is short: its opcode, and its payload without the mask.
pub(crate) fn next_frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 6];
    stream.read_exact(&mut head).expect("a frame");
    let [first, length, key @ ..] = head;
    let mut payload = vec![0; usize::from(length & 0x7f)];
    stream.read_exact(&mut payload).expect("a whole frame");
    payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    (first & 0x0f, payload)
}

/// Answers the next ping.
pub(crate) fn answer_ping(stream: &mut TcpStream) {
    let (opcode, payload) = next_frame(stream);
    assert_eq!(opcode, 9, "a ping");
    stream.write_all(&frame(10, &payload)).expect("the client reads");
}

/// Answers the upgrade request.
pub(crate) fn open(stream: &mut TcpStream) {
    let head = read_head(stream);
    let mut accepting = Accepting::new(HeadLimits::default());
    accepting.receive(&head, Instant::now()).expect("a request");
    accepting.accept(None, &[]).expect("an answer");
    stream.write_all(accepting.output()).expect("the client reads");
}

/// A frame of a server: short, final, not masked.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).ok().filter(|&length| length < 126).expect("a short payload");
    [&[0x80 | opcode, length], payload].concat()
}

/// Serves one connection on a thread; the address.
pub(crate) fn once(serve: impl FnOnce(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("it is bound"));
    drop(thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client comes");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        serve(stream);
    }));
    url
}

pub(crate) fn read_head(stream: &mut impl Read) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a whole head");
        head.push(byte[0]);
    }
    head
}
