//! The table of faults, and what each of them excuses.

use crossrealm_lab::Place;
use crossrealm_lab::story::TENANT;

use super::Lane::{Edge, Service, Solo};
use super::acts::*;
use super::{Act, Kind, poison};
use crate::history::{Class, NODES, Store};
use crate::world::nodes::Node;
use crate::world::postgres::REPLICATION;
use crate::world::wires::{HOST, Order};

const TWO_HOURS_S: i64 = 7_200;
/// How much longer everything takes on a slow wire, each way, in milliseconds.
const SLOW_MS: u64 = 150;
/// `ENOSPC`, `EIO`, `EROFS`.
const FULL: u64 = 28;
const ERRORS: u64 = 5;
const READ_ONLY: u64 = 30;
/// The end of what is over by itself.
const NOTHING: Act = |_| Ok(());

/// Every kind of fault.
#[rustfmt::skip]
pub(crate) const KINDS: &[Kind] = &[
    Kind::new("node killed", Service, |p| { p.node()?.kill(); Ok(()) }, |p| p.node()?.start(p.story()))
        .at_nodes().excusing(one_node).holding_back(),
    Kind::new("node stopped", Service, |p| { p.node()?.signal("STOP"); Ok(()) }, |p| { p.node()?.signal("CONT"); Ok(()) })
        .at_nodes().excusing(one_node).holding_back(),
    Kind::new("node restarted", Service, |p| p.node()?.stop(), |p| p.node()?.start(p.story()))
        .at_nodes().lasting(1, 3).excusing(one_node).holding_back(),
    Kind::new("node cut off from clients", Service, |p| cut_node(p, true), |p| cut_node(p, false))
        .at_nodes().excusing(one_node),
    Kind::new("node cut off from the database", Service, |p| p.wire(p.target, &Order::Cut), |p| p.wire(p.target, &Order::Pass))
        .at_nodes().excusing(one_node_answers).holding_back(),
    Kind::new("node's connection to the database hangs", Service, |p| p.wire(p.target, &Order::Hold), |p| p.wire(p.target, &Order::Pass))
        .at_nodes().excusing(one_node_answers).holding_back(),
    Kind::new("node's clock two hours ahead", Service, |p| node_with_clock(p, TWO_HOURS_S), |p| p.node()?.set_clock_right())
        .at_nodes().excusing(one_node_answers).holding_back(),
    Kind::new("node's clock two hours behind", Service, |p| node_with_clock(p, -TWO_HOURS_S), |p| p.node()?.set_clock_right())
        .at_nodes().excusing(one_node_answers).holding_back(),
    Kind::new("all nodes killed", Service, |p| { p.ground.nodes.iter().for_each(Node::kill); Ok(()) }, |p| p.ground.start_nodes())
        .excusing(service).holding_back(),
    Kind::new("database killed", Service, |p| { p.database().kill_primary(); Ok(()) }, |p| p.database().start_again(p.world()))
        .excusing(service).holding_back(),
    Kind::new("database stopped", Service, |p| { p.database().signal_primary("STOP"); Ok(()) }, |p| { p.database().signal_primary("CONT"); Ok(()) })
        .excusing(service).holding_back(),
    Kind::new("database slow", Service, |p| (0..NODES).try_for_each(|node| p.wire(node, &Order::Slow(SLOW_MS))),
        |p| (0..NODES).try_for_each(|node| p.wire(node, &Order::Pass)))
        .excusing(service).holding_back(),
    Kind::new("database read-only", Service, |p| p.database().set(p.world(), "default_transaction_read_only", "on"),
        |p| p.database().set(p.world(), "default_transaction_read_only", "off"))
        .excusing(service).holding_back(),
    Kind::new("database locked", Service, |p| p.database().lock_tables(p.world(), p.lasts.as_secs()), NOTHING)
        .lasting(2, 6).excusing(service).holding_back(),
    Kind::new("database connections ended", Service, |p| p.database().end_connections(p.world()), NOTHING)
        .lasting(1, 2).excusing(service).holding_back(),
    // A commit waits for it.
    Kind::new("replica killed", Service, |p| { p.database().kill_replica(); Ok(()) }, |p| p.database().start_again(p.world()))
        .excusing(service).holding_back(),
    Kind::new("failover", Service, fail_over, replicate)
        .lasting(1, 4).excusing(service).holding_back(),
    // The replica gets nothing any more, and nothing waits for it: against the guide.
    Kind::new("failover to a replica that is behind", Service,
        |p| p.ground.wires.order(REPLICATION.0, &Order::Hold).and_then(|()| p.database().waits_for_replica(p.world(), false)),
        |p| fail_over(p).and_then(|()| replicate(p)))
        .lasting(12, 16).excusing(service).holding_back().going_back(Store::Postgres),
    Kind::new("backup restored", Service, |p| p.database().back_up(p.world()), restore)
        .lasting(12, 16).excusing(service).holding_back().going_back(Store::Postgres),
    Kind::new("poisoned requests to a node", Service, poison::send, NOTHING).at_nodes().lasting(1, 2),
    Kind::new("idle connections to a node", Service, poison::idle, NOTHING).at_nodes().lasting(1, 2),
    Kind::new("realm key rotated", Service, |p| p.admin(&["tenant", "rotate-key", TENANT], ""), NOTHING).lasting(1, 2),
    // That a host lacks the last key yet is what the second rotation is refused for.
    Kind::new("account keys rotated", Service,
        |p| ["kerb1", "kerb2"].iter().try_for_each(|key| p.admin(&["storage-account", "rotate-key", "acct1", "--key", key], "which would encrypt")), NOTHING)
        .lasting(1, 2),
    Kind::new("trust key rotated", Edge, rotate_trust_key, NOTHING).lasting(1, 2),
    Kind::new("domain controller killed", Edge, |p| { p.world().kill_dc(); Ok(()) }, |p| p.world().restart_dc()).excusing(company),
    Kind::new("domain controller stopped", Edge, |p| { p.world().signal_dc("STOP"); Ok(()) }, |p| { p.world().signal_dc("CONT"); Ok(()) }).excusing(company),
    Kind::new("company's network cut", Edge, |p| p.link(Place::Onprem, "lan0", "down"), |p| p.link(Place::Onprem, "lan0", "up")).excusing(company),
    Kind::new("clients cut off from the cloud", Edge, |p| p.link(Place::Client, "net0", "down"), |p| p.link(Place::Client, "net0", "up")).excusing(clients),
    Kind::new("agent killed", Edge, |p| { p.edge().agent.kill(); Ok(()) }, |p| p.edge().start_agent(p.story(), None)).excusing(sync),
    Kind::new("agent restarted", Edge, |p| p.edge().agent.stop(), |p| p.edge().start_agent(p.story(), None)).lasting(1, 3).excusing(sync),
    Kind::new("agent stopped", Edge, |p| { p.edge().agent.signal("STOP"); Ok(()) }, |p| { p.edge().agent.signal("CONT"); Ok(()) }).excusing(sync),
    Kind::new("agent's clock two hours ahead", Edge, |p| p.edge().start_agent(p.story(), Some(TWO_HOURS_S)), |p| p.edge().set_clocks_right())
        .excusing(sync),
    Kind::new("SMB host killed", Edge, |p| { p.edge().host.kill(); Ok(()) }, |p| p.edge().start_host(p.story(), None)).excusing(host).holding_back(),
    Kind::new("SMB host restarted", Edge, |p| p.edge().host.stop(), |p| p.edge().start_host(p.story(), None))
        .lasting(1, 3).excusing(host).holding_back(),
    Kind::new("SMB host stopped", Edge, |p| { p.edge().host.signal("STOP"); Ok(()) }, |p| { p.edge().host.signal("CONT"); Ok(()) })
        .excusing(host).holding_back(),
    Kind::new("SMB host's clock two hours ahead", Edge, |p| p.edge().start_host(p.story(), Some(TWO_HOURS_S)), |p| p.edge().set_clocks_right())
        .excusing(host).holding_back(),
    Kind::new("smbd killed", Edge, |p| { p.edge().host.signal_named("smbd", "KILL"); Ok(()) }, NOTHING)
        .lasting(1, 3).excusing(host).holding_back(),
    Kind::new("smbd stopped", Edge, |p| { p.edge().host.signal_named("smbd", "STOP"); Ok(()) }, |p| { p.edge().host.signal_named("smbd", "CONT"); Ok(()) })
        .excusing(host).holding_back(),
    Kind::new("winbindd killed", Edge, |p| { p.edge().host.signal_named("winbindd", "KILL"); Ok(()) }, NOTHING)
        .lasting(1, 3).excusing(host).holding_back(),
    Kind::new("SMB host's disk full", Edge, |p| p.edge().fill_disk(), |p| p.edge().free_disk()).excusing(host).holding_back(),
    Kind::new("SMB host cut off from the service", Edge, |p| p.ground.wires.order(HOST, &Order::Cut), |p| p.ground.wires.order(HOST, &Order::Pass))
        .holding_back(),
    Kind::new("SMB host's way to the service hangs", Edge, |p| p.ground.wires.order(HOST, &Order::Hold), |p| p.ground.wires.order(HOST, &Order::Pass))
        .holding_back(),
    Kind::new("SMB host's way to the service slow", Edge, |p| p.ground.wires.order(HOST, &Order::Slow(SLOW_MS)), |p| p.ground.wires.order(HOST, &Order::Pass))
        .holding_back(),
    Kind::new("SQLite: killed", Solo, |p| { p.solo().service.kill(); Ok(()) }, |p| p.solo().run(p.story(), None)).excusing(alone),
    Kind::new("SQLite: restarted", Solo, |p| p.solo().service.stop(), |p| p.solo().run(p.story(), None)).lasting(1, 3).excusing(alone),
    Kind::new("SQLite: stopped", Solo, |p| { p.solo().service.signal("STOP"); Ok(()) }, |p| { p.solo().service.signal("CONT"); Ok(()) }).excusing(alone),
    Kind::new("SQLite: disk full", Solo, |p| p.solo().break_disk(FULL), |p| p.solo().mend_disk()).excusing(alone),
    Kind::new("SQLite: disk with errors", Solo, |p| p.solo().break_disk(ERRORS), |p| p.solo().mend_disk()).excusing(alone),
    Kind::new("SQLite: disk read-only", Solo, |p| p.solo().break_disk(READ_ONLY), |p| p.solo().mend_disk()).excusing(alone),
    Kind::new("SQLite: clock two hours ahead", Solo, |p| p.solo().run(p.story(), Some(TWO_HOURS_S)), solo_clock_right).excusing(alone),
    Kind::new("SQLite: clock two hours behind", Solo, |p| p.solo().run(p.story(), Some(-TWO_HOURS_S)), solo_clock_right).excusing(alone),
    // The file is put back and the service restarted (docs/guide/operations.md).
    Kind::new("SQLite: file taken away", Solo, |p| p.solo().move_database(true), give_file).excusing(alone),
    Kind::new("SQLite: backup restored", Solo, |p| p.solo().back_up(), |p| p.solo().restore(p.story()))
        .lasting(12, 16).excusing(alone).going_back(Store::Sqlite),
];

