//! The faults: what is broken, and which check must be named for it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crossrealm_lab::story::CLOUD_REALM;
use crossrealm_lab::{Failure, PATIENCE, Place, REALM, Run, USER_PASSWORD};

use crate::conf::replaced_value;
use crate::play::{AD, Fault, HOST, Play, SHARE, principal};

const DC: &str = "10.77.1.1";
const CLOUD: &str = "10.77.2.1";
const PYTHON: &str = "/usr/bin/python3";
/// The trusted domain object in AD's own database.
const TDO: &str = "CN=kerberos.contoso.cloud.example,CN=System,DC=corp,DC=contoso,DC=com";

type Broken = Result<Run, Failure>;
type Mended = Result<(), Failure>;

macro_rules! faults {
    ($($name:literal, $cause:literal, $reason:literal, $breaks:expr, $mends:expr;)+) => {
        /// All of them. Those of the user's own choice need no mending.
        pub(crate) const FAULTS: &[Fault] = &[$(Fault {
            name: $name,
            cause: $cause,
            reason: $reason,
            breaks: $breaks,
            mends: $mends,
        },)+];
    };
}

faults! {
    "the service's name is gone from the DNS", "dns-login", "", |play| without_host(play, "login.cloud.example"), hosts_again;
    "the share's name is gone from the DNS", "dns-share", "", |play| without_host(play, HOST), hosts_again;
    "the service's port is blocked", "port-login", "", |play| blocked(play, CLOUD, 443), |play| open(play, CLOUD, 443);
    "the share's port is blocked", "port-share", "", |play| blocked(play, CLOUD, 445), |play| open(play, CLOUD, 445);
    "the domain controller's Kerberos port is blocked", "port-dc-88", "", |play| blocked(play, DC, 88), |play| open(play, DC, 88);
    "the domain controller's LDAP port is blocked for an administrator", "port-dc-389", "", |play| Ok(blocked(play, DC, 389)?.args(["--domain", AD])), |play| open(play, DC, 389);
    "the domain controller's SMB port is blocked for an administrator", "port-dc-445", "", |play| Ok(blocked(play, DC, 445)?.args(["--domain", AD])), |play| open(play, DC, 445);
    "another authority is trusted", "tls-login", "", |play| Ok(play.doctor("alice").env("CROSSREALM_CA", other_authority(play)?)), nothing;
    "the certificate is for another name", "tls-login", "", other_name, hosts_again;
    "the certificate has expired", "tls-login", "", expired_certificate, own_certificate;
    "the computer's clock is ten minutes ahead", "clock-cloud", "", |play| skewed(play, 600), nothing;
    "the computer's clock is ten minutes behind", "clock-cloud", "", |play| skewed(play, -600), nothing;
    "the token is none", "api-token", "", |play| Ok(play.doctor("alice").env("CROSSREALM_TOKEN", "nonsense")), nothing;
    "the tenant's name is wrong", "tenant", "", |play| Ok(play.doctor("alice").env("CROSSREALM_TENANT", "fourth")), nothing;
    "krb5.conf does not know the tenant", "krb5-conf", "", |play| play.with_conf(|text| text.replace(CLOUD_REALM, "KERBEROS.ELSEWHERE.EXAMPLE").replace("kdc = https", "admin_server = https")), nothing;
    "the KDC proxy's address has no https", "proxy-string", "", |play| play.with_conf(|text| text.replace("kdc = https://", "kdc = http://")), nothing;
    "the KDC proxy's address lacks its end", "proxy-string", "", |play| play.with_conf(|text| text.replace("/kerberos\n", "/\n")), nothing;
    "krb5.conf names another tenant's id", "proxy-string", "", |play| play.with_conf(other_tenant), nothing;
    "krb5.conf names a tenant that is not there, and there is no token", "kdc-proxy", "", |play| Ok(play.bare_doctor("alice").env("KRB5_CONFIG", play.edited(other_tenant)?)), nothing;
    "krb5.conf trusts another authority", "http-anchors", "", |play| { let other = other_authority(play)?; play.with_conf(|text| replaced_value(&text, "http_anchors", &format!("FILE:{}", other.display()))) }, nothing;
    "hosts are mapped to the wrong realm", "realm-mapping", "", |play| play.with_conf(|text| text.replace("[domain_realm]\n", "[domain_realm]\n .cloud.example = OTHER.EXAMPLE\n")), nothing;
    "the domain controller's name is wrong", "dns-dc", "", |play| Ok(play.doctor("alice").args(["--dc", "dc9.corp.contoso.com"])), nothing;
    "nobody is signed in", "tgt", "", |play| Ok(play.doctor("nobody")), nothing;
    "the sign-in has expired", "tgt-valid", "", expired_sign_in, nothing;
    "the sign-in uses RC4", "tgt-etype", "", weak_sign_in, nothing;
    "the trust is gone from AD", "tdo", "", trust_gone, trust_again;
    "the trust uses RC4 only", "tdo-etypes", "", |play| changed_trust(play, "msDS-SupportedEncryptionTypes: 4"), |play| changed_trust(play, "msDS-SupportedEncryptionTypes: 24").map(drop);
    "a top-level name is missing", "top-level-names", "", |play| names_of_trust(play, "second.cloud.example", 0), |play| names_of_trust(play, "contoso.cloud.example", 0).map(drop);
    "a top-level name is switched off", "top-level-names", "", |play| names_of_trust(play, "contoso.cloud.example", 4), |play| names_of_trust(play, "contoso.cloud.example", 0).map(drop);
    "another trust claims the names", "collisions", "", collision, no_collision;
    "AD has a service of the share's name", "spn-shadow", "", |play| spn(play, "add"), |play| spn(play, "delete").map(drop);
    "a rotation is half done", "trust-record", "", |play| { api(play, "POST", "trusts/corp.contoso.com/prepare", &prepare(play, true)?)?; Ok(play.doctor("alice")) }, trust_again;
    "the trust's key in AD is stale", "service-ticket", "ticket-integrity", stale_key, trust_again;
    "the user was never synced", "user-synced", "", |play| Ok(play.doctor("dana")), nothing;
    "the user was never synced, and there is no token", "service-ticket", "identity-not-synced", |play| Ok(play.bare_doctor("dana")), nothing;
    "the user is disabled", "user-enabled", "", |play| Ok(play.doctor("mallory")), nothing;
    "the user is disabled, and there is no token", "service-ticket", "identity-disabled", |play| Ok(play.bare_doctor("mallory")), nothing;
    "the user was disabled in AD since the sign-in", "referral", "", |play| Ok(play.doctor("svc-sync")), nothing;
    "the user is in too many groups", "group-count", "", |play| Ok(play.doctor("crowd")), nothing;
    "the user is in too many groups, and there is no token", "service-ticket", "too-many-groups", |play| Ok(play.bare_doctor("crowd")), nothing;
    "the user is another one in AD by now", "user-sid", "", |play| Ok(play.doctor("alice").args(["--user", "ghost@corp.contoso.com"])), nothing;
    "there is no such share", "storage-account", "", |play| Ok(play.doctor_for("alice", "acct1/archive")), nothing;
    "there is no such account, and there is no token", "service-ticket", "service-unknown", |play| Ok(play.bare_doctor_for("alice", "acct9/projects")), nothing;
    "the user has no role", "role", "", |play| Ok(play.doctor("bob")), nothing;
    "the user has no role, and there is no token", "smb-share", "", |play| Ok(play.bare_doctor("bob")), nothing;
    "the share is opened by a name that the account does not have", "storage-account", "", |play| Ok(play.doctor("alice").args(["--host", "files.contoso.cloud.example"])), nothing;
    "a host says that it cannot serve", "host-health", "", |play| host_report(play, false, 1), |play| host_report(play, true, 1).map(drop);
    "a host has not fetched the newest key", "host-keytab", "", |play| host_report(play, true, 77), |play| host_report(play, true, 1).map(drop);
    "the folder's permissions keep the user out", "file-acl", "", |play| { permissions(play, 0o700)?; Ok(play.doctor("alice")) }, |play| permissions(play, 0o777);
    "the keytab is of another key", "keytab", "", wrong_keytab, nothing;
    "smbd does not run", "port-share", "", files_down, files_up;
    "the given authority's file is not there", "tls-login", "", |play| Ok(play.doctor("alice").env("CROSSREALM_CA", "/nonexistent/ca.pem")), nothing;
    "the given authority's file holds no certificate", "tls-login", "", |play| Ok(play.doctor("alice").env("CROSSREALM_CA", "/etc/hostname")), nothing;
    "the service's address is not one of HTTPS", "settings", "", |play| Ok(at_server(play, "http://login.cloud.example")), nothing;
    "the service's address has another name", "dns-login", "", |play| Ok(at_server(play, "https://logon.cloud.example")), nothing;
    "the service's address has another port", "port-login", "", |play| Ok(at_server(play, "https://login.cloud.example:8443")), nothing;
    "the service's address is that of the SMB host", "tls-login", "", |play| Ok(at_server(play, "https://login.cloud.example:445")), nothing;
    "the service's name leads to another computer", "port-login", "", |play| moved_host(play, "login.cloud.example"), hosts_again;
    "the share's name leads to another computer", "smb-session", "", |play| moved_host(play, HOST), hosts_again;
    "the credential cache is damaged", "tgt", "", |play| with_cache(play, b"\x05\x04nonsense"), nothing;
    "the credential cache is empty", "tgt", "", |play| with_cache(play, b""), nothing;
    "the tickets do not include the sign-in", "tgt", "", without_sign_in, nothing;
    "the domain controller is another computer", "port-dc-88", "", |play| Ok(play.doctor("alice").args(["--dc", "login.cloud.example"])), nothing;
    "the domain's name is wrong", "dns-dc", "", |play| Ok(play.doctor("alice").args(["--domain", "other.example"])), nothing;
    "the password that AD is read with is wrong", "directory", "", wrong_password, nothing;
    "the keytab that AD is read with is not there", "directory", "", |play| Ok(play.doctor("alice").args(["--domain", AD, "--domain-keytab", "/nonexistent/reader.keytab"])), nothing;
    "there is no such user", "user-synced", "", |play| Ok(play.doctor("alice").args(["--user", "nobody@corp.contoso.com"])), nothing;
    "the user is one of the cloud alone", "user-synced", "", cloud_only, nothing;
    "the keytab is not there", "keytab", "", |play| Ok(play.doctor("alice").args(["--keytab", "/nonexistent/acct1.keytab"])), nothing;
    "the keytab is none", "keytab", "", |play| Ok(play.doctor("alice").args(["--keytab", "/etc/hostname"])), nothing;
    "the keytab is of another service", "keytab", "", |play| made_keytab(play, &format!("HTTP/{HOST}")), nothing;
    "there is no such account", "storage-account", "", |play| Ok(play.doctor_for("alice", "acct9/projects")), nothing;
    "F13: the share's name is wrong, and there is no token", "smb-share", "", |play| Ok(play.bare_doctor_for("alice", "acct1/projcts")), nothing;
    "no top-level name covers the host, and there is no token", "top-level-names", "", |play| Ok(play.bare_doctor("alice").args(["--host", "files.elsewhere.example"])), nothing;
    "the trust is not forest-transitive", "tdo", "", |play| changed_trust(play, "trustAttributes: 0"), |play| changed_trust(play, "trustAttributes: 8").map(drop);
    "the trust has the other direction", "tdo", "", |play| changed_trust(play, "trustDirection: 2"), |play| changed_trust(play, "trustDirection: 1").map(drop);
    "the trust is of another tenant", "tdo", "", |play| changed_trust(play, "securityIdentifier: S-1-5-21-7-7-7"), own_sid;
    "the trust's encryption types are not set", "tdo-etypes", "", |play| changed_trust(play, "msDS-SupportedEncryptionTypes: 0"), |play| changed_trust(play, "msDS-SupportedEncryptionTypes: 24").map(drop);
    "AD has a computer of the share's name", "spn-shadow", "", |play| named_spn(play, "add", "HOST"), |play| named_spn(play, "delete", "HOST").map(drop);
    "the removal of the trust is half done", "trust-record", "", |play| { api(play, "POST", "trusts/corp.contoso.com/removal", "")?; Ok(play.doctor("alice")) }, |play| api(play, "DELETE", "trusts/corp.contoso.com/removal", "").map(drop);
    "the user was disabled in AD, and the tenant does not know", "user-enabled", "", |play| from_admin(play, "svc-sync"), nothing;
    "the user's account expired in AD, and the tenant does not know", "user-enabled", "", |play| { changed_user(play, "accountExpires: 132223104000000000")?; from_admin(play, "alice") }, |play| changed_user(play, "accountExpires: 0");
    "the service's database is gone", "service-health", "", database_gone, database_again;
    "the service hangs", "tls-login", "", |play| { signal(play, "STOP")?; Ok(play.doctor("alice")) }, |play| signal(play, "CONT");
    "the service does not run", "port-login", "", cloud_down, cloud_up;
}

