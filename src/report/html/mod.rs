use crate::analysis::{Comparison, Run};
pub fn compare_html(_c: &Comparison, _runs: &[Run<'_>]) -> String {
    String::new()
}
pub fn run_html(_run: &Run<'_>) -> String {
    String::new()
}