/// Kerberos clients go on to the next node; the agent's HTTP client, which takes the first address that accepts, does not.
fn one_node(node: usize) -> Vec<Class> {
    vec![Class::Api(node), Class::Sync]
}

/// A node that answers, if only with an error, is the one that a Kerberos client asked.
fn one_node_answers(node: usize) -> Vec<Class> {
    vec![Class::Api(node), Class::Sync, Class::Ticket]
}

/// Trees, since a host does late what it learns late.
fn service(_: usize) -> Vec<Class> {
    let nodes = (0..NODES).map(Class::Api);
    nodes
        .chain([Class::Ticket, Class::Sync, Class::Tree])
        .collect()
}

fn company(_: usize) -> Vec<Class> {
    vec![Class::SignIn, Class::Sync]
}

fn sync(_: usize) -> Vec<Class> {
    vec![Class::Sync]
}

fn host(_: usize) -> Vec<Class> {
    vec![Class::Files, Class::Tree]
}

fn clients(_: usize) -> Vec<Class> {
    vec![Class::Ticket, Class::Files, Class::Tree]
}

fn alone(_: usize) -> Vec<Class> {
    vec![Class::SoloApi, Class::SoloTicket]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_are_at_least_25_kinds_with_names_of_their_own() {
        let names: BTreeSet<_> = KINDS.iter().map(|kind| kind.name).collect();
        assert!(names.len() == KINDS.len() && names.len() >= 25);
    }

    #[test]
    fn a_node_that_fails_excuses_no_other_node() {
        for kind in KINDS.iter().filter(|kind| kind.targets > 1) {
            let excused = (kind.excuses)(1);
            for other in [Class::Api(0), Class::Api(2), Class::Files, Class::SoloApi] {
                assert!(!excused.contains(&other), "{}", kind.name);
            }
        }
    }
}