fn nothing(_: &mut Play) -> Mended {
    Ok(())
}

// --- the network

fn rule(play: &Play, verb: &str, address: &str, port: u16) -> Mended {
    let rule = [
        "rule",
        verb,
        "to",
        address,
        "ipproto",
        "tcp",
        "dport",
        &port.to_string(),
        "prohibit",
    ];
    play.story
        .world
        .at(Place::Client, "ip")
        .args(rule)
        .ok()
        .map(drop)
}

fn blocked(play: &mut Play, address: &str, port: u16) -> Broken {
    rule(play, "add", address, port)?;
    Ok(play.doctor("alice"))
}

fn open(play: &mut Play, address: &str, port: u16) -> Mended {
    rule(play, "del", address, port)
}

fn hosts_file(play: &Play) -> PathBuf {
    let space = play.story.world.namespace(Place::Client);
    Path::new("/etc/netns").join(space).join("hosts")
}

/// Takes a name away, keeping what was there. The file keeps its inode.
fn without_host(play: &mut Play, name: &str) -> Broken {
    let file = hosts_file(play);
    let text = std::fs::read_to_string(&file)?;
    play.story.world.write(Place::Client, "hosts.kept", &text)?;
    let rest: Vec<&str> = text
        .lines()
        .filter(|line| !line.ends_with(&format!(" {name}")))
        .collect();
    std::fs::write(&file, rest.join("\n") + "\n")?;
    Ok(play.doctor("alice"))
}

