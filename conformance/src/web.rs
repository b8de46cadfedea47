//! Web pages that want a ticket: Apache's mod_auth_gssapi and gokrb5 serve them, curl (with MIT's library) and gokrb5 open them.
//!
//! Both servers have their keytab and nothing else: no configuration of Kerberos, no KDC.

use std::path::{Path, PathBuf};

use crossrealm_lab::story::CLOUD_REALM;
use crossrealm_lab::{Failure, PATIENCE, Place, Run, Service};

use crate::aside;
use crate::clients;
use crate::scene::{APACHE_HOST, GOKRB5_HOST, Scene};

const APACHE_PORT: u16 = 8080;
const GOKRB5_PORT: u16 = 8081;
/// Who may read the keytab: what Apache's children run as.
const WEB_USER: &str = "www-data";
/// Where Debian's packages keep Go's libraries.
const GO_PATH: &str = "/usr/share/gocode";
/// The page greets the user by their principal.
const PAGE: &str = "Welcome, <!--#echo var=\"REMOTE_USER\" -->!\n";

pub(crate) const THE_PAGE: &str = "the page, as alice; without a ticket 401";

/// curl opens a page of Apache. With `acceptor_name` the server picks its key by name: the keytab must spell `HTTP` as MIT's library
/// does (F5).
pub(crate) fn curl_to_apache(scene: &Scene, acceptor_name: bool) -> Result<String, Failure> {
    let apache = apache(scene, acceptor_name)?;
    let opened = curl(
        scene,
        APACHE_HOST,
        APACHE_PORT,
        "Welcome, alice@CORP.CONTOSO.COM!",
    );
    ended(apache, opened)
}

/// gokrb5 opens a page of Apache, with tickets that it gets by port 88.
pub(crate) fn gokrb5_to_apache(scene: &Scene) -> Result<String, Failure> {
    let apache = apache(scene, true)?;
    let opened = gokrb5_get(scene);
    ended(apache, opened)
}

fn gokrb5_get(scene: &Scene) -> Result<String, Failure> {
    let world = &scene.story.world;
    let conf = clients::port_88_conf(scene, "", false)?;
    let get = |cache: PathBuf| {
        let get = world.at(Place::Client, gokrb5()?).arg("get").arg(&conf);
        let address = format!("http://{APACHE_HOST}:{APACHE_PORT}/");
        Ok::<_, Failure>(get.arg(cache).arg(address))
    };
    let page = get(clients::cache(scene)?)?.ok()?;
    page.says_line("200 OK")?
        .says_line("Welcome, alice@CORP.CONTOSO.COM!")?;
    // Without a cache it cannot even begin.
    get(world.path(Place::Client, "none.ccache"))?
        .refused(1)?
        .says("no such file")?;
    Ok("the page, as alice".into())
}

/// curl opens a page of gokrb5, which checks the PAC and prints its SIDs.
pub(crate) fn curl_to_gokrb5(scene: &Scene) -> Result<String, Failure> {
    let world = &scene.story.world;
    let keytab = world.path(Place::Client, "go.keytab");
    let run = world.at(Place::Cloud, gokrb5()?).arg("serve").arg(keytab);
    let run = run.arg(format!("0.0.0.0:{GOKRB5_PORT}"));
    let mut server = world.service(Place::Cloud, "gokrb5", &run)?;
    server.wait_for_ports(&[GOKRB5_PORT], PATIENCE)?;
    let sales = format!("group {}", world.sid_of("Sales")?);
    let opened =
        curl(scene, GOKRB5_HOST, GOKRB5_PORT, "alice@CORP.CONTOSO.COM").and_then(|outcome| {
            let page = page(scene, GOKRB5_HOST, GOKRB5_PORT, true).ok()?;
            page.says_line(&sales)?;
            Ok(outcome)
        });
    ended(server, opened)
}

/// Opens a page as alice, who must be greeted by the line, and without tickets, which must be refused.
fn curl(scene: &Scene, host: &str, port: u16, line: &str) -> Result<String, Failure> {
    clients::cache(scene)?;
    page(scene, host, port, true).ok()?.says_line(line)?;
    let conf = clients::proxy_conf(scene, false)?;
    let tickets = clients::client(scene, "klist", &conf).ok()?;
    tickets.says(&format!("HTTP/{host}@{CLOUD_REALM}"))?;
    // 22: the server answered with an error.
    let refused = page(scene, host, port, false).refused(22)?;
    refused.says("401")?.does_not_say("alice@")?;
    Ok(THE_PAGE.into())
}

