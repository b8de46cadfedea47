//! What has to change.

use super::permissions::{is_filtered, of_folder, same};
use super::{EXTENSIONS, GpoError, GpoStep, Link, Observed, USERS_OFF, Wanted};

/// The steps to the wanted object; none if nothing differs. `dn` is the DN of the container, `path` its `gPCFileSysPath`.
///
/// The folder gets its new version first and the container last: after a run that was killed in between, the versions differ,
/// and the next run writes everything again.
///
/// # Errors
pub fn plan(
    seen: &Observed,
    wanted: &Wanted,
    dn: &str,
    path: &str,
) -> Result<Vec<GpoStep>, GpoError> {
    let target = seen.target.as_ref();
    let target = target.ok_or_else(|| GpoError::NoTarget(wanted.link.clone()))?;
    let mut steps = Vec::new();
    let container = seen.container.as_ref();
    if container.is_none() {
        steps.push(GpoStep::CreateContainer);
    }
    for half in ["Machine", "User"] {
        if !container.is_some_and(|container| container.halves.iter().any(|own| own == half)) {
            steps.push(GpoStep::CreateHalf(half));
        }
    }
    let filtered = match container {
        Some(container) => is_filtered(&container.security, &wanted.apply_to),
        // A new object is applied by every authenticated computer.
        None => wanted.apply_to.is_empty(),
    };
    if !filtered {
        steps.push(GpoStep::Filter(wanted.apply_to.clone()));
    }
    let folder = seen.folder.as_ref();
    if folder.is_none() {
        steps.push(GpoStep::CreateFolder);
    }
    let permitted = filtered
        && container.zip(folder).is_some_and(|(container, folder)| {
            same(&folder.security, &of_folder(&container.security))
        });
    if !permitted {
        steps.push(GpoStep::FolderPermissions);
    }
    steps.extend(content(seen, wanted, path)?);
    if target.options(dn).is_none() {
        steps.push(GpoStep::Link(target.clone()));
    }
    let elsewhere = seen
        .links
        .iter()
        .filter(|link| !same_dn(&link.dn, &target.dn));
    steps.extend(elsewhere.cloned().map(GpoStep::Unlink));
    Ok(steps)
}

/// The steps that delete the object; none if nothing of it exists.
pub fn plan_removal(seen: &Observed) -> Vec<GpoStep> {
    let mut steps: Vec<GpoStep> = seen.links.iter().cloned().map(GpoStep::Unlink).collect();
    if seen.folder.is_some() {
        steps.push(GpoStep::RemoveFolder);
    }
    // Last: the folder and the links are found by the container.
    if seen.container.is_some() {
        steps.push(GpoStep::RemoveContainer);
    }
    steps
}

/// The settings, the versions, and the attributes of the container.
fn content(seen: &Observed, wanted: &Wanted, path: &str) -> Result<Vec<GpoStep>, GpoError> {
    let written = seen.folder.as_ref();
    let settings = written.and_then(|folder| folder.settings.as_ref());
    let in_folder = written.and_then(|folder| folder.version);
    let in_directory = seen.container.as_ref().map(|container| container.version);
    let machine = |version: Option<u32>| version.unwrap_or_default() & 0xffff;
    let current = settings == Some(&wanted.settings)
        && in_folder.is_some()
        && in_folder == in_directory
        && machine(in_folder) > 0;
    let said = seen.container.as_ref().is_some_and(|container| {
        container.name == wanted.name
            && container.flags == USERS_OFF
            && container.extensions == EXTENSIONS
            && container.path.eq_ignore_ascii_case(path)
    });
    let highest = machine(in_folder).max(machine(in_directory));
    let version = |number: u32| u16::try_from(number).map_err(|_| GpoError::NoVersionLeft);
    if current && said {
        return Ok(Vec::new());
    }
    let version = version(if current { highest } else { highest + 1 })?;
    let name = wanted.name.clone();
    let container = GpoStep::Container { name, version };
    if current {
        return Ok(vec![container]);
    }
    Ok(vec![
        GpoStep::FolderVersion(version),
        GpoStep::Settings(wanted.settings.clone()),
        container,
    ])
}

