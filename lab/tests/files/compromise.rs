//! Stolen keys and credentials (S6, S7, S8, S13): the stolen one works, then the guide's command is given, then it is refused, and honest
//! users go on. The thief has the real thing: the trust password, tickets made with the stolen keys, the tokens themselves.
//! `docs/guide/compromise.md` has the commands.

use crossrealm_lab::story::{CLOUD_REALM, SPN};
use crossrealm_lab::{DOMAIN, Failure, Output, PATIENCE, Place, REALM, Run, USER_PASSWORD, until};
use serde_json::Value;

use super::Test;
use super::scene::Scene;

/// Name and test.
pub(crate) const TESTS: &[(&str, Test)] = &[
    ("s13_the_trusts_account_is_denied_a_sign_in", no_sign_in),
    ("s6_a_stolen_trust_key_is_worth_nothing", trust_key),
    ("s6_a_stolen_realm_key_is_worth_nothing", realm_key),
    ("s6_a_stolen_connector_token_is_refused", connector),
    ("s6_a_stolen_host_token_is_refused", host_token),
    ("s6_a_stolen_administrators_session_ends", administrator),
    (
        "s7_the_last_administrator_comes_back_by_the_machine",
        last_administrator,
    ),
    ("s8_a_stolen_master_key_opens_nothing", master_key),
];

const SHARE: &str = "stolen";
/// The form of every time in JSON.
const FORM: &str = "2026-01-31T08:30:00.000Z";
const API: &str = "https://login.cloud.example/api/v1";