/// Lets a name lead to the domain controller, keeping what was there.
fn moved_host(play: &mut Play, name: &str) -> Broken {
    let doctor = without_host(play, name)?;
    let file = hosts_file(play);
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(&file, format!("{text}{DC} {name}\n"))?;
    Ok(doctor)
}

fn at_server(play: &Play, url: &str) -> Run {
    play.doctor("alice").env("CROSSREALM_SERVER", url)
}

fn hosts_again(play: &mut Play) -> Mended {
    let kept = std::fs::read(play.story.world.path(Place::Client, "hosts.kept"))?;
    Ok(std::fs::write(hosts_file(play), kept)?)
}

// --- certificates and clocks

/// A new authority, and a certificate of it for the service that ended a month ago.
fn make_certificates(play: &Play) -> Result<PathBuf, Failure> {
    const SCRIPT: &str = r#"
import datetime, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
folder = sys.argv[1]
now = datetime.datetime.utcnow()
day = datetime.timedelta(days=1)
name = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
def build(subject, issuer, key, signer, ends, ca):
    made = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer)).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - 400 * day).not_valid_after(now + ends * day)
    made = made.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if not ca:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
    return made.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
ca, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
open(folder + '/other-ca.pem', 'wb').write(build('Other CA', 'Other CA', ca, ca, 400, True))
open(folder + '/expired.pem', 'wb').write(build('login.cloud.example', 'Other CA', key, ca, -30, False))
private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
open(folder + '/expired.key', 'wb').write(private)
"#;
    let folder = play.story.world.folder(Place::Client);
    if !folder.join("other-ca.pem").exists() {
        play.story
            .world
            .at(Place::Client, PYTHON)
            .args(["-c", SCRIPT])
            .arg(&folder)
            .ok()?;
    }
    Ok(folder)
}

