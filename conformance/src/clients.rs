//! Clients that nobody here wrote: MIT's and Heimdal's tools, impacket, Java's own Kerberos, gokrb5 and curl, each on its own way
//! to the service. Those that Debian cannot install beside the lab's packages are unpacked aside.

use std::path::{Path, PathBuf};

use crossrealm_lab::story::{CLOUD_REALM, FILES_HOST, SPN};
use crossrealm_lab::{Failure, Output, Place, REALM, Run, USER_PASSWORD};

use crate::scene::{self, Scene};
use crate::table::Row;
use crate::{Options, aside, web};

const CLOUD: &str = "10.77.2.1";
const ONPREM: &str = "10.77.1.1";
const DOMAIN_REALM: &str = ".contoso.cloud.example = KERBEROS.CONTOSO.CLOUD.EXAMPLE";

const HEIMDAL: &[&str] = &[
    "heimdal-clients",
    "libasn1-8-heimdal",
    "libhx509-5-heimdal",
    "libkrb5-26-heimdal",
    "libroken19-heimdal",
    "libheimbase1-heimdal",
    "libhcrypto5-heimdal",
    "libwind0-heimdal",
    "libheimntlm0-heimdal",
    "libgssapi3-heimdal",
    "libkadm5clnt7-heimdal",
    "libkafs0-heimdal",
    "libsl0-heimdal",
    "libotp0-heimdal",
    "libhdb9-heimdal",
    "libkadm5srv8-heimdal",
];
const IMPACKET: &[&str] = &[
    "python3-impacket",
    "python3-pycryptodome",
    "python3-six",
    "python3-future",
    "python3-openssl",
    "python3-chardet",
    "python3-ldap3",
];

/// Runs a client; returns what it got.
type Visit = fn(&Scene) -> Result<String, Failure>;

/// Case, client, what must come back, how it goes.
const VISITS: &[(&str, &str, &str, Visit)] = &[
    (
        "KDC proxy, AD refers",
        "MIT kvno",
        "a ticket, its keytab opens it",
        |scene| mit(scene, &proxy_conf(scene, false)?, "https 10.77.2.1:443"),
    ),
    (
        "KDC proxy, [domain_realm] names the realm",
        "MIT kvno",
        "a ticket, its keytab opens it",
        |scene| mit(scene, &proxy_conf(scene, true)?, "https 10.77.2.1:443"),
    ),
    (
        "port 88, AD refers",
        "MIT kvno",
        "a ticket, its keytab opens it",
        |scene| {
            mit(
                scene,
                &port_88_conf(scene, "", false)?,
                "stream 10.77.2.1:88",
            )
        },
    ),
    (
        "port 88, [domain_realm] names the realm",
        "MIT kvno",
        "a ticket, its keytab opens it",
        |scene| {
            mit(
                scene,
                &port_88_conf(scene, "", true)?,
                "stream 10.77.2.1:88",
            )
        },
    ),
    (
        "port 88, by UDP: too big (52), then by TCP",
        "MIT kvno",
        "a ticket, its keytab opens it",
        mit_udp_then_tcp,
    ),
    (
        "KDC proxy, the realm's own TGT, then a service",
        "MIT kvno",
        "a TGT and a ticket",
        mit_own_tgt,
    ),
    (
        "KDC proxy, a service nobody has",
        "MIT kvno",
        "not found in Kerberos database",
        mit_unknown,
    ),
    (
        "KDC proxy, signed in as ALICE",
        "MIT kinit, kvno",
        "a ticket",
        |scene| mit_by_name(scene, &[], "ALICE@CORP.CONTOSO.COM"),
    ),
    (
        "KDC proxy, signed in by UPN",
        "MIT kinit -E, kvno",
        "a ticket",
        |scene| mit_by_name(scene, &["-E"], "alice@corp.contoso.com"),
    ),
    (
        "KDC proxy, signed in by flat domain name",
        "MIT kinit -E, kvno",
        "a ticket",
        |scene| mit_by_name(scene, &["-E"], "alice@CORP"),
    ),
    (
        "KDC proxy, signed in by UPN, canonicalized",
        "MIT kinit -E -C, kvno",
        "a ticket",
        |scene| mit_by_name(scene, &["-E", "-C"], "Alice@corp.contoso.com"),
    ),
    (
        "KDC proxy, sign-in at the tenant's realm",
        "MIT kinit",
        "KDC policy rejects request",
        |scene| mit_password(scene, "kinit"),
    ),
    (
        "KDC proxy, change of a password in the tenant's realm",
        "MIT kpasswd",
        "KDC policy rejects request",
        |scene| mit_password(scene, "kpasswd"),
    ),
    (
        "port 88, AD refers",
        "Heimdal kgetcred",
        "a ticket of type 18",
        |scene| heimdal(scene, false),
    ),
    (
        "port 88, [domain_realm] names the realm",
        "Heimdal kgetcred",
        "a ticket of type 18",
        |scene| heimdal(scene, true),
    ),
    (
        "port 88, no checksum of the request",
        "impacket",
        "KRB_AP_ERR_INAPP_CKSUM",
        |scene| impacket(scene, false),
    ),
    (
        "port 88, with a checksum",
        "impacket",
        "a ticket of type 18",
        |scene| impacket(scene, true),
    ),
    (
        "port 88, a GSS-API context",
        "Java",
        "a token for the service",
        java,
    ),
    (
        "a web page, the server takes any key",
        "curl, to Apache's mod_auth_gssapi",
        web::THE_PAGE,
        |scene| web::curl_to_apache(scene, false),
    ),
    (
        "a web page, GssapiAcceptorName picks the key",
        "curl, to Apache's mod_auth_gssapi",
        web::THE_PAGE,
        |scene| web::curl_to_apache(scene, true),
    ),
    (
        "a web page, the server checks the PAC",
        "curl, to gokrb5",
        web::THE_PAGE,
        web::curl_to_gokrb5,
    ),
    (
        "a web page, tickets by port 88, AD refers",
        "gokrb5, to Apache's mod_auth_gssapi",
        "the page, as alice",
        web::gokrb5_to_apache,
    ),
];