/// Enrols with the code of `$1`, as `$2`, by the API at `$3` with the authority `$4`; prints the session's token.
const ENROL: &str = r#"
import base64, hashlib, hmac, json, ssl, struct, sys, time, urllib.parse, urllib.request
code, upn, api, ca = sys.argv[1:5]
trust = ssl.create_default_context(cafile=ca)
def post(path, body):
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(api + path, json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(request, context=trust))
who = {"upn": upn, "enrolment_code": code}
uri = post("/sign-in/enrolment", who)["otpauth_uri"]
secret = urllib.parse.parse_qs(urllib.parse.urlparse(uri).query)["secret"][0]
key = base64.b32decode(secret + "=" * (-len(secret) % 8))
mac = hmac.new(key, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
start = mac[-1] & 15
number = (struct.unpack(">I", mac[start:start + 4])[0] & 0x7FFFFFFF) % 1000000
done = post("/sign-in/enrolment/finish", {**who, "password": "a long enough password", "code": f"{number:06}"})
print(done["token"])
"#;

/// S13: the trust's account can sign in to AD, unless AD's administrator takes its logon hours away, as the guide says. The trust
/// goes on working: Netlogon takes a new key from it, and referrals do not need it.
fn no_sign_in(scene: &mut Scene) -> Result<(), Failure> {
    const ACCOUNT: &str = "CN=CONTOSO-KRB$,CN=Users,DC=corp,DC=contoso,DC=com";
    let change = |how: &str| {
        let ldif = format!("dn: {ACCOUNT}\nchangetype: modify\n{how}\n");
        scene.story.world.ldbmodify(&ldif).ok().map(drop)
    };
    trust_account(scene, &trust_password(scene)?).ok()?;
    change("replace: logonHours\nlogonHours:: AAAAAAAAAAAAAAAAAAAAAAAAAAAA")?;
    let denied = trust_account(scene, &trust_password(scene)?).refused(1)?;
    denied.says("revoked")?;
    let rotate = [
        "kerberos-server",
        "set",
        "--setup-cloud-trust",
        "--rotate-server-key",
        "--force",
    ];
    scene.story.with_domain_admin(&rotate)?.ok()?;
    scene.sign_in("bob")?;
    let denied = trust_account(scene, &trust_password(scene)?).refused(1)?;
    denied.says("revoked")?;
    change("delete: logonHours")?;
    trust_account(scene, &trust_password(scene)?).ok().map(drop)
}

/// The trust password, a forged referral, and a ticket-granting ticket bought with it.
fn trust_key(scene: &mut Scene) -> Result<(), Failure> {
    scene.share(SHARE)?;
    scene.until_served("bob", SHARE)?;
    let stolen = trust_password(scene)?;
    let thief = Thief::begin(scene, "thief-trust")?;
    // All of it works: the password is a sign-in to AD, the tickets are served.
    trust_account(scene, &stolen).ok()?;
    thief.referral_is_served()?;
    thief.tgt_is_served()?;

    scene
        .story
        .with_domain_admin(&[
            "kerberos-server",
            "set",
            "--setup-cloud-trust",
            "--rotate-server-key",
            "--compromised",
        ])?
        .ok()?;
    trust_account(scene, &stolen).refused(1)?;
    thief.referral_is_refused("ticket-integrity")?;
    thief.tgt_is_refused("trust-replaced")?;

    // Honest users sign in again, although AD goes on encrypting with a previous key for an hour.
    scene.sign_in("bob")?;
    scene.until_served("bob", SHARE)?;
    let get = scene
        .story
        .with_domain_admin(&["-o", "json", "kerberos-server", "get"])?;
    let get = get.ok()?;
    match get.json()?["findings"].as_array() {
        Some(findings) if findings.is_empty() => Ok(()),
        _ => Err(get.failure("was expected to have no findings")),
    }
}

/// A ticket-granting ticket that was encrypted with the realm's key: all that a thief of that key can make.
fn realm_key(scene: &mut Scene) -> Result<(), Failure> {
    let thief = Thief::begin(scene, "thief-realm")?;
    thief.tgt_is_served()?;
    // An ordinary rotation fails no ticket, neither before the new key encrypts nor after.
    let rotated = scene.admin(&["-o", "json", "tenant", "rotate-key", "contoso"]);
    let rotated = rotated.ok()?.json()?;
    let from = rotated["encrypts_from"].as_str().unwrap_or_default();
    if from.len() != FORM.len() {
        return Err(Failure::new(format!("not a time: {rotated}")));
    }
    thief.tgt_is_served()?;
    until("the new key to encrypt", PATIENCE, || {
        let date = crossrealm_programs::command("date")
            .args(["--utc", "+%Y-%m-%dT%H:%M:%S.000Z"])
            .output()
            .map_err(|error| Failure::new(format!("date: {error}")))?;
        // Times of one form sort as their texts do.
        let now = String::from_utf8_lossy(&date.stdout).trim().to_owned();
        Ok((now.as_str() > from).then_some(()))
    })?;
    thief.tgt_is_served()?;
    let later = Thief::begin(scene, "thief-realm-later")?;
    later.tgt_is_served()?;

    let command = ["tenant", "rotate-key", "contoso", "--compromised"];
    scene.admin(&command).ok()?;
    for thief in [&thief, &later] {
        thief.tgt_is_refused("ticket-integrity")?;
        // The trust is another matter: a client asks with its referral again.
        thief.referral_is_served()?;
    }
    Thief::begin(scene, "honest")?.tgt_is_served()
}

fn connector(scene: &mut Scene) -> Result<(), Failure> {
    let create = |file: &str| {
        let token = scene.story.world.path(Place::Admin, file);
        let words = ["connector", "create", "--domain", DOMAIN, "--out"];
        scene.admin(&words).arg(&token).ok()?;
        Ok::<String, Failure>(std::fs::read_to_string(token)?.trim().to_owned())
    };
    let path = format!("/tenants/contoso/domains/{DOMAIN}/sync-state");
    let stolen = create("stolen-connector.token")?;
    get(scene, &stolen, &path)?.ok()?;
    let command = ["connector", "revoke", "--domain", DOMAIN];
    scene.admin(&command).ok()?;
    is_unknown(&get(scene, &stolen, &path)?)?;
    let fresh = create("fresh-connector.token")?;
    get(scene, &fresh, &path)?.ok()?;
    scene.admin(&command).ok().map(drop)
}

fn host_token(scene: &mut Scene) -> Result<(), Failure> {
    let share = "stolen-host";
    scene.share(share)?;
    scene.until_served("bob", share)?;
    let file = scene.story.world.path(Place::Admin, "stolen-host.token");
    let words = ["storage-account", "host-token", "acct1", "--for", "stolen"];
    scene.admin(&words).arg("--out").arg(&file).ok()?;
    let stolen = std::fs::read_to_string(file)?.trim().to_owned();
    let path = "/tenants/contoso/storage-accounts/acct1/host-state";
    let state = get(scene, &stolen, path)?.ok()?.json()?;
    let keytab = state.to_string();

    let list = ["-o", "json", "storage-account", "host-tokens", "acct1"];
    let tokens = scene.admin(&list).ok()?.json()?;
    let tokens = tokens.as_array().cloned().unwrap_or_default();
    let mine = |token: &&Value| token.to_string().contains("\"stolen\"");
    let id = tokens
        .iter()
        .find(mine)
        .and_then(|token| token["id"].as_str());
    let id = id.ok_or_else(|| Failure::new("the stolen token is not listed"))?;
    let revoke = ["storage-account", "revoke-host-token", "acct1", id];
    scene.admin(&revoke).ok()?;
    is_unknown(&get(scene, &stolen, path)?)?;
    for key in ["kerb1", "kerb2"] {
        let words = ["storage-account", "rotate-key", "acct1", "--key", key];
        // Refused until the host has the key that is to encrypt.
        let rotate = scene.admin(&words);
        scene.until(&rotate, "was expected to rotate", |output| {
            output.code == Some(0)
        })?;
    }
    // New tickets are encrypted with a key that the thief does not have.
    scene.sign_in("bob")?;
    let fresh = scene.story.user("bob", "kvno").arg(SPN).ok()?.out();
    let kvno = fresh.rsplit("kvno = ").next().unwrap_or_default().trim();
    assert!(
        !keytab.contains(&format!("\"kvno\":{kvno},")),
        "the thief has kvno {kvno}"
    );
    scene.until_served("bob", share)
}

fn administrator(scene: &mut Scene) -> Result<(), Failure> {
    let upn = "eve@contoso.com";
    let create = ["-o", "json", "admin", "create", upn, "--role", "reader"];
    let stolen = enrol(scene, upn, &scene.admin(&create).ok()?)?;
    let path = "/tenants/contoso/storage-accounts";
    get(scene, &stolen, path)?.ok()?;
    scene.admin(&["admin", "reset", upn]).ok()?;
    is_unknown(&get(scene, &stolen, path)?)?;
    scene.admin(&["tenant", "list"]).ok()?;
    scene.admin(&["admin", "remove", upn]).ok().map(drop)
}

/// The thief holds the only session of an administrator; the machine of the service lets them in again, and the session ends.
fn last_administrator(scene: &mut Scene) -> Result<(), Failure> {
    let upn = "ada@contoso.com";
    let role = "global-administrator";
    let create = ["-o", "json", "admin", "create", upn, "--role", role];
    let stolen = enrol(scene, upn, &scene.admin(&create).ok()?)?;
    let path = "/tenants/contoso/storage-accounts";
    get(scene, &stolen, path)?.ok()?;
    let recover = scene.story.bare(Place::Cloud);
    let recover = recover.args(["-o", "json", "admin", "recover", upn, "--config"]);
    let recovered = recover.arg(scene.story.cloud_folder().join("crossrealm.toml"));
    let own = enrol(scene, upn, &recovered.ok()?)?;
    is_unknown(&get(scene, &stolen, path)?)?;
    get(scene, &own, path)?.ok()?;
    scene.admin(&["admin", "remove", upn]).ok().map(drop)
}

/// The session of an administrator who enrols with the code that a command printed.
fn enrol(scene: &Scene, upn: &str, printed: &Output) -> Result<String, Failure> {
    let code = printed.json()?;
    let code = code["enrolment_code"].as_str().unwrap_or_default();
    let run = scene.story.world.at(Place::Admin, "python3");
    let enrol = run.args(["-c", ENROL, code, upn, API]);
    Ok(enrol.arg(scene.story.ca()).ok()?.out().trim().to_owned())
}

/// The file of the master key: to the installation's database it is what opens every key.
fn master_key(scene: &mut Scene) -> Result<(), Failure> {
    let folder = scene.story.cloud_folder();
    let config = folder.join("crossrealm.toml");
    let stolen = folder.join("stolen.key");
    std::fs::copy(folder.join("master.key"), &stolen)?;
    let text = std::fs::read_to_string(&config)?;
    let thiefs = folder.join("thief.toml");
    std::fs::write(&thiefs, text.replace("master.key", "stolen.key"))?;
    let check = |config: &std::path::Path| {
        let serve = scene.story.bare(Place::Cloud).arg("serve");
        serve.arg("--check").arg("--config").arg(config)
    };
    let (honest, thief) = (check(&config), check(&thiefs));
    thief.ok()?.says("stolen.key")?;

    let cloud = scene.story.cloud.take();
    cloud.map_or(Ok(()), |cloud| cloud.stop(PATIENCE))?;
    let rotate = scene.story.bare(Place::Cloud);
    let rotate = rotate
        .args(["master-key", "rotate", "--config"])
        .arg(config);
    rotate.ok()?;
    scene.story.start_cloud()?;
    thief.refused(1)?.says("master key")?;
    honest.ok()?;
    std::fs::remove_file(thiefs)?;
    std::fs::remove_file(stolen)?;
    // What the old key sealed and authenticated goes on: tokens, the trust's keys, the host's keys, roles.
    let share = "after-the-master-key";
    scene.share(share)?;
    scene.sign_in("bob")?;
    scene.until_served("bob", share)
}

/// Tickets that were made with the keys as they were: to the service they are what a thief of these keys forges.
struct Thief<'a> {
    scene: &'a Scene,
    /// The cache with the referral.
    referral: String,
    /// The cache with the ticket-granting ticket of the tenant's realm alone.
    tgt: String,
}

