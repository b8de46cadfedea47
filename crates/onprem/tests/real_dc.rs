//! Kerberos and LDAP against a real domain controller.
//!
//! Runs where `CROSSREALM_TEST_DC` names one (and `CROSSREALM_TEST_DOMAIN`, `CROSSREALM_TEST_USER`,
//! `CROSSREALM_TEST_PASSWORD`: an administrator); elsewhere it says so and passes.

use crossrealm_krb::client::ClientError;
use crossrealm_onprem::credentials::DomainCredentials;
use crossrealm_onprem::dc::Choice;
use crossrealm_onprem::error::OnpremError;
use crossrealm_onprem::ldap::{Change, Filter, Ldap, Search};
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
    let mut ldap = Ldap::connect(&session).await.unwrap();
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
    assert_eq!(found[0].guid("objectGUID").unwrap().len(), 36);

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