fn other_authority(play: &Play) -> Result<PathBuf, Failure> {
    Ok(make_certificates(play)?.join("other-ca.pem"))
}

fn other_name(play: &mut Play) -> Broken {
    let file = hosts_file(play);
    let text = std::fs::read_to_string(&file)?;
    play.story.world.write(Place::Client, "hosts.kept", &text)?;
    std::fs::write(&file, format!("{text}{CLOUD} kdc.cloud.example\n"))?;
    Ok(play
        .doctor("alice")
        .env("CROSSREALM_SERVER", "https://kdc.cloud.example"))
}

fn expired_certificate(play: &mut Play) -> Broken {
    let made = make_certificates(play)?;
    let tls = play.story.cloud_folder().join("tls");
    cloud_down(play)?;
    for (from, to) in [("expired.pem", "login.pem"), ("expired.key", "login.key")] {
        std::fs::copy(tls.join(to), tls.join(format!("{to}.kept")))?;
        // Written in place: the key's mode stays.
        std::fs::write(tls.join(to), std::fs::read(made.join(from))?)?;
    }
    play.story.start_cloud()?;
    Ok(play
        .doctor("alice")
        .env("CROSSREALM_CA", made.join("other-ca.pem")))
}

fn own_certificate(play: &mut Play) -> Mended {
    let tls = play.story.cloud_folder().join("tls");
    cloud_down(play)?;
    for file in ["login.pem", "login.key"] {
        std::fs::write(
            tls.join(file),
            std::fs::read(tls.join(format!("{file}.kept")))?,
        )?;
    }
    cloud_up(play)
}

