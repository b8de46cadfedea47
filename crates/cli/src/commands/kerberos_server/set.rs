//! `kerberos-server set`: the trust from AD to the tenant, set up or repaired.
//!
//! The order makes a run that is killed anywhere one that the next run finishes: the tenant generates the secret and
//! already accepts tickets made with it, then AD gets it, then a fresh referral proves that it did, and only then does
//! the tenant record the trust as confirmed. Until that proof, nothing is believed.

use super::{open, recorded};
use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::output::{Column, Format, column};
use crossrealm_api::{
    Client, ConfirmTrust, PrepareTrust, PreparedTrust, Tenant, Trust, TrustKeyState,
};
use crossrealm_onprem::lsa::{ENCTYPES_AES, Lsa};
use crossrealm_onprem::os;
use crossrealm_onprem::session::Session;
use crossrealm_onprem::smb::LsaPipe;
use crossrealm_onprem::trust::{
    KeyMatch, Observed, Refusal, Step, VerifyError, Wanted, apply, observe, opens, plan,
    top_level_names,
};
use serde::Serialize;

/// How often AD is brought in line before it is given up: once for what can be seen, once more where the key then
/// proves to be another.
const MAX_ROUNDS: usize = 2;

/// The arguments of `kerberos-server set`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    domain: DomainArgs,
    /// Set up the trust from AD to the tenant's realm, or repair it
    #[arg(long, required = true)]
    setup_cloud_trust: bool,
    /// DNS suffixes whose services AD refers to the tenant [default: those recorded, at first the tenant's]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    top_level_names: Option<Vec<String>>,
    /// Print what would be changed, and change nothing; the trust key is not tried
    #[arg(long)]
    dry_run: bool,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Outcome {
    domain: String,
    realm: String,
    top_level_names: Vec<String>,
    key_version: Option<u32>,
    changed: bool,
    dry_run: bool,
    steps: Vec<String>,
}

const COLUMNS: &[Column] = &[
    column("Domain", "/domain"),
    column("Realm", "/realm"),
    column("TopLevelNames", "/top_level_names"),
    column("TrustKeyVersion", "/key_version"),
    column("Changed", "/changed"),
];

/// Everything one run works with.
struct Run {
    client: Client,
    tenant: Tenant,
    session: Session,
    lsa: Lsa<LsaPipe>,
    recorded: Option<Trust>,
    wanted: Wanted,
}

/// Runs `kerberos-server set`.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (mut run, observed) = Run::open(&args, context).await?;
    // Everything that can be refused is refused here, before the tenant or AD are changed.
    let planned = plan(&observed, &run.wanted)?;
    let outcome = if args.dry_run {
        run.outcome(None, &planned, true)
    } else {
        let prepared = run.prepare(&observed).await?;
        let done = run.converge(observed, &prepared).await?;
        let recorded = run.confirm(&prepared).await?;
        let mut outcome = run.outcome(Some(prepared.version), &done, false);
        outcome.changed |= recorded;
        outcome
    };
    report(context.output, &outcome)
}

impl Run {
    async fn open(args: &Args, context: &Context) -> Result<(Self, Observed), Failure> {
        let client = context.client()?;
        let tenant = client.tenant(context.tenant()?).await?;
        let (session, mut lsa) = open(&args.domain).await?;
        let mut observed = observe(&mut lsa, &tenant.realm).await?;
        let recorded = recorded(&client, &tenant.id.to_string(), &session.dc().domain).await?;
        if recorded.is_none() {
            observed.key = KeyMatch::NoSecret;
        }
        let names = args
            .top_level_names
            .clone()
            .or_else(|| recorded.as_ref().map(|trust| trust.top_level_names.clone()))
            .filter(|names| !names.is_empty())
            .unwrap_or_else(|| tenant.top_level_names.clone());
        let wanted = Wanted {
            top_level_names: top_level_names(&tenant.realm, &names).map_err(Refusal::from)?,
            realm: tenant.realm.clone(),
            flat_name: tenant.flat_name.clone(),
            sid: tenant.sid.parse().map_err(|_| {
                Failure::new(format!("the tenant's SID `{}` is not a SID", tenant.sid))
            })?,
            enctypes: ENCTYPES_AES,
        };
        let run = Self {
            client,
            tenant,
            session,
            lsa,
            recorded,
            wanted,
        };
        Ok((run, observed))
    }

