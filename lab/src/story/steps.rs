//! The list of the story's steps.

use super::Step;
use super::cloud_side::*;
use super::user_side::*;

/// The story, in order. Later steps rely on earlier ones.
pub const STEPS: &[Step] = &[
    Step {
        name: "the_wall",
        title: "The cloud cannot reach the company, nor the company the cloud",
        play: the_wall,
    },
    Step {
        name: "init_and_serve",
        title: "The cloud is set up and starts",
        play: init_and_serve,
    },
    Step {
        name: "tenant_create",
        title: "A tenant is created with the bootstrap token",
        play: tenant_create,
    },
    Step {
        name: "no_trust_yet",
        title: "Before: Active Directory knows of no cloud",
        play: no_trust_yet,
    },
    Step {
        name: "trust_is_set",
        title: "The trust is created, in Active Directory and in the cloud",
        play: trust_is_set,
    },
    Step {
        name: "sync_once",
        title: "Users and groups are synced to the tenant",
        play: sync_once,
    },
    Step {
        name: "share_is_granted",
        title: "A share is made and granted to a group",
        play: share_is_granted,
    },
    Step {
        name: "files_serve",
        title: "The share is served over SMB, without a domain controller",
        play: files_serve,
    },
    Step {
        name: "client_config",
        title: "The workstation gets its Kerberos configuration",
        play: client_config,
    },
    Step {
        name: "alice_gets_a_ticket",
        title: "alice signs in as always and gets a ticket for the cloud share",
        play: alice_gets_a_ticket,
    },
    Step {
        name: "alice_writes_and_reads",
        title: "alice writes a file and reads it back",
        play: alice_writes_and_reads,
    },
    Step {
        name: "alice_owns_her_file",
        title: "The file belongs to alice's on-premises identity",
        play: alice_owns_her_file,
    },
    Step {
        name: "bob_is_refused",
        title: "bob has no role on the share",
        play: bob_is_refused,
    },
    Step {
        name: "mallory_is_refused",
        title: "mallory is disabled after she signed in",
        play: mallory_is_refused,
    },
    Step {
        name: "cloud_only_is_refused",
        title: "A user who exists only in the cloud gets no ticket",
        play: cloud_only_is_refused,
    },
    Step {
        name: "revoke",
        title: "The group's role is revoked",
        play: revoke,
    },
    Step {
        name: "grant_again",
        title: "… and granted again",
        play: grant_again,
    },
];
