//! The documentation that the package installs, at `/docs/`: for readers of a console, and where a machine has no other network.
//!
//! The files are read once, at the start, so that a request opens none: what is not in the table does not exist, however it is spelled.

use axum::body::{Body, Bytes};
use axum::http::header::{
    CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Where the packages install it.
pub(crate) const INSTALLED: &str = "/usr/share/doc/crossrealm/html";
/// Where it is served.
const ADDRESS: &str = "/docs";
const FIRST_PAGE: &str = "index.html";

/// Ours has fewer than 50 files of 1 MiB in all; a folder with more than this is another one.
const MAX_FILES: usize = 500;
/// See [`MAX_FILES`], in bytes.
const MAX_BYTES: u64 = 16 << 20;
/// How many folders deep a page may be.
const MAX_DEPTH: usize = 4;

/// The kinds of files that are served, by the ends of their names. Nothing else is read, from any folder.
const MEDIA_TYPES: [(&str, &str); 3] = [
    ("html", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("json", "application/json"),
];

/// Pages have a style sheet of their own, and nothing else: no script, no image, no form, no frame around them.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The pages, by their paths below the address.
#[derive(Default)]
pub(crate) struct Documentation(HashMap<String, Page>);

struct Page {
    media_type: &'static str,
    content: Bytes,
}

impl Documentation {
    /// Reads the folder. Without it nothing is served, which is logged unless it is only that no package was installed.
    pub(crate) fn load(folder: &Path) -> Self {
        match Self::read(folder) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::NotFound && folder == Path::new(INSTALLED) => {
                Self::default()
            }
            Err(error) => {
                tracing::warn!(
                    folder = %folder.display(),
                    "the documentation is not served: {error}; set `docs` to the folder of its pages"
                );
                Self::default()
            }
        }
    }

    fn read(folder: &Path) -> io::Result<Self> {
        let mut pages = HashMap::new();
        let mut bytes = 0;
        let mut folders = vec![(folder.to_owned(), String::new(), 0)];
        while let Some((folder, above, depth)) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                let Some(name) = plain_name(&entry.file_name()) else {
                    continue;
                };
                let path = format!("{above}{name}");
                // Of the entry itself: a link leads nowhere.
                let data = entry.metadata()?;
                if data.is_dir() && depth < MAX_DEPTH {
                    folders.push((entry.path(), format!("{path}/"), depth + 1));
                } else if let (true, Some(media_type)) = (data.is_file(), media_type(&name)) {
                    bytes += data.len();
                    if pages.len() == MAX_FILES || bytes > MAX_BYTES {
                        return Err(io::Error::other(format!(
                            "it holds more than {MAX_FILES} files or {MAX_BYTES} bytes"
                        )));
                    }
                    let content = std::fs::read(entry.path())?.into();
                    pages.insert(
                        path,
                        Page {
                            media_type,
                            content,
                        },
                    );
                }
            }
        }
        match pages.contains_key(FIRST_PAGE) {
            true => Ok(Self(pages)),
            false => Err(io::Error::other(format!("it holds no `{FIRST_PAGE}`"))),
        }
    }

    /// The response to a request for a page; `None` for any other.
    pub(crate) fn respond(&self, method: &Method, path: &str) -> Option<Response> {
        if self.0.is_empty() || !matches!(*method, Method::GET | Method::HEAD) {
            return None;
        }
        let path = match path.strip_prefix(ADDRESS)? {
            "" => return Some(to_the_first_page()),
            "/" => FIRST_PAGE,
            rest => rest.strip_prefix('/')?,
        };
        let page = self.0.get(path)?;
        let length = HeaderValue::from(page.content.len());
        let mut response = Response::new(match *method {
            Method::HEAD => Body::empty(),
            _ => Body::from(page.content.clone()),
        });
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(page.media_type));
        headers.insert(CONTENT_LENGTH, length);
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        Some(response)
    }
}

/// Relative links of the first page need the slash.
fn to_the_first_page() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let headers = response.headers_mut();
    headers.insert(LOCATION, HeaderValue::from_static("/docs/"));
    response
}

/// A name that is the same in an address. Hidden files have none.
fn plain_name(name: &std::ffi::OsStr) -> Option<String> {
    let name = name.to_str().filter(|name| !name.starts_with('.'))?;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    name.bytes().all(is_plain).then(|| name.to_owned())
}

fn media_type(name: &str) -> Option<&'static str> {
    let (_, end) = name.rsplit_once('.')?;
    let known = MEDIA_TYPES.iter().find(|(known, _)| *known == end);
    known.map(|(_, media_type)| *media_type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn site() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("guide")).unwrap();
        fs::write(folder.path().join("index.html"), "first").unwrap();
        fs::write(folder.path().join("guide/install.html"), "install").unwrap();
        folder
    }

    #[test]
    fn only_pages_are_read() {
        let site = site();
        let inside = |name: &str| site.path().join(name);
        for secret in ["master.key", "crossrealm.toml", "crossrealm.db", ".x.html"] {
            fs::write(inside(secret), "secret").unwrap();
        }
        symlink("/etc/passwd", inside("link.html")).unwrap();
        symlink("/etc", inside("etc")).unwrap();
        let read = Documentation::read(site.path()).unwrap();
        let mut paths: Vec<&str> = read.0.keys().map(String::as_str).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["guide/install.html", "index.html"]);
    }

    #[test]
    fn a_folder_that_is_not_the_documentation_is_refused() {
        let empty = tempfile::tempdir().unwrap();
        assert!(Documentation::read(empty.path()).is_err());
        assert!(Documentation::read(&empty.path().join("none")).is_err());
        let large = site();
        for number in 0..=MAX_FILES {
            fs::write(large.path().join(format!("{number}.html")), "").unwrap();
        }
        assert!(Documentation::read(large.path()).is_err());
    }

    #[test]
    fn nothing_but_a_page_is_answered() {
        let read = Documentation::read(site().path()).unwrap();
        let status = |method: Method, path: &str| {
            let response = read.respond(&method, path);
            response.map(|response| response.status().as_u16())
        };
        assert_eq!(status(Method::GET, "/docs/"), Some(200));
        assert_eq!(status(Method::GET, "/docs/guide/install.html"), Some(200));
        assert_eq!(status(Method::GET, "/docs"), Some(308));
        for other in [
            "/docs/guide/",
            "/docs/guide/../index.html",
            "/docs//index.html",
            "/docs/%69ndex.html",
            "/docsindex.html",
            "/documents/index.html",
        ] {
            assert_eq!(status(Method::GET, other), None, "{other}");
        }
        assert_eq!(status(Method::POST, "/docs/"), None);
        let none = Documentation::default();
        assert!(none.respond(&Method::GET, "/docs").is_none());
    }
}