impl<'a> Thief<'a> {
    fn begin(scene: &'a Scene, name: &str) -> Result<Self, Failure> {
        let (referral, tgt) = (name.to_owned(), format!("{name}-tgt"));
        let kinit = scene.story.user(&referral, "kinit");
        let kinit = kinit.arg(format!("alice@{REALM}"));
        kinit.stdin(format!("{USER_PASSWORD}\n")).ok()?;
        let kvno = scene.story.user(&referral, "kvno");
        kvno.arg(format!("krbtgt/{CLOUD_REALM}@{REALM}")).ok()?;
        let file = scene
            .story
            .world
            .path(Place::Client, &format!("{tgt}.ccache"));
        let kvno = scene.story.user(&referral, "kvno").arg("--out-cache");
        let kvno = kvno
            .arg(file)
            .arg(format!("krbtgt/{CLOUD_REALM}@{CLOUD_REALM}"));
        kvno.ok()?;
        let thief = Self {
            scene,
            referral,
            tgt,
        };
        let list = scene.story.user(&thief.tgt, "klist").ok()?;
        list.says(&format!("krbtgt/{CLOUD_REALM}@{CLOUD_REALM}"))?
            .does_not_say(&format!("krbtgt/{CLOUD_REALM}@{REALM}"))?;
        Ok(thief)
    }

