//! The OpenAPI document, tested by independent programs: `openapi-spec-validator` finds it valid, and under the requests of
//! `schemathesis` a running service never fails, and never responds in a way that the document does not declare.

use crate::common::Service;
use crossrealm_api::{AdministratorCreate, OPENAPI_PATH, ShareCreate};
use crossrealm_lab::python::Environment;
use crossrealm_lab::{Run, need};
use crossrealm_types::{AdministratorRole, StorageAccountCreate};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

/// `pip install openapi-spec-validator schemathesis`, with every dependency.
const PACKAGES: [&str; 45] = [
    "annotated-types==0.8.0",
    "anyio==4.16.0",
    "attrs==26.1.0",
    "certifi==2026.10.19.post1",
    "charset-normalizer==3.5.3",
    "click==8.5.1",
    "graphql-core==3.3.2",
    "harfile==0.6.0",
    "hypothesis==6.170.17",
    "hypothesis-graphql==0.13.5",
    "idna==3.20",
    "iniconfig==2.3.1",
    "jsonschema==4.26.0",
    "jsonschema-path==0.5.0",
    "jsonschema-specifications==2025.9.1",
    "jsonschema_rs==0.60.3",
    "lazy-object-proxy==1.13.0",
    "markdown-it-py==4.3.0",
    "MarkupSafe==3.0.4",
    "mdurl==0.1.2",
    "openapi-schema-validator==0.9.0",
    "openapi-spec-validator==0.9.0",
    "packaging==26.4",
    "pathable==0.6.0",
    "pluggy==1.7.0",
    "pydantic==2.14.4",
    "pydantic-settings==2.16.3",
    "pydantic_core==2.50.5",
    "Pygments==2.21.0",
    "pyrate-limiter==4.5.1",
    "pytest==9.2.0",
    "python-dotenv==1.2.4",
    "PyYAML==6.0.4",
    "referencing==0.37.0",
    "requests==2.34.2",
    "rfc3339-validator==0.1.4",
    "rich==15.0.0",
    "rpds-py==2026.9.1",
    "schemathesis==4.32.5",
    "six==1.17.0",
    "sortedcontainers==2.4.0",
    "typing-inspection==0.4.5",
    "typing_extensions==4.16.0",
    "urllib3==2.8.0",
    "Werkzeug==3.1.9",
];

/// What schemathesis checks in every response.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,negative_data_rejection,unsupported_method";

/// Objects that exist, so that requests reach more than a 404.
const PARAMETERS: &str = "\
[parameters]
\"path.tenant\" = \"contoso\"
\"path.domain\" = \"corp.contoso.com\"
\"path.account\" = \"acct1\"
\"path.share\" = \"projects\"
\"path.host\" = \"fs1\"
";

/// The Python with both programs; `None` if pip cannot reach its index, which is reported. One test at a time creates it.
fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let install = || Environment::new("openapi", &PACKAGES)?.python();
    let python = PYTHON.get_or_init(|| match install() {
        Ok(python) => Some(python),
        Err(failure) => {
            need::skip(&format!("no OpenAPI programs: {failure}"));
            None
        }
    });
    python.as_deref()
}

#[test]
fn the_committed_document_is_valid() {
    let Some(python) = python() else { return };
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let validator = Run::here(python).args(["-m", "openapi_spec_validator", document]);
    validator.ok().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_answers_as_its_document_says() {
    let Some(python) = python() else { return };
    let service = Service::start().await;
    service.contoso().await;
    let account = StorageAccountCreate {
        name: "acct1".into(),
        aliases: vec![],
    };
    let created = service.admin.create_storage_account("contoso", &account);
    created.await.unwrap();
    let share = ShareCreate {
        name: "projects".into(),
        quota_gib: None,
    };
    let created = service.admin.create_share("contoso", "acct1", &share);
    created.await.unwrap();
    let administrator = AdministratorCreate {
        upn: "erin@contoso.com".into(),
        role: AdministratorRole::Reader,
        tenant: None,
    };
    let created = service.admin.create_administrator(&administrator);
    created.await.unwrap();

    let settings = service.path("schemathesis.toml");
    std::fs::write(&settings, PARAMETERS).unwrap();
    let token = std::fs::read_to_string(service.path("admin.token")).unwrap();
    let fuzz = |operations: &[&str], seconds: &str| {
        Run::here(python)
            .args(["-m", "schemathesis.cli", "--config-file"])
            .arg(&settings)
            .args(["run", &format!("https://{}{OPENAPI_PATH}", service.address)])
            .args(["--url", &format!("https://{}", service.address)])
            .arg("--tls-verify")
            .arg(service.path("tls/ca.pem"))
            .args(["-H", &format!("Authorization: Bearer {}", token.trim())])
            .args(["--checks", CHECKS, "--phases", "fuzzing", "--no-color"])
            .args(["--warnings", "off", "--seed", "14", "--max-examples", "10"])
            .args(["--max-time", seconds, "--continue-on-failure"])
            .args(operations)
            .env("HOME", service.folder.path())
            .timeout(Duration::from_secs(180))
            .ok()
            .unwrap()
    };
    // Requests that delete the objects or revoke the token come last.
    let not_last = [
        "--exclude-method",
        "DELETE",
        "--exclude-operation-id",
        "sign_out",
    ];
    fuzz(&not_last, "60");
    fuzz(&["--include-method", "DELETE"], "20");
    fuzz(&["--include-operation-id", "sign_out"], "5");
}
