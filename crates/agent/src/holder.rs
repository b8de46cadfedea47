//! The name under which a process holds a lease or a rotation of the tenant.

/// A holder's name, of this process alone: people see from it which computer to look at.
pub(crate) fn holder_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().take(64).collect();
    let own = uuid::Uuid::new_v4().simple().to_string();
    format!("{host}/{}/{}", std::process::id(), &own[..8])
}
