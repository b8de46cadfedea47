//! Kerberos and LDAP against a real domain controller.
//!
//! Runs where `CROSSREALM_TEST_DC` names one (and `CROSSREALM_TEST_DOMAIN`, `CROSSREALM_TEST_USER`,
//! `CROSSREALM_TEST_PASSWORD`: an administrator); elsewhere it says so and passes.

use crossrealm_krb::client::ClientError;
use crossrealm_onprem::credentials::DomainCredentials;
use crossrealm_onprem::dc::Choice;
use crossrealm_onprem::error::OnpremError;
use crossrealm_onprem::ldap::{Change, Entry, Filter, Ldap, Search};
use crossrealm_onprem::session::Session;
use zeroize::Zeroizing;

struct World {
    dc: String,
    domain: String,
    user: String,
    password: String,
}

impl World {
    fn from_environment() -> Option<Self> {
        let Ok(dc) = std::env::var("CROSSREALM_TEST_DC") else {
            eprintln!("skipped: CROSSREALM_TEST_DC names no domain controller");
            return None;
        };
        let variable =
            |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
        Some(Self {
            dc,
            domain: variable("CROSSREALM_TEST_DOMAIN"),
            user: variable("CROSSREALM_TEST_USER"),
            password: variable("CROSSREALM_TEST_PASSWORD"),
        })
    }

    fn password(&self, user: &str, password: &str) -> DomainCredentials {
        DomainCredentials::Password {
            user: user.to_owned(),
            password: Zeroizing::new(password.to_owned()),
        }
    }

    async fn open(&self, credentials: &DomainCredentials) -> Result<Session, OnpremError> {
        Session::open(&self.domain, &Choice::Named(self.dc.clone()), credentials).await
    }

    async fn administrator(&self) -> Session {
        self.open(&self.password(&self.user, &self.password))
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn signs_in_and_says_why_not() {
    let Some(world) = World::from_environment() else {
        return;
    };
    let session = world.administrator().await;
    assert_eq!(session.client().realm(), world.domain.to_uppercase());
    session.ticket("cifs").await.unwrap();

    let wrong = world
        .open(&world.password(&world.user, "not the password"))
        .await
        .unwrap_err();
    assert!(
        matches!(wrong, OnpremError::Kerberos(ClientError::WrongPassword(_))),
        "{wrong}"
    );
    let nobody = world
        .open(&world.password("nobody-here", "x"))
        .await
        .unwrap_err();
    assert!(
        matches!(
            nobody,
            OnpremError::Kerberos(ClientError::UnknownPrincipal(_))
        ),
        "{nobody}"
    );
    let service = session
        .service_ticket(&["cifs", "no-such-host.invalid"])
        .await
        .unwrap_err();
    assert!(
        matches!(
            service,
            OnpremError::Kerberos(ClientError::UnknownService(_))
        ),
        "{service}"
    );
    let other = Session::open(
        "other.example",
        &Choice::Named(world.dc.clone()),
        &world.password("x", "y"),
    )
    .await
    .unwrap_err();
    assert!(matches!(other, OnpremError::OtherDomain { .. }), "{other}");
}

#[tokio::test]
async fn finds_the_controller_by_dns() {
    let Some(world) = World::from_environment() else {
        return;
    };
    for choice in [Choice::Any, Choice::Pdc] {
        let credentials = world.password(&world.user, &world.password);
        let session = Session::open(&world.domain, &choice, &credentials)
            .await
            .unwrap();
        assert!(session.dc().host.ends_with(&world.domain));
    }
    let none = Session::open("nowhere.invalid", &Choice::Any, &world.password("x", "y"))
        .await
        .unwrap_err();
    assert!(matches!(none, OnpremError::NoController { .. }), "{none}");
}

#[tokio::test]
async fn reads_and_writes_over_sealed_ldap() {
    let Some(world) = World::from_environment() else {
        return;
    };
    let session = world.administrator().await;
    let mut ldap = session.ldap().await.unwrap();
    let base = ldap.base().to_owned();
    let found = ldap
        .search(&Search::subtree(
            &base,
            Filter::Equality("sAMAccountName".into(), "Administrator".into()),
            &["objectSid", "objectGUID"],
        ))
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].sid("objectSid").unwrap().rid(), 500);
    assert!(found[0].guid("objectGUID").is_some());

