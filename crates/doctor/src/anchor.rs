//! The certificate authorities that `http_anchors` names, as MIT's plug-in for HTTPS reads them: a file, a directory, or a
//! variable that names one of them.

use crate::bounded::{MAX_CA_BYTES, read_bounded};
use crate::error::ProbeError;
use std::path::{Path, PathBuf};

/// The most files of a directory.
const MAX_FILES: usize = 500;

/// The PEM text that a value names; `place` is the line that sets it.
pub(crate) fn read(value: &str, place: &str) -> Result<Vec<u8>, ProbeError> {
    if let Some(variable) = value.strip_prefix("ENV:") {
        let named = std::env::var(variable)
            .ok()
            .filter(|named| !named.starts_with("ENV:"));
        let named = named.ok_or_else(|| {
            ProbeError::Other(format!(
                "{place} names the variable `{variable}`, which names no file"
            ))
        })?;
        return read_named(&named, place);
    }
    read_named(value, place)
}

fn read_named(value: &str, place: &str) -> Result<Vec<u8>, ProbeError> {
    let with_place = |error| ProbeError::Other(format!("{place} names {error}"));
    if let Some(path) = value.strip_prefix("FILE:") {
        return read_bounded(Path::new(path), MAX_CA_BYTES).map_err(with_place);
    }
    if let Some(path) = value.strip_prefix("DIR:") {
        let path = Path::new(path);
        return read_directory(path).map_err(|error| with_place(ProbeError::file(path, error)));
    }
    Err(ProbeError::Other(format!(
        "{place}: `{value}` begins with none of `FILE:`, `DIR:`, `ENV:`"
    )))
}

/// Every certificate of a directory; other files in it do not count.
fn read_directory(path: &Path) -> std::io::Result<Vec<u8>> {
    let entries = std::fs::read_dir(path)?.flatten();
    let files: Vec<PathBuf> = entries.map(|entry| entry.path()).take(MAX_FILES).collect();
    let mut pem = Vec::new();
    for file in files {
        let bytes = read_bounded(&file, MAX_CA_BYTES).unwrap_or_default();
        if bytes.starts_with(b"-----BEGIN CERTIFICATE-----") && pem.len() < MAX_CA_BYTES {
            pem.extend(bytes);
            pem.push(b'\n');
        }
    }
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_names_a_file_or_a_directory_by_its_prefix() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        let pem = b"-----BEGIN CERTIFICATE-----\n";
        std::fs::write(&file, pem).unwrap();
        std::fs::write(directory.path().join("notes"), "none").unwrap();
        let read =
            |prefix: &str, path: &Path| read(&format!("{prefix}{}", path.display()), "line 1");
        assert_eq!(read("FILE:", &file).unwrap(), pem);
        assert_eq!(
            read("DIR:", directory.path()).unwrap(),
            [&pem[..], b"\n"].concat()
        );
        for (prefix, path) in [
            ("", file.as_path()),
            ("FILE:", Path::new("/nonexistent/ca.pem")),
            ("DIR:", Path::new("/nonexistent")),
        ] {
            let error = read(prefix, path).unwrap_err().to_string();
            assert!(error.contains("line 1"), "{error}");
        }
        assert!(super::read("ENV:CROSSREALM_NO_SUCH_VARIABLE", "line 1").is_err());
    }
}
