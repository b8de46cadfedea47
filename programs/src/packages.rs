//! Which Debian packages of the [table](crate::table) are installed, judged by their files.

use std::path::{Path, PathBuf};

use crate::find;
use crate::table::{FILES, LIBRARIES, MODULES, PROGRAMS};

/// Where Debian's Python finds modules that are not of its standard library.
const PYTHON_MODULES: &str = "/usr/lib/python3/dist-packages";

/// The Debian packages that are not installed, or not whole: each once, sorted.
pub fn missing() -> Vec<&'static str> {
    let mut missing: Vec<&'static str> = Vec::new();
    let lacks_program = |programs: &[&str]| programs.iter().any(|name| find(name).is_none());
    let lacks_module = |modules: &[&str]| modules.iter().any(|name| !has_module(name));
    missing.extend(
        PROGRAMS
            .iter()
            .filter(|(_, all)| lacks_program(all))
            .map(|(package, _)| *package),
    );
    missing.extend(
        MODULES
            .iter()
            .filter(|(_, all)| lacks_module(all))
            .map(|(package, _)| *package),
    );
    missing.extend(
        LIBRARIES
            .iter()
            .filter(|(_, file)| !has_library(file))
            .map(|(package, _)| *package),
    );
    missing.extend(
        FILES
            .iter()
            .filter(|(_, file)| !Path::new(file).exists())
            .map(|(package, _)| *package),
    );
    missing.sort_unstable();
    missing.dedup();
    missing
}

/// Whether Debian's Python, of whichever version, has a module: a folder, a file or a compiled library.
fn has_module(name: &str) -> bool {
    let path = name.replace('.', "/");
    let versions = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten();
    let standard = versions.map(|entry| entry.path()).filter(|folder| {
        folder
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("python3."))
    });
    standard
        .chain([PathBuf::from(PYTHON_MODULES)])
        .any(|folder| {
            let place = folder.join(&path);
            place.is_dir() || place.with_extension("py").is_file() || has_compiled(&place)
        })
}

/// Compiled modules bear the version of Python and the machine in their names: `ldb.cpython-311-x86_64-linux-gnu.so`.
fn has_compiled(place: &Path) -> bool {
    let (Some(folder), Some(name)) = (place.parent(), place.file_name()) else {
        return false;
    };
    let begin = format!("{}.", name.to_string_lossy());
    let mut files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.any(|file| {
        let file = file.file_name();
        let file = file.to_string_lossy();
        file.starts_with(&begin) && file.ends_with(".so")
    })
}

fn has_library(name: &str) -> bool {
    let Ok(folders) = std::fs::read_dir("/usr/lib") else {
        return false;
    };
    let multiarch = folders
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir());
    multiarch
        .chain(["/usr/lib", "/lib", "/lib64"].map(PathBuf::from))
        .any(|folder| folder.join(name).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_is_not_installed_is_not_found() {
        assert!(!has_module("no_such_module_anywhere"));
        assert!(!has_library("no-such-library.so"));
    }
}
