//! Plotly's script, as the `plotly` crate carries it, gzipped and in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, write::GzEncoder};
use std::io::Write;
use std::sync::OnceLock;

/// For a script element that is never run itself.
pub fn compressed() -> &'static str {
    static SCRIPT: OnceLock<String> = OnceLock::new();
    SCRIPT.get_or_init(|| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(source().as_bytes()).expect("writing to memory does not fail");
        STANDARD.encode(gzip.finish().expect("writing to memory does not fail"))
    })
}

/// The first of the two script elements; the other is MathJax, which nothing here uses.
fn source() -> String {
    let mut elements = plotly::Plot::offline_js_sources();
    let end = elements.find("</script>\n").expect("the crate gives script elements");
    elements.truncate(end);
    let start = elements.find('>').expect("an element's tag is closed") + 1;
    elements.split_off(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_plotly_alone_and_small() {
        let source = source();
        assert!(source.len() > 3_000_000 && source.contains("plotly.js v"), "{}", source.len());
        assert!(!source.contains("MathJax-script"));
        assert!(compressed().len() < 2_500_000, "{}", compressed().len());
    }
}