/// The doctor with a clock that is off: the C library's clock, as the program asks for it.
fn skewed(play: &mut Play, seconds: i64) -> Broken {
    const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += atol(getenv("SKEW"));
    return result;
}
"#;
    let source = play.story.world.write(Place::Client, "skew.c", SOURCE)?;
    let library = play.story.world.path(Place::Client, "skew.so");
    if !library.exists() {
        let cc = Run::here("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(source);
        cc.arg("-ldl").ok()?;
    }
    let doctor = play.doctor("alice");
    Ok(doctor
        .env("LD_PRELOAD", library)
        .env("SKEW", seconds.to_string()))
}

// --- krb5.conf

fn other_tenant(text: String) -> String {
    let marker = "https://login.cloud.example:443/";
    let Some((before, after)) = text.split_once(marker) else {
        return text;
    };
    let rest = after.split_once('/').map_or("", |(_, rest)| rest);
    format!("{before}{marker}00000000-0000-4000-8000-000000000000/{rest}")
}

// --- sign-ins

fn expired_sign_in(play: &mut Play) -> Broken {
    let conf = play.story.krb5_conf();
    let kinit = play
        .story
        .world
        .at(Place::Client, "kinit")
        .args(["-l", "2s"])
        .arg(principal("alice"));
    let kinit = kinit.stdin(format!("{USER_PASSWORD}\n"));
    play.story
        .world
        .as_user(kinit, "short.ccache", &conf)
        .ok()?;
    std::thread::sleep(Duration::from_secs(3));
    Ok(play.doctor("short"))
}

fn weak_sign_in(play: &mut Play) -> Broken {
    let weak = "[libdefaults]\n allow_weak_crypto = true\n default_tkt_enctypes = arcfour-hmac\n default_tgs_enctypes = arcfour-hmac\n permitted_enctypes = arcfour-hmac\n";
    let conf = play.edited(|text| format!("{weak}{text}"))?;
    let kinit = play
        .story
        .world
        .at(Place::Client, "kinit")
        .arg(principal("alice"));
    let kinit = kinit.stdin(format!("{USER_PASSWORD}\n"));
    play.story.world.as_user(kinit, "weak.ccache", &conf).ok()?;
    Ok(play.doctor("weak"))
}

fn with_cache(play: &mut Play, content: &[u8]) -> Broken {
    play.story
        .world
        .write(Place::Client, "damaged.ccache", content)?;
    Ok(play.doctor("damaged"))
}

/// A ticket for a service alone, without the ticket-granting ticket.
fn without_sign_in(play: &mut Play) -> Broken {
    let kinit = play.story.world.at(Place::Client, "kinit");
    let kinit = kinit
        .args(["-S", "ldap/dc1.corp.contoso.com"])
        .arg(principal("alice"));
    let kinit = kinit.stdin(format!("{USER_PASSWORD}\n"));
    let conf = play.story.krb5_conf();
    play.story
        .world
        .as_user(kinit, "service.ccache", &conf)
        .ok()?;
    Ok(play.doctor("service"))
}

fn wrong_password(play: &mut Play) -> Broken {
    let file = play
        .story
        .world
        .write(Place::Client, "wrong.password", "wrong")?;
    let words = [
        "--domain",
        AD,
        "--domain-user",
        "bob@corp.contoso.com",
        "--domain-password-file",
    ];
    Ok(play.doctor("alice").args(words).arg(file))
}

/// The doctor of an administrator about somebody, who reads AD with credentials of its own.
fn from_admin(play: &Play, user: &str) -> Broken {
    let user = format!("{user}@corp.contoso.com");
    let words = ["doctor", "-o", "json", "--share", SHARE, "--user", &user];
    play.story.with_domain_admin(&words)
}

// --- the trust

fn changed(play: &Play, ldif: &str) -> Mended {
    let file = play.story.world.write(Place::Onprem, "change.ldif", ldif)?;
    play.database("ldbmodify", &file).ok().map(drop)
}