/// Runs each client.
///
/// # Errors
/// When the world fails, not when a client does.
pub(crate) fn rows(scene: &Scene, options: &Options) -> Result<Vec<Row>, Failure> {
    let wanted = |case: &str, client: &str| {
        let words = &options.words;
        words.is_empty()
            || words
                .iter()
                .any(|word| case.contains(word.as_str()) || client.contains(word.as_str()))
    };
    let visits = VISITS
        .iter()
        .filter(|(case, client, _, _)| wanted(case, client));
    Ok(visits
        .map(|(case, client, expected, visit)| row(scene, case, client, expected, *visit))
        .collect())
}

fn row(scene: &Scene, case: &str, client: &str, expected: &str, visit: Visit) -> Row {
    let mut row = Row {
        case: case.into(),
        by: client.into(),
        expected: expected.into(),
        got: String::new(),
        wrong: Vec::new(),
        gap: String::new(),
    };
    match visit(scene) {
        Ok(got) => row.got = got,
        Err(failure) => (row.got, row.wrong) = ("nothing usable".into(), vec![failure.to_string()]),
    }
    if row.wrong.is_empty() && row.got != row.expected {
        row.wrong = vec![row.got.clone()];
    }
    row
}

/// The workstation's own configuration, with or without a line that names the realm of the share's host.
pub(crate) fn proxy_conf(scene: &Scene, domain_realm: bool) -> Result<PathBuf, Failure> {
    let mut text = std::fs::read_to_string(scene.story.krb5_conf())?;
    if domain_realm {
        text += &format!("\n[domain_realm]\n    {DOMAIN_REALM}\n");
    }
    scene
        .story
        .world
        .write(Place::Client, "visit.krb5.conf", text)
}

/// A configuration that knows both realms by address, over TCP.
pub(crate) fn port_88_conf(
    scene: &Scene,
    prefix: &str,
    domain_realm: bool,
) -> Result<PathBuf, Failure> {
    let mut text = format!(
        "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n \
         dns_canonicalize_hostname = false\n rdns = false\n udp_preference_limit = 1\n[realms]\n \
         {REALM} = {{\n  kdc = {prefix}{ONPREM}\n }}\n {CLOUD_REALM} = {{\n  kdc = {prefix}{CLOUD}\n }}\n"
    );
    if domain_realm {
        text += &format!("[domain_realm]\n {DOMAIN_REALM}\n");
    }
    scene
        .story
        .world
        .write(Place::Client, "visit.krb5.conf", text)
}