    fn ask(&self, cache: &str) -> Run {
        let service = format!("{SPN}@{CLOUD_REALM}");
        self.scene
            .story
            .user(cache, "kvno")
            .args(["--no-store", &service])
    }

    fn referral_is_served(&self) -> Result<(), Failure> {
        self.ask(&self.referral).ok().map(drop)
    }

    fn tgt_is_served(&self) -> Result<(), Failure> {
        self.ask(&self.tgt).ok().map(drop)
    }

    fn referral_is_refused(&self, reason: &str) -> Result<(), Failure> {
        self.is_refused(&self.referral, reason)
    }

    fn tgt_is_refused(&self, reason: &str) -> Result<(), Failure> {
        self.is_refused(&self.tgt, reason)
    }

    fn is_refused(&self, cache: &str, reason: &str) -> Result<(), Failure> {
        let mark = self.scene.story.event_mark()?;
        self.ask(cache).refused(1)?;
        self.scene.story.refused_because(reason, mark).map(drop)
    }
}

/// The trust password, as the thief of a global administrator's token, or of the database and the master key, has it.
fn trust_password(scene: &Scene) -> Result<String, Failure> {
    let shown = scene
        .story
        .with_domain_admin(&["-o", "json", "kerberos-server", "get"])?;
    let sid = shown.ok()?.json()?["cloud_trust"]["sid"].clone();
    let body =
        serde_json::json!({"realm": REALM, "flat_name": "CORP", "sid": sid, "top_level_names": []});
    let token = std::fs::read_to_string(scene.story.cloud_folder().join("admin.token"))?;
    let path = format!("/tenants/contoso/trusts/{DOMAIN}/prepare");
    let post = get(scene, token.trim(), &path)?;
    let post = post.arg("-H").arg("Content-Type: application/json");
    let prepared = post.arg("--data").arg(body.to_string()).ok()?.json()?;
    let secret = prepared["secret"].as_str().map(str::to_owned);
    secret.ok_or_else(|| Failure::new("the tenant has no trust password"))
}

/// A sign-in to AD as the trust's account.
fn trust_account(scene: &Scene, password: &str) -> Run {
    let kinit = scene.story.user("trust-account", "kinit");
    let kinit = kinit.arg(format!("CONTOSO-KRB$@{REALM}"));
    kinit.stdin(format!("{password}\n"))
}

/// A call of the API with a token.
fn get(scene: &Scene, token: &str, path: &str) -> Result<Run, Failure> {
    let headers = format!("Authorization: Bearer {token}\n");
    let headers = scene.story.world.write(Place::Admin, "headers", headers)?;
    let curl = scene.story.world.at(Place::Admin, "curl");
    let curl = curl.args(["-sS", "--fail-with-body", "--cacert"]);
    let curl = curl.arg(scene.story.ca()).arg("-H");
    Ok(curl
        .arg(format!("@{}", headers.display()))
        .arg(format!("{API}{path}")))
}

/// The service does not know the token any more: 401.
fn is_unknown(run: &Run) -> Result<(), Failure> {
    let answer: Output = run.refused(22)?;
    answer.says("unauthenticated").map(drop)
}