    let dn = format!("CN=crossrealm-test-Jörg,CN=Users,{base}");
    let _ = ldap.delete(&dn, &[]).await;
    let group = vec![
        ("objectClass".to_owned(), vec![b"group".to_vec()]),
        (
            "sAMAccountName".to_owned(),
            vec!["crossrealm-test-Jörg".as_bytes().to_vec()],
        ),
    ];
    ldap.add(&dn, group.clone(), &[]).await.unwrap();
    let twice = ldap.add(&dn, group, &[]).await.unwrap_err();
    assert!(twice.to_string().contains("EntryAlreadyExists"), "{twice}");
    let description = vec!["x".repeat(200).into_bytes()];
    ldap.modify(
        &dn,
        vec![Change::Replace("description".into(), description.clone())],
        &[],
    )
    .await
    .unwrap();
    let entry = ldap.object(&dn, &["description"]).await.unwrap().unwrap();
    assert_eq!(entry.values("description"), description);
    ldap.delete(&dn, &[]).await.unwrap();
    assert_eq!(ldap.object(&dn, &["cn"]).await.unwrap(), None);
    // A large answer: the whole schema, several pages.
    let schema = format!(
        "CN=Schema,{}",
        session.dc().root_dse.configuration_naming_context
    );
    let all = ldap
        .search(&Search::subtree(
            &schema,
            Filter::Present("objectClass".into()),
            &["*"],
        ))
        .await
        .unwrap();
    assert!(all.len() > 1000, "{}", all.len());
}

/// Creates a user with a password over encrypted LDAP, in the state that `more` says. Its DN.
async fn user(ldap: &mut Ldap, name: &str, password: &str, more: Vec<Change>) -> String {
    let dn = format!("CN={name},CN=Users,{}", ldap.base());
    let _ = ldap.delete(&dn, &[]).await;
    let attributes = vec![
        ("objectClass".to_owned(), vec![b"user".to_vec()]),
        ("sAMAccountName".to_owned(), vec![name.as_bytes().to_vec()]),
        (
            "userPrincipalName".to_owned(),
            vec![format!("{name}@elsewhere.example").into_bytes()],
        ),
    ];
    ldap.add(&dn, attributes, &[]).await.unwrap();
    let quoted: Vec<u8> = format!("\"{password}\"")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let enabled = vec![
        Change::Replace("unicodePwd".into(), vec![quoted]),
        Change::Replace("userAccountControl".into(), vec![b"512".to_vec()]),
    ];
    ldap.modify(&dn, enabled, &[]).await.unwrap();
    if !more.is_empty() {
        ldap.modify(&dn, more, &[]).await.unwrap();
    }
    dn
}

#[tokio::test]
async fn each_state_of_an_account_has_its_own_error() {
    let Some(world) = World::from_environment() else {
        return;
    };
    let session = world.administrator().await;
    let mut ldap = session.ldap().await.unwrap();
    let set = |name: &str, value: &str| {
        vec![Change::Replace(
            name.into(),
            vec![value.as_bytes().to_vec()],
        )]
    };
    let states = [
        ("crossrealm-test-Übung", Vec::new()),
        ("crossrealm-test-disabled", set("userAccountControl", "514")),
        (
            "crossrealm-test-expired",
            set("accountExpires", "116444736010000000"),
        ),
        ("crossrealm-test-stale", set("pwdLastSet", "0")),
    ];
    let mut results = Vec::new();
    for (name, more) in states {
        let dn = user(&mut ldap, name, "P@ssw0rd-Tëst1", more).await;
        let result = world.open(&world.password(name, "P@ssw0rd-Tëst1")).await;
        // A user principal name of another suffix is looked up by the KDC.
        let upn = format!("{name}@elsewhere.example");
        let by_upn = world.open(&world.password(&upn, "P@ssw0rd-Tëst1")).await;
        assert_eq!(result.is_ok(), by_upn.is_ok(), "{name}: {by_upn:?}");
        ldap.delete(&dn, &[]).await.unwrap();
        results.push(result.map(|session| session.client().to_string()));
    }
    let [fine, disabled, expired, stale] = results.try_into().unwrap();
    assert_eq!(
        fine.unwrap(),
        format!("crossrealm-test-Übung@{}", world.domain.to_uppercase())
    );
    let disabled = disabled.unwrap_err();
    assert!(
        matches!(disabled, OnpremError::Kerberos(ClientError::Disabled(_))),
        "{disabled}"
    );
    let expired = expired.unwrap_err();
    assert!(
        matches!(
            expired,
            OnpremError::Kerberos(ClientError::AccountExpired(_))
        ),
        "{expired}"
    );
    let stale = stale.unwrap_err();
    assert!(
        matches!(
            stale,
            OnpremError::Kerberos(ClientError::PasswordExpired(_))
        ),
        "{stale}"
    );
}

