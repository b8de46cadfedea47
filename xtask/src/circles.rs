//! Import circles: no module of the product may, by any chain of `use` paths, import itself, and no top-level module of a crate,
//! taken with all that lies below it, may either.
//!
//! A module here is a source file. Its imports are the private `use` declarations and the paths that begin with `crate` or `super` outside
//! test code, each resolved to the deepest file that it names: `use crate::sync::apply::upsert` imports `sync/apply.rs`. A re-export (`pub use`) is no import of the module that
//! offers it, and who imports through it imports the module that it leads to. A module that takes part in a circle cannot be read, tested
//! or moved without the others; with none, every crate can be read bottom up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

use crate::{Outcome, process};

/// The path of a module inside its crate; the root is empty.
type Module = Vec<String>;

/// For each module of a crate, the modules it imports.
type Imports = BTreeMap<Module, BTreeSet<Module>>;

/// Checks every crate below `crates/`.
pub(crate) fn run() -> Outcome {
    let listing = process::output(&mut process::command(
        "git",
        &["ls-files", "--cached", "--", "crates/*/src/*.rs"],
    ))?;
    let mut crates: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in listing.lines().map(PathBuf::from) {
        let folder = file.iter().nth(1).unwrap_or_default().to_string_lossy();
        crates.entry(folder.into_owned()).or_default().push(file);
    }
    let mut found = Vec::new();
    for (name, files) in &crates {
        let imports = read(&Path::new("crates").join(name).join("src"), files)?;
        let mut all = circles(&imports);
        all.extend(circles(&top_level(&imports)));
        found.extend(all.iter().map(|circle| format!("{name}: {}", show(circle))));
    }
    if found.is_empty() {
        Ok(())
    } else {
        Err(format!("import circles:\n  {}", found.join("\n  ")))
    }
}

/// `a → b → a`.
fn show(circle: &[Module]) -> String {
    let names = circle.iter().chain(circle.first());
    let names: Vec<String> = names
        .map(|module| match module.as_slice() {
            [] => "(crate root)".to_owned(),
            path => path.join("::"),
        })
        .collect();
    names.join(" → ")
}

/// The imports of the files of one crate, whose sources lie in `source`.
fn read(source: &Path, files: &[PathBuf]) -> Result<Imports, String> {
    let present = |file: &&PathBuf| process::root().join(file).exists();
    let mut texts = Vec::new();
    for file in files.iter().filter(present) {
        let text = std::fs::read_to_string(process::root().join(file))
            .map_err(|error| format!("{}: {error}", file.display()))?;
        let inside = file.strip_prefix(source).unwrap_or(file);
        texts.push((module_of(inside), text));
    }
    imports(&texts)
}

/// The module that a file below `src/` holds.
fn module_of(file: &Path) -> Module {
    let mut module: Module = file
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if module
        .last()
        .is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str()))
    {
        module.pop();
    }
    module
}

/// The imports between the top-level modules: a folder imports what any of its files does. The crate's root, which declares them
/// all, is left out.
fn top_level(imports: &Imports) -> Imports {
    let top = |module: &Module| module.iter().take(1).cloned().collect::<Module>();
    let mut folders = Imports::new();
    for (module, targets) in imports.iter().filter(|(module, _)| !module.is_empty()) {
        let others = targets.iter().map(top);
        let others = others.filter(|other| !other.is_empty() && *other != top(module));
        folders.entry(top(module)).or_default().extend(others);
    }
    folders
}

/// What the names that a module re-exports stand for, as paths from the crate's root.
type Exports = BTreeMap<(Module, String), Vec<String>>;

/// Reads every text and resolves its `use` paths.
fn imports(texts: &[(Module, String)]) -> Result<Imports, String> {
    let modules: BTreeSet<&Module> = texts.iter().map(|(module, _)| module).collect();
    let mut parsed = Vec::new();
    let mut tests: Vec<Module> = Vec::new();
    let mut exports = Exports::new();
    for (module, text) in texts {
        let file =
            syn::parse_file(text).map_err(|error| format!("{}: {error}", module.join("::")))?;
        let mut reader = Reader {
            module: module.clone(),
            ..Reader::default()
        };
        reader.visit_file(&file);
        tests.append(&mut reader.tests);
        exports.append(&mut reader.exports);
        parsed.push((module.clone(), reader.paths));
    }
    let is_test = |module: &Module| tests.iter().any(|test| module.starts_with(test));
    let mut graph = Imports::new();
    for (module, paths) in parsed.into_iter().filter(|(module, _)| !is_test(module)) {
        let targets = paths
            .iter()
            .filter_map(|path| defining(path, &modules, &exports));
        let others = targets.filter(|target| *target != module).collect();
        graph.insert(module, others);
    }
    Ok(graph)
}

