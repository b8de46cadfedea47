//! Migrations are embedded when this crate is built: a new file must make it be built again.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
