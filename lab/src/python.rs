//! Python programs that Debian does not carry: by pip, in a virtual environment of their own that is kept beside the build.

use std::path::PathBuf;

use crate::wait::PATIENCE;
use crate::{Failure, Run, world};

/// A virtual environment with some packages in it, or on the way to it.
#[derive(Debug)]
pub struct Environment {
    place: PathBuf,
    packages: Vec<&'static str>,
}

impl Environment {
    /// The environment of this name, with Debian's own modules in reach. `packages` are all that it is to have, each with
    /// its version, since none brings others along.
    ///
    /// # Errors
    /// Debian's Python cannot make one.
    pub fn new(name: &str, packages: &[&'static str]) -> Result<Self, Failure> {
        let environment = Self {
            place: world::cache_folder().join(format!("venv-{name}")),
            packages: packages.to_vec(),
        };
        if !environment.is_whole() {
            Run::here("/usr/bin/python3")
                .args(["-m", "venv", "--clear", "--system-site-packages"])
                .arg(&environment.place)
                .timeout(PATIENCE)
                .ok()?;
        }
        Ok(environment)
    }

    /// Its `python`, with the packages: as wheels, nothing is built. Installed once.
    ///
    /// # Errors
    /// pip cannot have them, for example because it does not reach its index.
    pub fn python(&self) -> Result<PathBuf, Failure> {
        let python = self.place.join("bin/python");
        if self.is_whole() {
            return Ok(python);
        }
        let pip = Run::here(&python).args(["-m", "pip", "install", "--quiet"]);
        let pip = pip.args(["--no-deps", "--only-binary=:all:"]);
        let pip = settings().fold(pip, |pip, (name, value)| pip.env(&name, value));
        pip.args(&self.packages).timeout(PATIENCE).ok()?;
        std::fs::write(self.mark(), self.packages.join("\n"))?;
        Ok(python)
    }

    /// Says which packages it has, and is made last: with it the environment is complete.
    fn mark(&self) -> PathBuf {
        self.place.join("whole")
    }

    fn is_whole(&self) -> bool {
        std::fs::read_to_string(self.mark()).is_ok_and(|text| text == self.packages.join("\n"))
    }
}

/// The settings of pip where an index is reached by a proxy, a mirror or an authority of its own.
pub fn settings() -> impl Iterator<Item = (String, String)> {
    std::env::vars().filter(|(name, _)| {
        let name = name.to_uppercase();
        name == "HOME"
            || name.starts_with("PIP_")
            || name.ends_with("_PROXY")
            || name.starts_with("SSL_CERT")
    })
}
