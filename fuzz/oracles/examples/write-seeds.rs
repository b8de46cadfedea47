//! Writes the seeds of every fuzz target to `fuzz/seeds/TARGET/NAME`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../seeds");
    for seed in crossrealm_fuzz_oracles::seeds::all() {
        let target = folder.join(seed.target);
        std::fs::create_dir_all(&target)?;
        std::fs::write(target.join(seed.name), seed.bytes)?;
    }
    Ok(())
}
