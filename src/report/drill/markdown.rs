//! The card as Markdown, for CI and for who asks later.

use super::words;
use crate::analysis::drill::DrillCard;
use crate::report::markdown::{escape, push_table};

pub fn drill_markdown(card: &DrillCard) -> String {
    let mut out =
        format!("## brunt drill {}: {}\n\n", escape(&card.target), words::decision(card.decision));
    for reason in words::reasons(card) {
        out.push_str(&format!("- {}\n", escape(&reason)));
    }
    if let Some(control) = &card.control {
        out.push_str(&format!("\n{}\n", escape(&words::control(control))));
    }
    if !card.rows.is_empty() {
        out.push('\n');
        push_table(&mut out, &words::HEAD, card.rows.iter().map(words::cells));
        for line in (words::databases(card).into_iter())
            .chain(words::repeated(card))
            .chain(words::legend(card))
        {
            out.push_str(&format!("\n{}\n", escape(&line)));
        }
    }
    for trials in &card.trials {
        out.push_str(&format!("\n{}\n\n", escape(&trials.fault)));
        push_table(&mut out, &words::TRIALS_HEAD, words::trials(trials).into_iter());
    }
    out.push_str("\n### Not tested\n\n");
    for line in words::not_tested(card) {
        out.push_str(&format!("- {}\n", escape(&line)));
    }
    out.push_str(&format!("\n{}\n", words::UNSEEN));
    out
}
