//! KCM: a daemon (of SSSD or of Heimdal) that keeps credential caches and hands them out on a local socket.
//!
//! A request is its length, a version, an operation and arguments; a reply is its length, the status of the transport, the status
//! of the operation, and what was asked for. Numbers are in network order, names end with a zero byte
//! (MIT krb5, `doc/formats/ccache_file_format` for what is inside; its `kcm.h` and Heimdal's `kcm-protos.h` for the operations).

use super::parts::Parts;
use crossrealm_krb::ccache::{MAX_CCACHE_LEN, MAX_CREDENTIALS};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

/// Where the daemon listens, unless krb5.conf says otherwise.
pub(super) const SOCKET: &str = "/var/run/.heim_org.h5l.kcm-socket";
/// How long the daemon may take for one answer; it reads a local database.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Version 2.0 of the protocol.
const VERSION: [u8; 2] = [2, 0];
/// An entry's identifier, in bytes.
const UUID_LEN: usize = 16;

/// The operations that read: `KCM_OP_GET_…`.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Principal = 8,
    CredUuidList = 9,
    CredByUuid = 10,
    DefaultCache = 20,
}

/// What the daemon answers where there is no such cache: `KRB5_CC_NOTFOUND`, `KRB5_CC_END`, `KRB5_FCC_NOFILE`.
const NO_CACHE: [i32; 3] = [-1_765_328_243, -1_765_328_242, -1_765_328_189];

/// Reads the cache of this name, or the daemon's default one.
pub(super) fn read(socket: &Path, name: Option<&str>) -> io::Result<Parts> {
    let mut daemon = Daemon::connect(socket)?;
    let name = match name {
        Some(name) => terminated(name.as_bytes()),
        None => terminated(&daemon.call(Operation::DefaultCache, &[])?),
    };
    let principal = daemon.call(Operation::Principal, &name)?;
    let uuids = daemon.call(Operation::CredUuidList, &name)?;
    if uuids.len() > MAX_CREDENTIALS * UUID_LEN {
        return Err(garbled("lists too many tickets"));
    }
    let mut entries = Vec::new();
    let mut total = 0;
    for uuid in uuids.chunks(UUID_LEN) {
        let entry = daemon.call(Operation::CredByUuid, &[&name, uuid].concat())?;
        total += entry.len();
        if total > MAX_CCACHE_LEN {
            return Err(garbled("holds too large a cache"));
        }
        entries.push(entry);
    }
    Ok(Parts { principal, entries })
}

/// The name up to its first zero byte, and one behind it.
fn terminated(name: &[u8]) -> Vec<u8> {
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    [name, &[0]].concat()
}

struct Daemon(UnixStream);

impl Daemon {
    /// A socket that is not there, or that nobody listens on, means that no daemon runs: an error of its own, since tickets may exist.
    fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket).map_err(|error| {
            let what = format!("no daemon answers at `{}`: {error}", socket.display());
            io::Error::new(io::ErrorKind::NotConnected, what)
        })?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.set_write_timeout(Some(ANSWER_LIMIT))?;
        Ok(Self(stream))
    }

    fn call(&mut self, operation: Operation, arguments: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut request = VERSION.to_vec();
        request.extend((operation as u16).to_be_bytes());
        request.extend(arguments);
        let length = u32::try_from(request.len()).map_err(|_| garbled("has too long a name"))?;
        self.0.write_all(&length.to_be_bytes())?;
        self.0.write_all(&request)?;
        let length = self.number()?.unsigned_abs();
        expect_success(self.number()?)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !(4..=MAX_CCACHE_LEN).contains(&length) {
            return Err(garbled("sends a reply of an impossible length"));
        }
        expect_success(self.number()?)?;
        let mut reply = Zeroizing::new(vec![0; length - 4]);
        self.0.read_exact(&mut reply)?;
        Ok(reply)
    }

    fn number(&mut self) -> io::Result<i32> {
        let mut bytes = [0; 4];
        self.0.read_exact(&mut bytes)?;
        Ok(i32::from_be_bytes(bytes))
    }
}

fn expect_success(status: i32) -> io::Result<()> {
    match status {
        0 => Ok(()),
        status if NO_CACHE.contains(&status) => Err(io::ErrorKind::NotFound.into()),
        status => Err(io::Error::other(format!("the daemon answers {status}"))),
    }
}

fn garbled(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the daemon {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// A daemon that sends these bytes and hangs up.
    fn daemon(bytes: Vec<u8>) -> (tempfile::TempDir, std::thread::JoinHandle<()>) {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(&bytes).unwrap();
            // What was asked is read before the end, or the client could see a broken pipe.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        });
        (folder, thread)
    }

    fn answered(bytes: &[&[u8]]) -> io::Error {
        let (folder, thread) = daemon(bytes.concat());
        let error = read(&folder.path().join("socket"), Some("0"))
            .err()
            .unwrap();
        thread.join().unwrap();
        error
    }

    #[test]
    fn hostile_answers_are_refused() {
        // A length below the status, one of four gigabytes, one that lies, and silence.
        for bytes in [
            &[0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &[0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            &[],
        ] {
            let error = answered(&[bytes]);
            let kinds = [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof];
            assert!(kinds.contains(&error.kind()), "{bytes:?}: {error:?}");
        }
    }

    #[test]
    fn a_status_is_told_from_an_absent_cache() {
        let header = [0, 0, 0, 4, 0, 0, 0, 0];
        let absent = answered(&[&header, &(-1_765_328_189_i32).to_be_bytes()]);
        assert_eq!(absent.kind(), io::ErrorKind::NotFound);
        let refused = answered(&[&header, &13_i32.to_be_bytes()]);
        assert!(refused.to_string().contains("answers 13"), "{refused}");
    }

    #[test]
    fn a_missing_daemon_is_not_a_missing_cache() {
        let error = read(Path::new("/nonexistent/socket"), None).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    }
}