fn same_dn(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

impl Link {
    /// The value with the object in front, where it has the lowest precedence: the first link is applied first.
    pub(super) fn with(&self, dn: &str) -> String {
        format!("[LDAP://{dn};0]{}", self.value)
    }

    /// The value without the object.
    pub(super) fn without(&self, dn: &str) -> String {
        let entries = self.entries();
        let others = entries.iter().filter(|entry| !Self::is_about(entry, dn));
        others.copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Container, Folder};
    use super::*;
    use crossrealm_krb::security_descriptor::{Ace, SecurityDescriptor};
    use crossrealm_types::Sid;

    const DN: &str = "CN={A},CN=Policies,CN=System,DC=x";
    const PATH: &str = r"\\x\sysvol\x\Policies\{A}";

    fn wanted() -> Wanted {
        Wanted {
            name: "Crossrealm: contoso".into(),
            settings: b"settings".to_vec(),
            link: "DC=x".into(),
            apply_to: vec![],
        }
    }

    fn empty() -> Observed {
        Observed {
            target: Some(Link {
                dn: "DC=x".into(),
                value: "[LDAP://CN={B},CN=Policies,CN=System,DC=x;0]".into(),
            }),
            ..Observed::default()
        }
    }

    /// The state of AD after the steps.
    fn after(mut seen: Observed, steps: &[GpoStep]) -> Observed {
        let everybody: Sid = "S-1-5-11".parse().unwrap();
        let security = SecurityDescriptor::new(
            Some("S-1-5-32-544".parse().unwrap()),
            None,
            Some(vec![Ace::allow(2, 0x2_0094, &everybody)]),
        );
        let security = super::super::permissions::filtered(&security, &[]);
        for step in steps {
            let version_of = |version: &u16| u32::from(*version);
            match step {
                GpoStep::CreateContainer => {
                    seen.container = Some(Container {
                        name: String::new(),
                        version: 0,
                        flags: 3,
                        extensions: String::new(),
                        path: PATH.into(),
                        security: security.clone(),
                        halves: vec![],
                    });
                }
                GpoStep::CreateHalf(half) => {
                    let container = seen.container.as_mut().unwrap();
                    container.halves.push((*half).to_owned());
                }
                GpoStep::Filter(sids) => {
                    let container = seen.container.as_mut().unwrap();
                    container.security =
                        super::super::permissions::filtered(&container.security, sids);
                }
                GpoStep::CreateFolder => {
                    seen.folder = Some(Folder {
                        version: None,
                        settings: None,
                        security: security.clone().with_dacl(None),
                    });
                }
                GpoStep::FolderPermissions => {
                    let container = seen.container.as_ref().unwrap();
                    seen.folder.as_mut().unwrap().security = of_folder(&container.security);
                }
                GpoStep::FolderVersion(version) => {
                    seen.folder.as_mut().unwrap().version = Some(version_of(version));
                }
                GpoStep::Settings(bytes) => {
                    seen.folder.as_mut().unwrap().settings = Some(bytes.clone());
                }
                GpoStep::Container { name, version } => {
                    let container = seen.container.as_mut().unwrap();
                    container.name.clone_from(name);
                    container.version = version_of(version);
                    container.flags = USERS_OFF;
                    container.extensions = EXTENSIONS.to_owned();
                }
                GpoStep::Link(link) => {
                    let value = link.with(DN);
                    let target = seen.target.as_mut().unwrap();
                    target.value = value;
                    seen.links.push(target.clone());
                }
                GpoStep::Unlink(link) => {
                    let target = seen.target.as_mut().unwrap();
                    if target.dn == link.dn {
                        target.value = link.without(DN);
                    }
                    seen.links.retain(|one| one.dn != link.dn);
                }
                GpoStep::RemoveFolder => seen.folder = None,
                GpoStep::RemoveContainer => seen.container = None,
            }
        }
        seen
    }

    fn steps(seen: &Observed, wanted: &Wanted) -> Vec<GpoStep> {
        plan(seen, wanted, DN, PATH).unwrap()
    }

    #[test]
    fn a_second_run_changes_nothing_and_a_run_cut_off_anywhere_is_finished() {
        let all = steps(&empty(), &wanted());
        let whole = after(empty(), &all);
        assert_eq!(steps(&whole, &wanted()), []);
        for cut in 0..all.len() {
            let part = after(empty(), &all[..cut]);
            let rest = steps(&part, &wanted());
            assert!(!rest.is_empty(), "cut at {cut}");
            let finished = after(part, &rest);
            assert_eq!(steps(&finished, &wanted()), [], "cut at {cut}");
        }
    }

    #[test]
    fn new_settings_get_a_new_version_wherever_the_run_is_cut_off() {
        let whole = after(empty(), &steps(&empty(), &wanted()));
        let other = Wanted {
            settings: b"others".to_vec(),
            ..wanted()
        };
        let change = steps(&whole, &other);
        assert_eq!(change.len(), 3);
        for cut in 0..change.len() {
            let part = after(whole.clone(), &change[..cut]);
            let finished = after(part.clone(), &steps(&part, &other));
            assert_eq!(steps(&finished, &other), []);
            let container = finished.container.unwrap();
            assert!(container.version > 1);
            assert_eq!(finished.folder.unwrap().version, Some(container.version));
        }
    }

    #[test]
    fn a_link_keeps_its_neighbours_and_moves_with_the_target() {
        let whole = after(empty(), &steps(&empty(), &wanted()));
        let target = whole.target.clone().unwrap();
        assert_eq!(target.entries().len(), 2);
        assert_eq!(target.without(DN), empty().target.unwrap().value);
        let mut moved = whole.clone();
        moved.target = Some(Link {
            dn: "OU=a,DC=x".into(),
            value: String::new(),
        });
        let steps = steps(&moved, &wanted());
        assert!(
            matches!(&steps[..], [GpoStep::Link(to), GpoStep::Unlink(from)]
            if to.dn == "OU=a,DC=x" && from.dn == "DC=x")
        );
    }

    #[test]
    fn removal_takes_all_of_it_and_needs_nothing_to_be_there() {
        assert_eq!(plan_removal(&empty()), []);
        let whole = after(empty(), &steps(&empty(), &wanted()));
        let gone = after(whole.clone(), &plan_removal(&whole));
        assert_eq!(gone, empty());
    }

    #[test]
    fn impossible_plans_are_refused() {
        let mut nowhere = empty();
        nowhere.target = None;
        let refused = plan(&nowhere, &wanted(), DN, PATH);
        assert!(matches!(refused, Err(GpoError::NoTarget(dn)) if dn == "DC=x"));
        let mut worn_out = after(empty(), &steps(&empty(), &wanted()));
        worn_out.container.as_mut().unwrap().version = 0xffff;
        let refused = plan(&worn_out, &wanted(), DN, PATH);
        assert!(matches!(refused, Err(GpoError::NoVersionLeft)));
    }
}
