//! Runs one input of a target: `replay TARGET FILE`.

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, file] = &arguments[..] else {
        eprintln!("replay TARGET FILE");
        std::process::exit(2);
    };
    let (_, run) = aiowebsocket_fuzz::TARGETS.iter().find(|(name, _)| name == target).expect("a target");
    run(&std::fs::read(file)?);
    Ok(())
}