/// The module that defines what a path names, behind any re-exports.
fn defining(path: &[String], modules: &BTreeSet<&Module>, exports: &Exports) -> Option<Module> {
    const MOST_REEXPORTS: usize = 8;
    let mut path = path.to_vec();
    for _ in 0..MOST_REEXPORTS {
        let module = deepest(&path, modules)?;
        let name = path.get(module.len()).cloned();
        let Some(target) = name.and_then(|name| exports.get(&(module.clone(), name))) else {
            return Some(module);
        };
        path = [
            target.as_slice(),
            path.get(module.len() + 1..).unwrap_or_default(),
        ]
        .concat();
    }
    deepest(&path, modules)
}

/// The deepest module that the beginning of an absolute path names.
fn deepest(path: &[String], modules: &BTreeSet<&Module>) -> Option<Module> {
    (0..=path.len())
        .rev()
        .map(|length| path.iter().take(length).cloned().collect::<Module>())
        .find(|prefix| modules.contains(prefix))
}

/// Collects the `use` paths of one file as paths from the crate's root, and the modules it declares for tests alone.
#[derive(Default)]
struct Reader {
    module: Module,
    paths: Vec<Vec<String>>,
    exports: Exports,
    tests: Vec<Module>,
}

impl Reader {
    fn collect(&mut self, tree: &syn::UseTree, prefix: &[String], exported: bool) {
        let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.collect(&path.tree, &with(&path.ident), exported),
            syn::UseTree::Name(name) => self.add(&with(&name.ident), &name.ident, exported),
            syn::UseTree::Rename(rename) => {
                self.add(&with(&rename.ident), &rename.rename, exported)
            }
            // What a re-exported glob offers is not known here; it is no import of this module either way.
            syn::UseTree::Glob(_) if exported => {}
            syn::UseTree::Glob(_) => self.paths.push(self.absolute(prefix)),
            syn::UseTree::Group(group) => {
                for item in &group.items {
                    self.collect(item, prefix, exported);
                }
            }
        }
    }

    fn add(&mut self, path: &[String], name: &syn::Ident, exported: bool) {
        let path = self.absolute(path);
        if exported {
            self.exports
                .insert((self.module.clone(), name.to_string()), path);
        } else {
            self.paths.push(path);
        }
    }

    fn add_absolute(&mut self, names: &[String]) {
        let first = names.first().map(String::as_str);
        if matches!(first, Some("crate" | "super")) {
            self.paths.push(self.absolute(names));
        }
    }

    /// The path from the crate's root on. One that begins with neither `crate`, `self` nor `super` begins with a module declared here, or
    /// with another crate: then it stays a path that names no file but this one.
    fn absolute(&self, path: &[String]) -> Vec<String> {
        let ups = path.iter().take_while(|part| *part == "super").count();
        let mut base = match path.first().map(String::as_str) {
            Some("crate") => Module::new(),
            _ => self.module.clone(),
        };
        base.truncate(base.len().saturating_sub(ups));
        let rest = path
            .iter()
            .filter(|part| !["crate", "self", "super"].contains(&part.as_str()));
        base.extend(rest.cloned());
        base
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_for_tests(&item.attrs) {
            let exported = !matches!(item.vis, syn::Visibility::Inherited);
            self.collect(&item.tree, &[], exported);
        }
    }

    // `pub(super)` says who may import an item, and imports nothing.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    // A path written out where it is used imports as much as a `use` does.
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        self.add_absolute(&names);
        visit::visit_path(self, path);
    }

    // The arguments of a macro are tokens, not paths, and reach as far.
    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let text = called.tokens.to_string().replace(" :: ", "::");
        for path in text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':') {
            let names: Vec<String> = path.split("::").map(str::to_owned).collect();
            self.add_absolute(&names);
        }
        visit::visit_macro(self, called);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_for_tests(&item.attrs) {
            let name = item.ident.to_string();
            self.tests.push([self.module.as_slice(), &[name]].concat());
        } else if item.content.is_some() {
            // Paths inside are relative to the inline module.
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }
}

/// Whether an item is compiled for tests alone: `#[cfg(test)]`, also inside `all(…)` or `any(…)`.
fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return false;
        };
        let words = list.tokens.to_string();
        let test = |word: &str| word == "test";
        list.path.is_ident("cfg")
            && words
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(test)
    })
}

/// One shortest circle through each group of modules that import each other, each beginning at its first module.
fn circles(imports: &Imports) -> Vec<Vec<Module>> {
    let mut found: Vec<Vec<Module>> = Vec::new();
    let mut seen: BTreeSet<&Module> = BTreeSet::new();
    for module in imports.keys() {
        if seen.contains(module) {
            continue;
        }
        if let Some(circle) = shortest_circle(imports, module) {
            let members = circle.iter().filter_map(|name| imports.get_key_value(name));
            seen.extend(members.map(|(name, _)| name));
            found.push(circle);
        }
    }
    found
}