#[tokio::test]
async fn signs_in_with_a_keytab_and_with_tickets() {
    use crossrealm_krb::ccache::Ccache;
    use crossrealm_krb::crypto::{Enctype, Key};
    use crossrealm_krb::keytab::{Keytab, KeytabEntry};
    use crossrealm_krb::principal::Principal;
    let Some(world) = World::from_environment() else {
        return;
    };
    let session = world.administrator().await;
    let mut ldap = session.ldap().await.unwrap();
    let name = "crossrealm-test-keytab";
    let dn = user(&mut ldap, name, "P@ssw0rd-Test2", Vec::new()).await;
    let realm = world.domain.to_uppercase();
    let entry = |password: &str, kvno| KeytabEntry {
        principal: Principal::parse(name, Some(&realm)).unwrap(),
        kvno,
        set_at: 0,
        key: Key::from_password(
            Enctype::Aes256Sha1,
            password,
            &format!("{realm}{name}"),
            None,
        )
        .unwrap(),
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.keytab");
    let sign_in = async |entries: Vec<KeytabEntry>| {
        let keytab = Keytab {
            entries,
            skipped: 0,
        };
        std::fs::write(&path, keytab.to_bytes().unwrap()).unwrap();
        let credentials = DomainCredentials::Keytab {
            path: path.clone(),
            user: None,
        };
        world.open(&credentials).await
    };
    let good = sign_in(vec![entry("an older one", 1), entry("P@ssw0rd-Test2", 2)])
        .await
        .unwrap();
    let bad = sign_in(vec![entry("another", 3)]).await.unwrap_err();
    assert!(
        matches!(bad, OnpremError::Kerberos(ClientError::WrongKey(_))),
        "{bad}"
    );

    let cache = Ccache {
        principal: good.client().clone(),
        credentials: vec![good.tgt().clone()],
        skipped: 0,
    };
    let path = dir.path().join("cc");
    std::fs::write(&path, cache.to_bytes().unwrap()).unwrap();
    let credentials = DomainCredentials::Ccache { path: Some(path) };
    let session = world.open(&credentials).await.unwrap();
    session.ldap().await.unwrap();
    ldap.delete(&dn, &[]).await.unwrap();
}

#[tokio::test]
async fn reads_the_domain_for_the_sync() {
    use crossrealm_onprem::sync::{Agent, Scope, SkipReason, SyncMode};
    use crossrealm_types::{DisabledReason, IdentityKind};
    let Some(world) = World::from_environment() else {
        return;
    };
    let session = world.administrator().await;
    let mut ldap = session.ldap().await.unwrap();
    let name = "crossrealm-test-Größe";
    let off = vec![Change::Replace(
        "userAccountControl".into(),
        vec![b"514".to_vec()],
    )];
    let dn = user(&mut ldap, name, "P@ssw0rd-Test3", off).await;
    let group = format!("CN=crossrealm-test-group,CN=Users,{}", ldap.base());
    let _ = ldap.delete(&group, &[]).await;
    let attributes = vec![
        ("objectClass".to_owned(), vec![b"group".to_vec()]),
        (
            "sAMAccountName".to_owned(),
            vec![b"crossrealm-test-group".to_vec()],
        ),
        ("member".to_owned(), vec![dn.clone().into_bytes()]),
    ];
    ldap.add(&group, attributes, &[]).await.unwrap();

    let credentials = world.password(&world.user, &world.password);
    let choice = Choice::Named(world.dc.clone());
    let mut agent = Agent::open(&world.domain, &choice, &credentials, &Scope::default())
        .await
        .unwrap();
    let all = agent
        .observe(None, SyncMode::default(), &mut |_| {})
        .await
        .unwrap();
    let observed = all.observed;
    assert_eq!(observed.domain.dns_name, world.domain);
    let find = |wanted: &str| {
        let mut all = observed.present();
        all.find(|object| object.account.account_name == wanted)
            .unwrap()
    };
    let user = find(name);
    assert_eq!(user.account.disabled, Some(DisabledReason::Disabled));
    assert_eq!(user.account.upn, format!("{name}@elsewhere.example"));
    assert_eq!(user.account.primary_group_rid, 513);
    let members: Vec<_> = find("crossrealm-test-group").members.guids.iter().collect();
    assert_eq!(members, [&user.account.guid]);
    let ranged = ldap.all_values(&group, "member", &[]).await.unwrap();
    assert_eq!(ranged.values, [dn.clone().into_bytes()]);
    assert!(ranged.steady);
    let everyone = find("Domain Users");
    assert_eq!(
        (everyone.account.kind, everyone.account.sid.rid()),
        (IdentityKind::Group, 513)
    );
    let skipped = |wanted: &str| {
        observed
            .skipped
            .iter()
            .find(|one| one.name == wanted)
            .map(|one| one.reason)
    };
    assert_eq!(skipped("Administrator"), Some(SkipReason::ReservedRid));
    assert_eq!(skipped("Administrators"), Some(SkipReason::ForeignSid));
    ldap.delete(&dn, &[]).await.unwrap();
    ldap.delete(&group, &[]).await.unwrap();
}

#[tokio::test]
async fn dirsync_tells_what_changed_since_its_cookie() {
    // LDAP_DIRSYNC_OBJECT_SECURITY: what the caller may read, without the right to replicate.
    const OBJECT_SECURITY: i64 = 1;
    let Some(world) = World::from_environment() else {
        return;
    };
    let session = world.administrator().await;
    let mut ldap = session.ldap().await.unwrap();
    let search = Search::subtree(
        ldap.base(),
        Filter::Equality("objectClass".into(), "group".into()),
        &["sAMAccountName"],
    );
    let mut cookie = Vec::new();
    let mut names = Vec::new();
    loop {
        let mut take = |entry: Entry| names.extend(entry.text("sAMAccountName").map(str::to_owned));
        let (more, next) = ldap
            .dirsync(&search, OBJECT_SECURITY, cookie, &mut take)
            .await
            .unwrap();
        cookie = next;
        if !more {
            break;
        }
    }
    assert!(names.iter().any(|name| name == "Domain Users"));
    let dn = format!("CN=crossrealm-test-dirsync,CN=Users,{}", ldap.base());
    let _ = ldap.delete(&dn, &[]).await;
    let group = vec![
        ("objectClass".to_owned(), vec![b"group".to_vec()]),
        (
            "sAMAccountName".to_owned(),
            vec![b"crossrealm-test-dirsync".to_vec()],
        ),
    ];
    ldap.add(&dn, group, &[]).await.unwrap();
    let mut changed = Vec::new();
    let mut take = |entry: Entry| changed.extend(entry.text("sAMAccountName").map(str::to_owned));
    ldap.dirsync(&search, OBJECT_SECURITY, cookie, &mut take)
        .await
        .unwrap();
    let has_changed = |name: &str| changed.iter().any(|one| one == name);
    assert!(has_changed("crossrealm-test-dirsync"), "{changed:?}");
    assert!(!has_changed("Domain Users"), "{changed:?}");
    ldap.delete(&dn, &[]).await.unwrap();
}

/// An armored TGS exchange with the DC, spoken over a plain socket.
fn armored(
    world: &World,
    session: &Session,
    service: &str,
) -> Result<crossrealm_krb::credential::Credential, ClientError> {
    use crossrealm_krb::client::{ClientStep, TgsExchange};
    use crossrealm_krb::principal::Principal;
    use crossrealm_onprem::random::OsRandom;
    use crossrealm_os::clock::since_epoch;
    use std::io::{Read, Write};
    let service = Principal::parse(service, Some(&world.domain.to_uppercase())).unwrap();
    let mut exchange = TgsExchange::new(session.tgt().clone(), service).armored();
    let mut step = exchange.begin(since_epoch(), &mut OsRandom)?;
    loop {
        match step {
            ClientStep::Done(credential) => return Ok(*credential),
            ClientStep::Send(request) => {
                let mut stream = std::net::TcpStream::connect((session.dc().address, 88)).unwrap();
                let length = u32::try_from(request.message.len()).unwrap().to_be_bytes();
                stream
                    .write_all(&[&length[..], &request.message].concat())
                    .unwrap();
                let mut length = [0; 4];
                stream.read_exact(&mut length).unwrap();
                let mut reply = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
                stream.read_exact(&mut reply).unwrap();
                step = exchange.received(&reply, since_epoch(), &mut OsRandom)?;
            }
        }
    }
}

#[tokio::test]
async fn the_dc_answers_armored_requests_in_armor() {
    let Some(world) = World::from_environment() else {
        return;
    };
    let session = world.administrator().await;
    let service = format!("ldap/{}", session.dc().host);
    armored(&world, &session, &service).unwrap();
    let unknown = armored(&world, &session, "cifs/no-such-host.invalid").unwrap_err();
    assert!(
        matches!(unknown, ClientError::UnknownService(_)),
        "{unknown}"
    );
}
