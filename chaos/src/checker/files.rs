//! Files: what was acknowledged as written is read as it was written. No fault excuses anything else.

use std::collections::BTreeMap;

use super::{Violation, violation};
use crate::history::{Ended, History, Ms, Operation};

/// A file that was written, is not written again, and is missing or has other content. Each path is written once.
pub(crate) fn lost_or_changed(history: &History) -> Vec<Violation> {
    let mut written: BTreeMap<&str, (&str, Ms)> = BTreeMap::new();
    for record in &history.records {
        if let (Operation::Put { path, digest }, Ended::Done) = (&record.operation, &record.ended) {
            written.insert(path, (digest, record.end));
        }
    }
    let mut found = Vec::new();
    for record in &history.records {
        let Operation::Get { path } = &record.operation else {
            continue;
        };
        let known = written.get(path.as_str());
        let Some((digest, _)) = known.filter(|(_, at)| *at <= record.begin) else {
            continue;
        };
        let wrong = match &record.ended {
            Ended::Content(content) if content == digest => continue,
            Ended::Content(content) => format!("`{path}` has the digest {content}, not {digest}"),
            Ended::Refused(reason) => format!("`{path}` is not there: {reason}"),
            Ended::Done | Ended::Failed(_) => continue,
        };
        found.push(violation("an acknowledged file is lost", record, wrong));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::planted::*;
    use super::*;
    use crate::history::{Class, Record};

    fn put(ended: Ended) -> Record {
        let (path, digest) = ("f1".into(), "aa".into());
        let operation = Operation::Put { path, digest };
        Record::new(Class::Files, (10, 20), operation, ended)
    }

    fn get(ended: Ended) -> Record {
        let operation = Operation::Get { path: "f1".into() };
        Record::new(Class::Files, (50, 60), operation, ended)
    }

    #[test]
    fn a_file_that_is_gone_or_changed_is_found() {
        let found = |first, then| {
            let down = vec![fault(0, 100, &[Class::Files])];
            lost_or_changed(&history(vec![put(first), get(then)], down)).len()
        };
        assert_eq!(found(Ended::Done, Ended::Content("aa".into())), 0);
        assert_eq!(found(Ended::Done, Ended::Content("ab".into())), 1);
        assert_eq!(found(Ended::Done, refused()), 1);
        assert_eq!(found(Ended::Done, failed()), 0);
        // It was never acknowledged.
        assert_eq!(found(failed(), refused()), 0);
        assert_eq!(found(failed(), Ended::Content("ab".into())), 0);
    }
}