/// A copy of alice's cache: her sign-in and the referral.
pub(crate) fn cache(scene: &Scene) -> Result<PathBuf, Failure> {
    let world = &scene.story.world;
    world.write(
        Place::Client,
        "visit.ccache",
        std::fs::read(world.path(Place::Client, &scene::ccache("alice")))?,
    )
}

pub(crate) fn client(scene: &Scene, program: impl AsRef<std::ffi::OsStr>, conf: &Path) -> Run {
    scene.story.world.as_user(
        scene.story.world.at(Place::Client, program),
        "visit.ccache",
        conf,
    )
}

fn mit(scene: &Scene, conf: &Path, way: &str) -> Result<String, Failure> {
    mit_for(scene, conf, way, SPN)
}

fn mit_for(scene: &Scene, conf: &Path, way: &str, service: &str) -> Result<String, Failure> {
    cache(scene)?;
    let trace = scene.story.world.write(Place::Client, "visit.trace", "")?;
    let keytab = scene.story.world.path(Place::Client, "acct1.keytab");
    let kvno = client(scene, "kvno", conf)
        .env("KRB5_TRACE", &trace)
        .arg("-k")
        .arg(keytab)
        .arg(service);
    let output = kvno.ok()?;
    let trace = std::fs::read_to_string(trace)?;
    if !trace.contains(way) {
        return Err(output
            .failure(&format!("was expected to ask {way}"))
            .with(trace));
    }
    output.says("keytab entry valid")?;
    Ok("a ticket, its keytab opens it".into())
}

/// MIT's client prefers datagrams here. A ticket with a PAC is too big for one: it must get an error, and come again by TCP.
fn mit_udp_then_tcp(scene: &Scene) -> Result<String, Failure> {
    let conf = port_88_conf(scene, "", true)?;
    let text = std::fs::read_to_string(&conf)?;
    let by_tcp = "udp_preference_limit = 1\n";
    if !text.contains(by_tcp) {
        return Err(Failure::new(format!("{by_tcp:?} was expected in {text}")));
    }
    // The largest that MIT's library takes.
    let conf = scene.story.world.write(
        Place::Client,
        "visit.krb5.conf",
        text.replace(by_tcp, "udp_preference_limit = 32700\n"),
    )?;
    // With the realm in the name the cached referral is used, and only the tenant is asked: MIT's client stays with TCP once
    // it was configured to.
    let service = format!("{SPN}@{CLOUD_REALM}");
    let outcome = mit_for(scene, &conf, "stream 10.77.2.1:88", &service)?;
    let trace = scene.story.world.path(Place::Client, "visit.trace");
    let trace = std::fs::read_to_string(trace)?;
    let steps = [
        "Sending initial UDP request to dgram 10.77.2.1:88",
        "from dgram 10.77.2.1:88",
        "Request or response is too big for UDP; retrying with TCP",
        "Sending TCP request to stream 10.77.2.1:88",
        "from stream 10.77.2.1:88",
    ];
    let mut rest = trace.as_str();
    for step in steps {
        match rest.split_once(step) {
            Some((_, behind)) => rest = behind,
            None => {
                let what = format!("the trace was expected to say, in its turn, `{step}`");
                return Err(Failure::new(what).with(trace));
            }
        }
    }
    Ok(outcome)
}

fn mit_own_tgt(scene: &Scene) -> Result<String, Failure> {
    cache(scene)?;
    let conf = proxy_conf(scene, false)?;
    let own = format!("krbtgt/{CLOUD_REALM}@{CLOUD_REALM}");
    client(scene, "kvno", &conf).arg(&own).ok()?;
    client(scene, "kvno", &conf)
        .arg(format!("{SPN}@{CLOUD_REALM}"))
        .ok()?;
    client(scene, "klist", &conf)
        .ok()?
        .says(&own)?
        .says(&format!("{SPN}@{CLOUD_REALM}"))?;
    Ok("a TGT and a ticket".into())
}

