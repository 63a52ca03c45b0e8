//! Which records a search is for.

use jiff::Timestamp;

use super::reader::Entry;
use super::stamp;

/// What a record must have to be found; what is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The host's id.
    pub host: Option<String>,
    /// The operator who asked.
    pub operator: Option<String>,
    /// The status of the result.
    pub status: Option<String>,
    /// The event, or a family of them (`exec`).
    pub event: Option<String>,
    /// Written at this time or later.
    pub since: Option<Timestamp>,
    /// Written before this time.
    pub until: Option<Timestamp>,
    /// Any part of the run's id.
    pub run: Option<String>,
    /// Anywhere in the record's strings.
    pub text: Option<String>,
}

impl Filter {
    /// Whether the record is one of those searched for.
    pub fn matches(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, pointer: &str| {
            wanted.as_deref().is_none_or(|wanted| entry.text(pointer) == Some(wanted))
        };
        let written = entry.text("/ts").unwrap_or_default();
        let run = entry.text("/run_id").unwrap_or_default();
        is(&self.host, "/target/host")
            && is(&self.operator, "/actor/id")
            && is(&self.status, "/result/status")
            && self.event.as_deref().is_none_or(|wanted| is_event(entry.event(), wanted))
            && self.since.is_none_or(|since| written >= stamp::time(since).as_str())
            && self.until.is_none_or(|until| written < stamp::time(until).as_str())
            && self.run.as_deref().is_none_or(|part| run.contains(part))
            && self.text.as_deref().is_none_or(|text| holds(entry.value(), text))
    }
}

fn is_event(event: &str, wanted: &str) -> bool {
    event
        .strip_prefix(wanted)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || wanted.ends_with('.'))
}

fn holds(value: &serde_json::Value, text: &str) -> bool {
    use serde_json::Value;
    match value {
        Value::String(string) => string.contains(text),
        Value::Array(items) => items.iter().any(|item| holds(item, text)),
        Value::Object(members) => members.values().any(|member| holds(member, text)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(filter: Filter) -> bool {
        let line = br#"{"ts":"2026-11-21T02:40:00.500000Z","event":"exec.result","run_id":"0193-ab","actor":{"id":"alice"},"target":{"host":"vm01"},"action":{"argv":["say","a\nb"]},"result":{"status":"failed"}}"#;
        filter.matches(&Entry::parse(line).unwrap())
    }

    fn some(text: &str) -> Option<String> {
        Some(text.into())
    }

    #[test]
    fn each_criterion_admits_and_refuses() {
        let all = Filter::default;
        let check =
            |filter: Filter, expected| assert_eq!(found(filter.clone()), expected, "{filter:?}");
        check(all(), true);
        check(Filter { host: some("vm01"), ..all() }, true);
        check(Filter { host: some("vm0"), ..all() }, false);
        check(Filter { operator: some("alice"), ..all() }, true);
        check(Filter { operator: some("bob"), ..all() }, false);
        check(Filter { status: some("failed"), ..all() }, true);
        check(Filter { status: some("success"), ..all() }, false);
        check(Filter { event: some("exec"), ..all() }, true);
        check(Filter { event: some("exec.result"), ..all() }, true);
        check(Filter { event: some("exe"), ..all() }, false);
        check(Filter { run: some("93-a"), ..all() }, true);
        check(Filter { run: some("94"), ..all() }, false);
        check(Filter { text: some("a\nb"), ..all() }, true);
        check(Filter { text: some("argv"), ..all() }, false);
    }

    #[test]
    fn transfers_are_a_family_and_found_by_their_files() {
        let line = br#"{"event":"file.result","action":{"kind":"upload","remote":"/opt/"},"result":{"transfer":{"items":[{"path":"/opt/a.tar","sha256":"abcd"}]}}}"#;
        let entry = Entry::parse(line).unwrap();
        for (event, text) in [("file", "a.tar"), ("file.result", "abcd"), ("file.", "upload")] {
            let filter = Filter { event: some(event), text: some(text), ..Filter::default() };
            assert!(filter.matches(&entry), "{filter:?}");
        }
        assert!(!Filter { event: some("exec"), ..Filter::default() }.matches(&entry));
    }

    #[test]
    fn since_includes_and_until_excludes_its_moment() {
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let (same, later) = ("2026-11-21T02:40:00.5Z", "2026-11-21T02:40:01Z");
        assert!(found(Filter { since: at(same), until: at(later), ..Filter::default() }));
        assert!(!found(Filter { since: at(later), ..Filter::default() }));
        assert!(!found(Filter { until: at(same), ..Filter::default() }));
    }
}
