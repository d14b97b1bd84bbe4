//! The files that a profile names, relative to the file that has the name.

use super::base::Written;
use super::feeder::{Table, read_body, read_pem};
use super::file::{Profile, ProfileError, Request};
use base64::Engine;
use std::path::Path;

impl Profile {
    /// Reads feeders, bodies and certificates.
    pub(super) fn read_files(&mut self, written: &Written) -> Result<(), ProfileError> {
        let wrong = |key: String, problem: String| ProfileError::Impossible {
            file: written.place(&key),
            key,
            problem,
        };
        let folder = written.folder("feeder");
        for (name, feeder) in &mut self.feeder {
            feeder.table = Table::read(&folder.join(&feeder.file))
                .map_err(|problem| wrong(format!("feeder.{name}.file"), problem))?;
        }
        let folder = written.folder("request");
        for request in &mut self.request {
            let key = format!("request.{}.body_file", request.name);
            take_body(request, &folder).map_err(|problem| wrong(key, problem))?;
        }
        let folder = written.folder("transport");
        let transport = &mut self.transport;
        for (key, file) in [
            ("authorities", &mut transport.authorities),
            ("client_certificate", &mut transport.client_certificate),
            ("client_key", &mut transport.client_key),
        ] {
            if let Some(named) = file {
                *named = read_pem(&folder.join(&*named))
                    .map_err(|problem| wrong(format!("transport.{key}"), problem))?;
            }
        }
        Ok(())
    }
}

/// A file of text is a body with placeholders; any other is sent as it is.
fn take_body(request: &mut Request, folder: &Path) -> Result<(), String> {
    let Some(file) = &request.body_file else { return Ok(()) };
    if request.body.is_some() {
        return Err("there is a `body` too; use one of them".into());
    }
    match String::from_utf8(read_body(&folder.join(file))?) {
        Ok(text) => request.body = Some(text),
        Err(bytes) => {
            let bytes = bytes.as_bytes();
            request.body_base64 = Some(base64::engine::general_purpose::STANDARD.encode(bytes));
        }
    }
    Ok(())
}
