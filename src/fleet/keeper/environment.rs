//! `${env:NAME}`: taken from brunt's own environment when a process is started, so that nothing that
//! is written down holds it.

use std::io;

/// The text with its references replaced.
///
/// # Errors
/// When a variable is not set; its name is in the message, its neighbours' values are not.
pub fn resolved(text: &str) -> io::Result<String> {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${env:") {
        let (name, after) = after.split_once('}').ok_or_else(|| unset("(not closed)"))?;
        done.push_str(before);
        done.push_str(&std::env::var(name).map_err(|_| unset(name))?);
        rest = after;
    }
    done.push_str(rest);
    Ok(done)
}

fn unset(name: &str) -> io::Error {
    io::Error::other(format!("`${{env:{name}}}`: the variable {name} is not set for brunt; set it"))
}

#[cfg(test)]
mod tests {
    use super::resolved;

    #[test]
    fn references_are_resolved_and_what_is_missing_is_named() {
        let path = std::env::var("PATH").unwrap();
        assert_eq!(resolved("a ${env:PATH}:b").unwrap(), format!("a {path}:b"));
        assert_eq!(resolved("${PATH} {x}").unwrap(), "${PATH} {x}");
        let error = resolved("--key=${env:BRUNT_NO_SUCH}").unwrap_err().to_string();
        assert!(error.contains("BRUNT_NO_SUCH is not set"), "{error}");
    }
}