/// The shortest chain of imports from a module back to itself, by breadth-first search.
fn shortest_circle(imports: &Imports, start: &Module) -> Option<Vec<Module>> {
    let mut from: BTreeMap<&Module, &Module> = BTreeMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(module) = waiting.pop_front() {
        for next in imports.get(module).into_iter().flatten() {
            if next == start {
                let mut circle = vec![module.clone()];
                let mut at = module;
                while let Some(before) = from.get(at) {
                    circle.push((*before).clone());
                    at = before;
                }
                circle.reverse();
                return Some(circle);
            }
            if !from.contains_key(next) {
                from.insert(next, module);
                waiting.push_back(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(texts: &[(&str, &str)]) -> Imports {
        let texts: Vec<(Module, String)> = texts
            .iter()
            .map(|(file, text)| (module_of(Path::new(file)), (*text).to_owned()))
            .collect();
        imports(&texts).unwrap()
    }

    fn shown(texts: &[(&str, &str)]) -> Vec<String> {
        circles(&graph(texts))
            .iter()
            .map(|circle| show(circle))
            .collect()
    }

    #[test]
    fn a_circle_of_three_files_is_printed_with_its_way() {
        let texts = [
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b::B;"),
            ("b/mod.rs", "use crate::{c::C, std};"),
            ("c.rs", "use super::a::A; pub struct C;"),
        ];
        assert_eq!(shown(&texts), ["a → b → c → a"]);
    }

    #[test]
    fn a_path_among_the_arguments_of_a_macro_imports() {
        let texts = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "pub fn f() { println!(\"{}\", g(crate::b::N)); }"),
            (
                "b.rs",
                "pub const N: u8 = 1; fn g() { log!(x = 1, super::a::f()); }",
            ),
        ];
        assert_eq!(shown(&texts), ["a → b → a"]);
    }

    #[test]
    fn a_child_that_takes_from_its_parent_what_takes_from_the_child_is_a_circle() {
        let texts = [
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod child; use child::helper; pub struct A;"),
            ("a/child.rs", "use super::A; pub fn helper(_: A) {}"),
        ];
        assert_eq!(shown(&texts), ["a → a::child → a"]);
    }

    #[test]
    fn folders_whose_files_import_each_other_are_a_circle() {
        let texts = [
            ("lib.rs", "mod a; mod b;"),
            ("a/one.rs", "use crate::b::two::B;"),
            ("a/other.rs", "pub struct A;"),
            ("b/two.rs", "pub struct B;"),
            ("b/three.rs", "use crate::a::other::A;"),
        ];
        assert!(shown(&texts).is_empty());
        let folders = top_level(&graph(&texts));
        assert_eq!(show(&circles(&folders)[0]), "a → b → a");
    }

    #[test]
    fn what_is_imported_through_a_reexport_is_imported_from_where_it_is_defined() {
        let texts = [
            ("lib.rs", "mod a; mod b; pub use a::{A, inner::I};"),
            ("a/mod.rs", "mod inner; pub struct A;"),
            ("a/inner.rs", "use crate::B; pub struct I;"),
            ("b.rs", "use crate::I as Again; pub struct B;"),
        ];
        assert!(shown(&texts).is_empty());
        let mut circle = texts;
        circle[0].1 = "mod a; mod b; pub use a::{A, inner::I}; pub use b::B;";
        assert_eq!(shown(&circle), ["a::inner → b → a::inner"]);
    }

    #[test]
    fn tests_and_other_crates_make_no_circle() {
        let texts = [
            ("lib.rs", "mod a; mod b; #[cfg(test)] mod support;"),
            ("a.rs", "use crate::b::B; use tokio::a::b; pub struct A;"),
            (
                "b.rs",
                "#[cfg(test)] mod tests { use crate::a::A; } #[cfg(test)] use crate::a::A;",
            ),
            ("support.rs", "use crate::a::A; use crate::support::x;"),
        ];
        assert!(shown(&texts).is_empty());
    }

    #[test]
    fn a_path_names_the_deepest_file_on_it() {
        let graph = graph(&[
            ("lib.rs", ""),
            ("a/mod.rs", ""),
            ("a/deep.rs", ""),
            (
                "b.rs",
                "fn f() { use crate::a::deep::Thing; } use crate::a::Other;",
            ),
        ]);
        let targets: Vec<String> = graph[&vec!["b".to_owned()]]
            .iter()
            .map(|m| m.join("::"))
            .collect();
        assert_eq!(targets, ["a", "a::deep"]);
    }
}