    /// Asks the tenant for the secret: the pending or the current one, or a new one where it has none.
    async fn prepare(&self, observed: &Observed) -> Result<PreparedTrust, Failure> {
        let domain = &observed.domain;
        let request = PrepareTrust {
            realm: self.session.dc().realm(),
            flat_name: domain.flat_name.clone(),
            sid: domain.sid.to_string(),
            top_level_names: self.wanted.top_level_names.clone(),
        };
        let prepared = self
            .client
            .prepare_trust(&self.tenant_id(), &self.session.dc().domain, &request)
            .await?;
        Ok(prepared)
    }

    /// Brings AD in line until a fresh referral opens, and returns the steps that were taken.
    async fn converge(
        &mut self,
        mut observed: Observed,
        prepared: &PreparedTrust,
    ) -> Result<Vec<Step>, Failure> {
        let secret = prepared.secret.expose();
        let mut done = Vec::new();
        if observed.own.is_some() && self.recorded.is_some() {
            observed.key = self.try_key(secret).await.unwrap_or(KeyMatch::Untried);
        }
        for _ in 0..MAX_ROUNDS {
            let steps = plan(&observed, &self.wanted)?;
            for step in steps {
                eprintln!("{step}");
                apply(&mut self.lsa, &step, secret, os::now().as_secs()).await?;
                done.push(step);
            }
            match self.try_key(secret).await? {
                KeyMatch::Opens => return Ok(done),
                KeyMatch::DoesNotOpen => {}
                KeyMatch::NoSecret | KeyMatch::Untried => {
                    return Err(self.no_proof("it is sealed with RC4"));
                }
            }
            observed = observe(&mut self.lsa, &self.wanted.realm).await?;
            observed.key = KeyMatch::DoesNotOpen;
        }
        Err(Failure::new(format!(
            "the trust is in AD, but a referral by `{}` does not open with its key",
            self.session.dc().host
        ))
        .hint("run it again in a few minutes; nothing was confirmed to the tenant"))
    }

    /// Whether a fresh referral to the tenant's realm opens with the secret.
    async fn try_key(&self, secret: &str) -> Result<KeyMatch, Failure> {
        let referral = self
            .session
            .service_ticket(&["krbtgt", &self.wanted.realm])
            .await
            .map_err(|error| self.no_proof(&error.to_string()))?;
        let ad_realm = self.session.dc().realm();
        match opens(&referral.ticket, secret, &ad_realm, &self.wanted.realm) {
            // RC4 until the encryption types are set: says nothing about the key.
            Err(VerifyError::WeakEnctype(_)) => Ok(KeyMatch::Untried),
            other => other.map_err(|error| self.no_proof(&error.to_string())),
        }
    }

    fn no_proof(&self, reason: &str) -> Failure {
        Failure::new(format!(
            "`{}` gives no referral to `{}` that could prove the trust key: {reason}",
            self.session.dc().host,
            self.wanted.realm
        ))
        .hint("nothing was confirmed to the tenant; run it again")
    }

    /// Tells the tenant what AD now holds, unless it knows. Returns whether that changed its record.
    async fn confirm(&self, prepared: &PreparedTrust) -> Result<bool, Failure> {
        let names = &self.wanted.top_level_names;
        let is_known = prepared.state == TrustKeyState::Current
            && self
                .recorded
                .as_ref()
                .is_some_and(|trust| trust.top_level_names == *names);
        if is_known {
            return Ok(false);
        }
        let request = ConfirmTrust {
            version: prepared.version,
            top_level_names: names.clone(),
        };
        self.client
            .confirm_trust(&self.tenant_id(), &self.session.dc().domain, &request)
            .await?;
        Ok(true)
    }

    fn tenant_id(&self) -> String {
        self.tenant.id.to_string()
    }

    fn outcome(&self, key_version: Option<u32>, steps: &[Step], dry_run: bool) -> Outcome {
        Outcome {
            domain: self.session.dc().domain.clone(),
            realm: self.wanted.realm.clone(),
            top_level_names: self.wanted.top_level_names.clone(),
            key_version,
            changed: !dry_run && !steps.is_empty(),
            dry_run,
            steps: steps.iter().map(ToString::to_string).collect(),
        }
    }
}

fn report(format: Format, outcome: &Outcome) -> Result<(), Failure> {
    if format == Format::Json {
        return format.record(outcome, COLUMNS);
    }
    if outcome.dry_run {
        let lines: String = outcome
            .steps
            .iter()
            .map(|step| format!("{step}\n"))
            .collect();
        crate::output::write_stdout(&lines)?;
        match outcome.steps.len() {
            0 => eprintln!("nothing to change in AD"),
            _ => eprintln!("nothing was changed (`--dry-run`)"),
        }
        return Ok(());
    }
    if !outcome.changed {
        eprintln!("nothing to change: AD and the tenant agree");
    }
    format.record(outcome, COLUMNS)
}
