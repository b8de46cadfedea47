//! The list of the story's steps.

use super::Step;
use super::cloud_side::*;
use super::user_side::*;

/// The story, in order. Later steps rely on earlier ones.
pub const STEPS: &[Step] = &[
    Step {
        name: "the_wall",
        title: "The cloud cannot reach the company, nor the company the cloud",
        why: "There is no route between them, in either direction. Everything below works without one.",
        play: the_wall,
    },
    Step {
        name: "init_and_serve",
        title: "The cloud is set up and starts",
        why: "`init` makes a folder with everything the service needs; `serve` runs on it. A private CA stands in for a public certificate.",
        play: init_and_serve,
    },
    Step {
        name: "tenant_create",
        title: "A tenant is created with the bootstrap token",
        why: "A tenant is the cloud side of one organisation: a Kerberos realm, a DNS domain and a domain SID of its own.",
        play: tenant_create,
    },
    Step {
        name: "no_trust_yet",
        title: "Before: Active Directory knows of no cloud",
        why: "The fields are those of the cmdlet that administrators know; all are empty.",
        play: no_trust_yet,
    },
    Step {
        name: "trust_is_set",
        title: "The trust is created, in Active Directory and in the cloud",
        why: "From now on the domain controller refers requests for hosts below contoso.cloud.example to the tenant's realm, and seals the referral with a key that the tenant shares.",
        play: trust_is_set,
    },
    Step {
        name: "sync_once",
        title: "Users and groups are synced to the tenant",
        why: "The tenant learns who there is: names, SIDs and nested memberships. No password, no hash.",
        play: sync_once,
    },
    Step {
        name: "share_is_granted",
        title: "A share is made and granted to a group",
        why: "A role on the share is the outer gate; the files' own permissions are the inner one.",
        play: share_is_granted,
    },
    Step {
        name: "files_serve",
        title: "The share is served over SMB, without a domain controller",
        why: "Samba's smbd, driven by Crossrealm: it knows the account's two keys and the roles, and asks nobody else who a user is.",
        play: files_serve,
    },
    Step {
        name: "client_config",
        title: "The workstation gets its Kerberos configuration",
        why: "The only change on the workstation: where the tenant's KDC is, and which CA to trust. The domain controller is found as before.",
        play: client_config,
    },
    Step {
        name: "alice_gets_a_ticket",
        title: "alice signs in as always and gets a ticket for the cloud share",
        why: "She types her domain password once, at home. The rest goes by itself: domain controller, referral, KDC proxy, service ticket.",
        play: alice_gets_a_ticket,
    },
    Step {
        name: "alice_writes_and_reads",
        title: "alice writes a file and reads it back",
        why: "The ticket opens an encrypted SMB session; her group's role lets her write.",
        play: alice_writes_and_reads,
    },
    Step {
        name: "alice_owns_her_file",
        title: "The file belongs to alice's on-premises identity",
        why: "Owner and permissions are on-premises SIDs, so they mean the same wherever the file goes.",
        play: alice_owns_her_file,
    },
    Step {
        name: "bob_is_refused",
        title: "bob has no role on the share",
        why: "A ticket says who somebody is. What he may do is decided at the share.",
        play: bob_is_refused,
    },
    Step {
        name: "mallory_is_refused",
        title: "mallory is disabled after she signed in",
        why: "She still holds a valid sign-in and a referral. The tenant's directory says no.",
        play: mallory_is_refused,
    },
    Step {
        name: "cloud_only_is_refused",
        title: "A user who exists only in the cloud gets no ticket",
        why: "Nobody signs in at the cloud's KDC, and a name opens nothing: the SID in the referral must be one that was synced.",
        play: cloud_only_is_refused,
    },
    Step {
        name: "revoke",
        title: "The group's role is revoked",
        why: "The change reaches the SMB host within moments; alice's ticket is still valid, her role is not.",
        play: revoke,
    },
    Step {
        name: "grant_again",
        title: "… and granted again",
        why: "",
        play: grant_again,
    },
];
