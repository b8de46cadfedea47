//! Which objects of a request are refused, and who holds which name when it has been applied. Judged before anything is
//! written, on the state after the whole request.

use super::Run;
use super::lookup::{BATCH_SIZE, account_of, taken_upn, upn_of};
use super::request::{LastWord, Reason};
use super::settle::{Claim, Name, Settled, settle};
use crate::db::columns::{tenant_blob, uuid_blob};
use crate::db::statement::{CHUNK, on_objects, sql};
use crate::error::Result;
use crate::identities::identity_ref::short_name;
use crate::identities::rows::IdentityInfo;
use crate::names;
use crossrealm_os::clock::now_s;
use crossrealm_types::{
    IdentityKind, IdentitySource, IdentityState, RefusedChangeCode, Sid, SyncedIdentity,
    is_sam_account_name,
};
use sqlx::AnyConnection;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// RIDs below this belong to built-in accounts, [MS-DTYP] 2.4.2.4.
const FIRST_ORDINARY_RID: u32 = 1000;

type Verdict = std::result::Result<(), Reason>;

impl Run<'_> {
    /// Judges a request, and frees the names that change hands.
    pub(super) async fn judge(
        &mut self,
        conn: &mut AnyConnection,
        last: &LastWord<'_>,
    ) -> Result<()> {
        let forms: Vec<(&SyncedIdentity, Verdict)> = last
            .objects()
            .map(|new| (new, self.check_object(new)))
            .collect();
        for chunk in forms.chunks(BATCH_SIZE) {
            let objects: Vec<_> = chunk
                .iter()
                .map(|(new, form)| (*new, form.is_ok()))
                .collect();
            self.lookup.add(conn, self.tenant, &objects).await?;
        }
        let mut refused = HashMap::new();
        let mut claims = Vec::new();
        for (new, form) in forms {
            let guid = new.object_guid;
            let verdict = form
                .and_then(|()| self.check_claims(new))
                .and_then(|()| self.check_known(new));
            match verdict {
                Err(reason) => {
                    refused.insert(guid, reason);
                }
                Ok(()) => claims.push(claim(new, last.deleted.contains(&guid))),
            }
        }
        let settled = self.settle_names(&claims, last);
        for (guid, (name, other)) in &settled.refused {
            if let Some(new) = last.object(*guid) {
                refused.insert(*guid, self.conflict(new, name, *other, last));
            }
        }
        self.release(conn, &settled).await?;
        self.holders = settled.holders;
        self.refused = refused;
        Ok(())
    }

    fn settle_names(&self, claims: &[Claim], last: &LastWord<'_>) -> Settled {
        let mut held = HashMap::new();
        let mut leaving = HashSet::new();
        for identity in self.lookup.all() {
            if last.deleted.contains(&identity.guid) && self.is_own(identity) {
                leaving.insert(identity.guid);
            }
            let yields = self.yields_upn(identity);
            let names = names_of(self, identity);
            let names = names.filter(|name| !(yields && matches!(name, Name::Upn(_))));
            held.extend(names.map(|name| (name, identity.guid)));
        }
        settle(&held, claims, &leaving)
    }

    /// Frees the names that other objects get: the database allows a name once at any moment.
    async fn release(&mut self, conn: &mut AnyConnection, settled: &Settled) -> Result<()> {
        let now_anothers = |identity: &&IdentityInfo| {
            let mut names = names_of(self, identity);
            names.any(|name| settled.holders.get(&name) != Some(&identity.guid))
        };
        let (own, foreign): (Vec<_>, Vec<_>) = self
            .lookup
            .all()
            .filter(now_anothers)
            .partition(|identity| self.is_own(identity));
        let own: Vec<Uuid> = own.into_iter().map(|identity| identity.guid).collect();
        let evicted: Vec<(Uuid, String)> = foreign
            .into_iter()
            .filter(|identity| self.yields_upn(identity))
            .filter(|identity| {
                upn_of(identity).is_some_and(|upn| settled.holders.contains_key(&Name::Upn(upn)))
            })
            .map(|identity| {
                let provenance = self.provenance(&identity.provenance, &["upn"]);
                (identity.guid, provenance)
            })
            .collect();
        for chunk in own.chunks(CHUNK) {
            let statement = on_objects(self.tenant, chunk, |guids| {
                format!(
                    "UPDATE identities SET taken_account = NULL, taken_upn = NULL WHERE tenant_id = $1 AND guid IN ({guids})"
                )
            });
            statement.execute(&mut *conn).await?;
        }
        for (guid, provenance) in evicted {
            sql("UPDATE identities SET upn = '', taken_upn = NULL, changed_at = $3, origins = $4 WHERE tenant_id = $1 AND guid = $2")
                .bind(tenant_blob(self.tenant))
                .bind(uuid_blob(guid))
                .bind(now_s())
                .bind(provenance)
                .execute(&mut *conn)
                .await?;
        }
        Ok(())
    }

    /// Whether an identity is a hybrid one of the domain of the request.
    pub(super) fn is_own(&self, identity: &IdentityInfo) -> bool {
        identity.source == IdentitySource::Hybrid
            && identity.domain_dns_name == self.domain.dns_name
    }

    /// Whether an identity of another domain of the forest has a UPN with the suffix of this one: it may, as long as no user of
    /// this domain has the name.
    fn yields_upn(&self, identity: &IdentityInfo) -> bool {
        let upn = identity.upn.to_lowercase();
        let suffix = upn.rsplit_once('@').map(|(_, suffix)| suffix);
        identity.source == IdentitySource::Hybrid
            && identity.domain_dns_name != self.domain.dns_name
            && suffix == Some(&self.domain.dns_name)
    }

    /// Checks an object by itself. A display name grants nothing, and is stored in a normal form.
    fn check_object(&self, new: &SyncedIdentity) -> Verdict {
        let invalid =
            |error: crate::error::DirectoryError| (RefusedChangeCode::Invalid, error.to_string());
        if !is_sam_account_name(&new.account_name) {
            let reason = "it is empty, too long or contains control characters";
            return Err(invalid(names::invalid(
                "account name",
                &new.account_name,
                reason,
            )));
        }
        if !new.upn.is_empty() {
            names::upn(&new.upn).map_err(invalid)?;
        }
        if new.state == IdentityState::Deleted {
            let message = "a deletion must be sent as a deletion".to_owned();
            return Err((RefusedChangeCode::Invalid, message));
        }
        if !new.sid.is_in_domain(&self.domain.sid) {
            let message = format!(
                "its SID `{}` is not one of domain `{}` (`{}`)",
                new.sid, self.domain.dns_name, self.domain.sid
            );
            return Err((RefusedChangeCode::SidOutsideDomain, message));
        }
        let reserved = new.kind == IdentityKind::User && new.sid.rid() < FIRST_ORDINARY_RID;
        if reserved && !self.policy.allow_low_rids {
            let message = format!(
                "its RID {} is that of a built-in account, which the tenant's policy excludes",
                new.sid.rid()
            );
            return Err((RefusedChangeCode::RidReserved, message));
        }
        Ok(())
    }

    /// Checks what an object claims against what belongs to other domains of the tenant, each of which may have a
    /// connector of its own. What an identity has already, it keeps. The name of the root of the forest is a suffix for
    /// users of every domain of the forest, unless a user of the root has the UPN.
    fn check_claims(&self, new: &SyncedIdentity) -> Verdict {
        let known = self.lookup.get(new.object_guid);
        if known.is_none()
            && let Some(domain) = self.lookup.expected(new.object_guid)
        {
            let message = format!(
                "a group has it as a member of the domain with SID `{domain}`, not of this one"
            );
            return Err((RefusedChangeCode::GuidReserved, message));
        }
        let upn = new.upn.to_lowercase();
        let keeps = known.is_some_and(|known| known.upn.to_lowercase() == upn);
        let suffix = upn.rsplit_once('@').map(|(_, suffix)| suffix);
        let reserved = |suffix: &&str| {
            !keeps && *suffix != self.domain.forest_root && self.other_domains.contains(*suffix)
        };
        match suffix.filter(reserved) {
            None => Ok(()),
            Some(suffix) => {
                let message = format!(
                    "the suffix of its UPN `{}` is the name of domain `{suffix}`, whose users alone may have it",
                    new.upn
                );
                Err((RefusedChangeCode::UpnReserved, message))
            }
        }
    }

    /// Checks an object against the identity with its GUID.
    fn check_known(&self, new: &SyncedIdentity) -> Verdict {
        let Some(known) = self.lookup.get(new.object_guid) else {
            return Ok(());
        };
        if known.source == IdentitySource::CloudOnly {
            let message = "an identity that exists only in the tenant has its GUID".to_owned();
            return Err((RefusedChangeCode::CloudOnly, message));
        }
        if known.sid != new.sid {
            let message = format!(
                "it was synced with SID `{}` and now has `{}`; a SID never changes",
                known.sid, new.sid
            );
            return Err((RefusedChangeCode::SidChanged, message));
        }
        if known.kind != new.kind {
            let message = format!("it was synced as a {}", known.kind.as_str());
            return Err((RefusedChangeCode::Invalid, message));
        }
        Ok(())
    }

    /// Another identity holds a name of the object, or its SID.
    fn conflict(
        &self,
        new: &SyncedIdentity,
        name: &Name,
        other: Uuid,
        last: &LastWord<'_>,
    ) -> Reason {
        let what = match name {
            Name::Sid(sid) => format!("SID `{sid}`"),
            Name::Account(_) => format!("account name `{}`", new.account_name),
            Name::Upn(_) => format!("UPN `{}`", new.upn),
        };
        let Some(shown) = self.shown(other, last) else {
            let message = format!("its {what} belongs to another object");
            return (RefusedChangeCode::UpnConflict, message);
        };
        let whose = format!("{} `{}`", shown.kind.as_str(), shown.name);
        if let Name::Sid(_) = name {
            let known = self.lookup.get(other);
            let gone = known.is_some_and(|known| known.state == IdentityState::Deleted)
                || last.deleted.contains(&other);
            let tombstone = if gone { "deleted " } else { "" };
            let message = format!("its {what} belongs to the {tombstone}{whose}");
            return (RefusedChangeCode::SidDuplicate, message);
        }
        let (code, source) = match shown.source {
            IdentitySource::CloudOnly => (RefusedChangeCode::CloudOnly, "cloud-only "),
            IdentitySource::Hybrid => (RefusedChangeCode::UpnConflict, ""),
        };
        let message = format!(
            "its {what} belongs to the {source}{whose} with SID `{}`; its own SID is `{}`",
            shown.sid, new.sid
        );
        (code, message)
    }

    /// How messages name an identity, or an object of the request that is not an identity yet.
    fn shown(&self, guid: Uuid, last: &LastWord<'_>) -> Option<Shown> {
        if let Some(known) = self.lookup.get(guid) {
            return Some(Shown {
                kind: known.kind,
                name: short_name(known.kind, &known.upn, &known.account_name).to_owned(),
                sid: known.sid.clone(),
                source: known.source,
            });
        }
        let new = last.object(guid)?;
        Some(Shown {
            kind: new.kind,
            name: short_name(new.kind, &new.upn, &new.account_name).to_owned(),
            sid: new.sid.clone(),
            source: IdentitySource::Hybrid,
        })
    }
}

/// What messages show of an identity.
struct Shown {
    kind: IdentityKind,
    name: String,
    sid: Sid,
    source: IdentitySource,
}

/// What an identity holds that no other may have. Its SID stays its own when it is deleted.
fn names_of(run: &Run<'_>, identity: &IdentityInfo) -> impl Iterator<Item = Name> {
    let account = account_of(run.domain, identity).map(Name::Account);
    let upn = upn_of(identity).map(Name::Upn);
    [Name::Sid(identity.sid.clone())]
        .into_iter()
        .chain(account)
        .chain(upn)
}

/// What an object shall hold; if the request deletes it in the end, its SID alone.
fn claim(new: &SyncedIdentity, is_deleted: bool) -> Claim {
    let account = Name::Account(new.account_name.to_lowercase());
    let upn = taken_upn(new).map(Name::Upn);
    let names = [account].into_iter().chain(upn).filter(|_| !is_deleted);
    Claim {
        guid: new.object_guid,
        names: [Name::Sid(new.sid.clone())]
            .into_iter()
            .chain(names)
            .collect(),
    }
}