fn changed_trust(play: &mut Play, value: &str) -> Broken {
    let name = value.split(':').next().unwrap_or_default();
    changed(
        play,
        &format!("dn: {TDO}\nchangetype: modify\nreplace: {name}\n{value}\n"),
    )?;
    Ok(play.doctor("alice"))
}

/// `msDS-TrustForestTrustInfo` with one top-level name, made by Samba's own marshalling.
fn forest_info(play: &Play, name: &str, flags: u32) -> Result<String, Failure> {
    const SCRIPT: &str = r#"
import base64, sys
from samba.dcerpc import drsblobs, lsa
from samba.ndr import ndr_pack
info = drsblobs.ForestTrustInfo()
record = drsblobs.ForestTrustInfoRecord()
record.flags, record.timestamp, record.type = int(sys.argv[2]), 0, 0
record.data.string = sys.argv[1]
armor = drsblobs.ForestTrustInfoRecordArmor()
armor.record = record
info.version, info.count, info.records = 1, 1, [armor]
print(base64.b64encode(ndr_pack(info)).decode())
"#;
    let run = play
        .story
        .world
        .at(Place::Onprem, PYTHON)
        .args(["-c", SCRIPT, name]);
    Ok(run.arg(flags.to_string()).ok()?.out().trim().to_owned())
}

fn names_of_trust(play: &mut Play, name: &str, flags: u32) -> Broken {
    let info = forest_info(play, name, flags)?;
    changed_trust(play, &format!("msDS-TrustForestTrustInfo:: {info}"))
}

fn collision(play: &mut Play) -> Broken {
    let info = forest_info(play, "file.contoso.cloud.example", 0)?;
    let ldif = format!(
        "dn: CN=other.example,CN=System,DC=corp,DC=contoso,DC=com\nobjectClass: trustedDomain\ntrustPartner: other.example\nflatName: OTHER\n\
         trustDirection: 1\ntrustType: 2\ntrustAttributes: 8\nsecurityIdentifier: S-1-5-21-7-7-7\nmsDS-TrustForestTrustInfo:: {info}\n"
    );
    let file = play.story.world.write(Place::Onprem, "other.ldif", ldif)?;
    play.database("ldbadd", &file).ok()?;
    Ok(play.doctor("alice"))
}

fn no_collision(play: &mut Play) -> Mended {
    let database = play.story.world.dc_folder().join("private/sam.ldb");
    let delete = play
        .story
        .world
        .at(Place::Onprem, "ldbdel")
        .arg("--relax")
        .arg("-H")
        .arg(database);
    delete
        .arg("CN=other.example,CN=System,DC=corp,DC=contoso,DC=com")
        .ok()
        .map(drop)
}

fn own_sid(play: &mut Play) -> Mended {
    let show = ["-o", "json", "tenant", "show", "contoso"];
    let tenant = play
        .story
        .crossrealm(Place::Admin)
        .args(show)
        .ok()?
        .json()?;
    let sid = tenant["sid"].as_str().unwrap_or_default();
    changed_trust(play, &format!("securityIdentifier: {sid}")).map(drop)
}

fn changed_user(play: &mut Play, value: &str) -> Mended {
    let name = value.split(':').next().unwrap_or_default();
    let dn = "CN=Alice Archer,CN=Users,DC=corp,DC=contoso,DC=com";
    changed(
        play,
        &format!("dn: {dn}\nchangetype: modify\nreplace: {name}\n{value}\n"),
    )
}

fn spn(play: &mut Play, verb: &str) -> Broken {
    named_spn(play, verb, "cifs")
}

fn named_spn(play: &mut Play, verb: &str, class: &str) -> Broken {
    let name = format!("{class}/{HOST}");
    play.story
        .world
        .samba_tool(&["spn", verb, &name, "bob"])
        .ok()?;
    Ok(play.doctor("alice"))
}

fn trust_gone(play: &mut Play) -> Broken {
    let database = play.story.world.dc_folder().join("private/sam.ldb");
    let delete = play
        .story
        .world
        .at(Place::Onprem, "ldbdel")
        .arg("--relax")
        .arg("-H")
        .arg(database);
    // The trust's account goes with it, as when the trust is removed by the LSA.
    let account = "CN=CONTOSO-KRB$,CN=Users,DC=corp,DC=contoso,DC=com";
    delete.arg(TDO).arg(account).ok()?;
    Ok(play.doctor("alice"))
}