fn mit_unknown(scene: &Scene) -> Result<String, Failure> {
    cache(scene)?;
    let refused = client(scene, "kvno", &proxy_conf(scene, false)?)
        .arg("cifs/acct9.file.contoso.cloud.example")
        .refused(1)?;
    let words = "not found in Kerberos database";
    refused.says(words)?;
    Ok(words.into())
}

/// Signs alice in by another of her names and gets a ticket.
fn mit_by_name(scene: &Scene, options: &[&str], name: &str) -> Result<String, Failure> {
    let conf = proxy_conf(scene, false)?;
    let kinit = client(scene, "kinit", &conf).args(options).arg(name);
    kinit.stdin(format!("{USER_PASSWORD}\n")).ok()?;
    client(scene, "kvno", &conf).arg(SPN).ok()?.says(SPN)?;
    Ok("a ticket".into())
}

/// What takes a password is refused by the tenant's realm: people sign in, and change passwords, in their domain.
fn mit_password(scene: &Scene, program: &str) -> Result<String, Failure> {
    let run =
        client(scene, program, &proxy_conf(scene, false)?).arg(format!("alice@{CLOUD_REALM}"));
    let output = run.stdin(format!("{USER_PASSWORD}\n")).refused(1)?;
    let words = "KDC policy rejects request";
    output.says(words)?;
    Ok(words.into())
}

fn heimdal(scene: &Scene, domain_realm: bool) -> Result<String, Failure> {
    let root = aside::unpacked("heimdal", HEIMDAL)?;
    cache(scene)?;
    let conf = port_88_conf(scene, "tcp/", domain_realm)?;
    let kgetcred = client(scene, root.join("usr/bin/kgetcred"), &conf)
        .env("LD_LIBRARY_PATH", aside::library_path(&root));
    kgetcred.arg(SPN).ok()?;
    // MIT's list of it: a witness that shares no code with the client.
    let listed = client(scene, "klist", &conf).arg("-e").ok()?;
    listed.says(SPN)?;
    Ok(ticket_of_type_18(
        &listed,
        "Etype (skey, tkt): aes256-cts-hmac-sha1-96, aes256-cts-hmac-sha1-96",
    ))
}

fn impacket(scene: &Scene, checksum: bool) -> Result<String, Failure> {
    let root = aside::unpacked("impacket", IMPACKET)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/impacket_ticket.py");
    let run = scene
        .story
        .world
        .at(Place::Client, "/usr/bin/python3")
        .args(["-B", "-W", "ignore"])
        .arg(script);
    let run = run
        .env("PYTHONPATH", root.join("usr/lib/python3/dist-packages"))
        .arg(cache(scene)?)
        .args([CLOUD_REALM, CLOUD, SPN]);
    if checksum {
        let output = run.arg("--checksum").ok()?;
        return Ok(ticket_of_type_18(
            &output,
            &format!("{SPN}@{CLOUD_REALM} etype 18 session 18"),
        ));
    }
    let output = run.refused(1)?;
    output.says("KRB_AP_ERR_INAPP_CKSUM")?;
    Ok("KRB_AP_ERR_INAPP_CKSUM".into())
}

fn java(scene: &Scene) -> Result<String, Failure> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/JavaTicket.java");
    let cache = cache(scene)?;
    let conf = port_88_conf(scene, "", true)?;
    let run = scene
        .story
        .world
        .at(Place::Client, "java")
        .env("KRB5CCNAME", cache);
    let run = run.arg(format!("-Djava.security.krb5.conf={}", conf.display()));
    let run = run
        .arg("-Djavax.security.auth.useSubjectCredsOnly=false")
        .arg(script);
    run.arg(format!("cifs@{FILES_HOST}"))
        .ok()?
        .says("alice@CORP.CONTOSO.COM has a token of")?;
    Ok("a token for the service".into())
}

fn ticket_of_type_18(output: &Output, mark: &str) -> String {
    if output.both().contains(mark) {
        "a ticket of type 18".into()
    } else {
        output.both()
    }
}
