//! A rule as it is sent, read with errors that say what to write. Pure.

use crate::fault::NodeRule;
use crate::target::Role;
use serde_json::Value;

const EXAMPLES: &str = concat!(
    r#"{"rule":"errors","share":0.5,"status":503}, "#,
    r#"{"rule":"delay","share":1.0,"delay":50000000,"jitter":0} (nanoseconds), "#,
    r#"{"rule":"wrong-length","share":0.1} or {"rule":"slow-sync","delay":20000000}"#
);

/// # Errors
/// When the body is no rule, or one that cannot be meant.
pub fn read(body: &[u8]) -> Result<NodeRule, String> {
    let wrong = |why: String| format!("{why}; write {EXAMPLES}");
    let value: Value = serde_json::from_slice(body).map_err(|e| wrong(e.to_string()))?;
    let rule: NodeRule = serde_json::from_value(value.clone()).map_err(|e| wrong(e.to_string()))?;
    let known = serde_json::to_value(&rule).expect("a rule is plain data");
    let keys = value.as_object().map(|o| o.keys()).into_iter().flatten();
    if let Some(key) = keys.into_iter().find(|key| known.get(key).is_none()) {
        return Err(wrong(format!("`{key}` is no key of this rule")));
    }
    check(&rule).map_err(wrong)?;
    Ok(rule)
}

fn check(rule: &NodeRule) -> Result<(), String> {
    match rule {
        NodeRule::Errors { share, .. }
        | NodeRule::Delay { share, .. }
        | NodeRule::WrongLength { share }
            if !(*share > 0.0 && *share <= 1.0) =>
        {
            Err(format!("`share` is above 0, up to 1, not {share}"))
        }
        NodeRule::Errors { status, .. } if !(400..=599).contains(status) => {
            Err(format!("`status` is an error, from 400 to 599, not {status}"))
        }
        NodeRule::Delay { delay, .. } | NodeRule::SlowSync { delay } if delay.0 == 0 => {
            Err("`delay` is above 0".into())
        }
        _ => Ok(()),
    }
}

/// # Errors
/// When a node of this role cannot do it.
pub fn fits(node: &str, role: Role, rule: &NodeRule) -> Result<(), String> {
    match rule {
        NodeRule::SlowSync { .. } if role != Role::Database => Err(format!(
            "{node} keeps nothing on disk, so no sync can be slow; slow-sync is for databases"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_and_what_to_write_is_said() {
        for (body, says) in [
            ("", "EOF"),
            ("no", "expected"),
            ("{}", "missing field `rule`"),
            (r#"{"rule":"nonsense"}"#, "unknown variant `nonsense`"),
            (r#"{"rule":"errors","share":1.0}"#, "missing field `status`"),
            (r#"{"rule":"errors","share":1.0,"status":503,"rate":1}"#, "`rate` is no key"),
            (r#"{"rule":"errors","share":0.0,"status":503}"#, "`share` is above 0, up to 1, not 0"),
            (r#"{"rule":"wrong-length","share":1.5}"#, "not 1.5"),
            (r#"{"rule":"errors","share":1.0,"status":200}"#, "from 400 to 599, not 200"),
            (r#"{"rule":"delay","share":1.0,"delay":0,"jitter":0}"#, "`delay` is above 0"),
            (r#"{"rule":"slow-sync","delay":"20ms"}"#, "invalid type"),
        ] {
            let error = read(body.as_bytes()).unwrap_err();
            assert!(error.contains(says), "{body}: {error}");
            assert!(error.contains(EXAMPLES), "{body}: {error}");
        }
    }

    #[test]
    fn the_examples_can_be_written() {
        let examples = EXAMPLES.replace(" (nanoseconds)", "").replace("} or {", "}, {");
        let all: Vec<Value> = serde_json::from_str(&format!("[{examples}]")).unwrap();
        assert_eq!(all.len(), 4);
        for example in all {
            let rule = read(example.to_string().as_bytes()).unwrap();
            assert_eq!(fits("database-1", Role::Database, &rule), Ok(()));
            let is_sync = matches!(rule, NodeRule::SlowSync { .. });
            for role in Role::ALL.into_iter().filter(|r| *r != Role::Database) {
                assert_eq!(fits("x-1", role, &rule).is_err(), is_sync, "{role:?} {rule:?}");
            }
        }
    }
}