fn trust_again(play: &mut Play) -> Mended {
    play.story
        .with_domain_admin(&["kerberos-server", "set", "--setup-cloud-trust"])?
        .ok()
        .map(drop)
}

/// A call of the API by the administrator.
fn api(play: &Play, method: &str, path: &str, body: &str) -> Result<String, Failure> {
    call(
        play.story
            .with_settings(play.story.world.at(Place::Admin, PYTHON)),
        method,
        path,
        body,
    )
}

/// A call of the API with another token.
fn api_as(
    play: &Play,
    token: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Result<String, Failure> {
    let run = play
        .story
        .with_settings(play.story.world.at(Place::Admin, PYTHON));
    call(run.env("CROSSREALM_TOKEN", token), method, path, body)
}

/// A call of the API by a program that is no client of ours; its answer.
fn call(run: Run, method: &str, path: &str, body: &str) -> Result<String, Failure> {
    const SCRIPT: &str = r#"
import os, ssl, sys, urllib.request
method, path, body = sys.argv[1:4]
url = os.environ['CROSSREALM_SERVER'] + '/api/v1/tenants/' + os.environ['CROSSREALM_TENANT'] + '/' + path
headers = {'Authorization': 'Bearer ' + os.environ['CROSSREALM_TOKEN'], 'Content-Type': 'application/json'}
request = urllib.request.Request(url, body.encode() or None, headers, method=method)
trust = ssl.create_default_context(cafile=os.environ['CROSSREALM_CA'])
print(urllib.request.urlopen(request, context=trust, timeout=20).read().decode())
"#;
    let output = run.args(["-c", SCRIPT, method, path, body]).ok()?;
    Ok(output.out())
}

fn prepare(play: &Play, rotate: bool) -> Result<String, Failure> {
    let sid = play.story.world.sid_of("alice")?;
    let domain = sid.rsplit_once('-').map_or("", |(domain, _)| domain);
    let names = ["contoso.cloud.example"];
    let wanted = serde_json::json!({"realm": REALM, "flat_name": "CORP", "sid": domain, "top_level_names": names, "rotate": rotate});
    Ok(wanted.to_string())
}

/// The tenant forgets its key and gets a new one that AD does not know.
fn stale_key(play: &mut Play) -> Broken {
    api(play, "DELETE", "trusts/corp.contoso.com", "")?;
    api(
        play,
        "POST",
        "trusts/corp.contoso.com/prepare",
        &prepare(play, false)?,
    )?;
    let confirm = serde_json::json!({"version": 1, "top_level_names": ["contoso.cloud.example"]});
    api(
        play,
        "POST",
        "trusts/corp.contoso.com/confirm",
        &confirm.to_string(),
    )?;
    Ok(play.doctor("alice"))
}

// --- users, shares, hosts

/// What a second host of the account reports of itself, with a token of its own.
fn host_report(play: &mut Play, serving: bool, kvno: u32) -> Broken {
    let token = play.story.world.path(Place::Admin, "second.token");
    if !token.exists() {
        let make = [
            "storage-account",
            "host-token",
            "acct1",
            "--for",
            "second",
            "--out",
        ];
        play.story
            .crossrealm(Place::Admin)
            .args(make)
            .arg(&token)
            .ok()?;
    }
    let problem = (!serving).then_some("smbd ended with exit code 1");
    let report = serde_json::json!({
        "program": "0.1.0", "listen": "0.0.0.0:445", "serving": serving, "problem": problem,
        "smbd_restarts": 0, "winbindd_restarts": 0, "kvnos": [kvno, kvno + 1], "session_count": 0,
    });
    let token = std::fs::read_to_string(&token)?;
    let path = "storage-accounts/acct1/hosts/second";
    api_as(play, token.trim(), "PUT", path, &report.to_string())?;
    Ok(play.doctor("alice"))
}

fn share_folder(play: &Play) -> PathBuf {
    play.story
        .world
        .path(Place::Cloud, "files")
        .join("acct1/shares/projects")
}

fn permissions(play: &mut Play, mode: u32) -> Mended {
    use std::os::unix::fs::PermissionsExt;
    let folder = share_folder(play);
    Ok(std::fs::set_permissions(
        folder,
        std::fs::Permissions::from_mode(mode),
    )?)
}

/// A keytab with the right name and version, and a key of somebody's own.
fn wrong_keytab(play: &mut Play) -> Broken {
    made_keytab(play, &format!("cifs/{HOST}"))
}

fn made_keytab(play: &mut Play, service: &str) -> Broken {
    let keytab = play.story.world.path(Place::Client, "wrong.keytab");
    // `ktutil` adds to a file that is there.
    let _ = std::fs::remove_file(&keytab);
    let commands = format!(
        "addent -password -p {service}@{CLOUD_REALM} -k 1 -e aes256-cts-hmac-sha1-96\nsecret\nwkt {}\nquit\n",
        keytab.display()
    );
    play.story
        .world
        .at(Place::Client, "ktutil")
        .stdin(commands)
        .ok()?;
    Ok(play.doctor("alice").arg("--keytab").arg(keytab))
}

fn cloud_only(play: &mut Play) -> Broken {
    let upn = "guest@contoso.cloud.example";
    let show = ["user", "show", upn];
    if play
        .story
        .crossrealm(Place::Admin)
        .args(show)
        .output()?
        .code
        != Some(0)
    {
        let create = ["user", "create", upn];
        play.story.crossrealm(Place::Admin).args(create).ok()?;
    }
    Ok(play.doctor("alice").args(["--user", upn]))
}

/// Takes the database's file away from the running service, which notices with its next heartbeat.
fn database_gone(play: &mut Play) -> Broken {
    let file = play.story.cloud_folder().join("crossrealm.db");
    std::fs::rename(&file, file.with_extension("gone"))?;
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let curl = play.story.world.at(Place::Client, "curl").args([
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
        ]);
        let curl = curl.arg("--cacert").arg(play.story.ca());
        if curl
            .arg("https://login.cloud.example/healthz")
            .output()?
            .out()
            == "503"
        {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(play.doctor("alice"))
}

fn database_again(play: &mut Play) -> Mended {
    let file = play.story.cloud_folder().join("crossrealm.db");
    std::fs::rename(file.with_extension("gone"), &file)?;
    cloud_down(play)?;
    cloud_up(play)
}

fn files_down(play: &mut Play) -> Broken {
    if let Some(files) = play.story.files.take() {
        files.stop(PATIENCE)?;
    }
    Ok(play.doctor("alice"))
}

/// Starts the SMB host again, and waits until it takes sessions.
fn files_up(play: &mut Play) -> Mended {
    play.story.play_steps(&["files_serve"])?;
    hosts_are_well(play)
}

/// Waits until the service knows of every host of the account that it serves.
fn hosts_are_well(play: &Play) -> Mended {
    let began = Instant::now();
    loop {
        let hosts = ["-o", "json", "storage-account", "hosts", "acct1"];
        let output = play.story.crossrealm(Place::Admin).args(hosts).ok()?;
        let json = output.json()?;
        let all = json.as_array().map(Vec::as_slice).unwrap_or_default();
        let well = |host: &serde_json::Value| host["serving"] == true;
        if !all.is_empty() && all.iter().all(well) {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(output.failure("was expected to show hosts that serve"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Stops the service's process in its tracks, or lets it go on.
fn signal(play: &mut Play, name: &str) -> Mended {
    let space = play.story.world.namespace(Place::Cloud);
    let pids = Run::here("ip").args(["netns", "pids", &space]).ok()?.out();
    let serves = |pid: &&str| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        words
            .first()
            .is_some_and(|program| program.ends_with(b"/crossrealm"))
            && words.get(1) == Some(&&b"serve"[..])
    };
    let pid = pids.lines().find(serves).map(str::to_owned);
    let pid = pid.ok_or_else(|| Failure::new("the service has no process"))?;
    Run::here("kill").args(["-s", name, &pid]).ok().map(drop)
}

fn cloud_down(play: &mut Play) -> Broken {
    if let Some(cloud) = play.story.cloud.take() {
        cloud.stop(PATIENCE)?;
    }
    Ok(play.doctor("alice"))
}

fn cloud_up(play: &mut Play) -> Mended {
    play.story.start_cloud()?;
    // The SMB host comes back to it by itself; a ticket shows that the service serves.
    let began = Instant::now();
    loop {
        match play
            .story
            .user("alice", "kvno")
            .arg(format!("cifs/{HOST}"))
            .ok()
        {
            Ok(_) => return hosts_are_well(play),
            Err(failure) if began.elapsed() > PATIENCE => return Err(failure),
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}