fn page(scene: &Scene, host: &str, port: u16, ticket: bool) -> Run {
    let conf = scene.story.krb5_conf();
    let curl = clients::client(scene, "curl", &conf);
    let curl = match ticket {
        true => curl.args(["--negotiate", "--user", ":"]),
        false => curl,
    };
    curl.args(["--silent", "--show-error", "--fail"])
        .arg(format!("http://{host}:{port}/"))
}

/// Starts Debian's Apache with its keytab, on a folder of its own.
fn apache(scene: &Scene, acceptor_name: bool) -> Result<Service, Failure> {
    let world = &scene.story.world;
    let name = if acceptor_name {
        "apache-name"
    } else {
        "apache"
    };
    let folder = world.path(Place::Cloud, name);
    if !folder.is_dir() {
        std::fs::create_dir_all(folder.join("pages"))?;
        std::fs::write(folder.join("pages/index.shtml"), PAGE)?;
        std::fs::copy(
            world.path(Place::Client, "web.keytab"),
            folder.join("web.keytab"),
        )?;
        std::fs::write(
            folder.join("apache.conf"),
            apache_conf(&folder, acceptor_name),
        )?;
        let own = format!("{WEB_USER}:{WEB_USER}");
        let chown = world.at(Place::Cloud, "chown").args(["-R", &own]);
        chown.arg(&folder).ok()?;
    }
    let run = world
        .at(Place::Cloud, "apache2")
        .args(["-D", "FOREGROUND", "-f"])
        .arg(folder.join("apache.conf"))
        .env("KRB5_CONFIG", "/dev/null")
        .env("KRB5RCACHEDIR", &folder);
    let mut server = world.service(Place::Cloud, "apache", &run)?;
    server.wait_for_ports(&[APACHE_PORT], PATIENCE)?;
    Ok(server)
}

fn apache_conf(folder: &Path, acceptor_name: bool) -> String {
    let modules = [
        ("mpm_event", "mod_mpm_event.so"),
        ("authn_core", "mod_authn_core.so"),
        ("authz_core", "mod_authz_core.so"),
        ("authz_user", "mod_authz_user.so"),
        ("dir", "mod_dir.so"),
        ("include", "mod_include.so"),
        ("auth_gssapi", "mod_auth_gssapi.so"),
    ];
    let load = modules
        .map(|(name, file)| format!("LoadModule {name}_module /usr/lib/apache2/modules/{file}\n"))
        .concat();
    let name = match acceptor_name {
        true => format!("GssapiAcceptorName HTTP@{APACHE_HOST}\n"),
        false => String::new(),
    };
    let folder = folder.display();
    format!(
        "{load}ServerRoot {folder}\nDefaultRuntimeDir {folder}\nPidFile {folder}/pid\nMutex file:{folder} default\n\
         ErrorLog /dev/stderr\nServerName {APACHE_HOST}\nListen 0.0.0.0:{APACHE_PORT}\nUser {WEB_USER}\nGroup {WEB_USER}\n\
         DocumentRoot {folder}/pages\nDirectoryIndex index.shtml\n<Location />\nAuthType GSSAPI\nAuthName contoso\n\
         GssapiCredStore keytab:{folder}/web.keytab\n{name}Require valid-user\nOptions +Includes\nSetOutputFilter INCLUDES\n</Location>\n"
    )
}

/// The program of `foreign/gokrb5.go`, built with Debian's Go and gokrb5.
fn gokrb5() -> Result<PathBuf, Failure> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/gokrb5.go");
    let folder = aside::cache_folder();
    std::fs::create_dir_all(&folder)?;
    let program = folder.join("gokrb5");
    // Go's own cache knows whether anything changed; a run beside this one builds the same file, and both replace it as a whole.
    let draft = folder.join(format!("gokrb5-draft-{}", std::process::id()));
    Run::here("go")
        .args(["build", "-o"])
        .arg(&draft)
        .arg(source)
        .env("GO111MODULE", "off")
        .env("GOPATH", GO_PATH)
        .env("GOCACHE", folder.join("go-build"))
        .timeout(PATIENCE)
        .ok()?;
    std::fs::rename(draft, &program)?;
    Ok(program)
}

/// Ends a server, whose log explains a failure.
fn ended(server: Service, outcome: Result<String, Failure>) -> Result<String, Failure> {
    let outcome = outcome.map_err(|failure| failure.with(server.log_tail()));
    drop(server);
    outcome
}
