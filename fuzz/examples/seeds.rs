//! Writes the seeds of a target into a folder: `seeds TARGET FOLDER`.

use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, folder] = &arguments[..] else {
        eprintln!("seeds TARGET FOLDER");
        std::process::exit(2);
    };
    fs::create_dir_all(folder)?;
    for (index, seed) in aiowebsocket_fuzz::seeds::seeds(target).iter().enumerate() {
        fs::write(Path::new(folder).join(format!("seed-{index}")), seed)?;
    }
    Ok(())
}
