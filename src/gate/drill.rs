//! Go or no-go: what a card of drills comes to.

use super::exit_code;
use crate::analysis::drill::{ComeBack, Decision, DrillCard, DrillRow, Reason};
use crate::objective::Verdict;

/// Judges a card, and writes the decision and its reasons into it.
pub fn judge_drills(card: &mut DrillCard) -> Decision {
    let mut reasons = of_all(card);
    let is_noisy = is_noisy(card);
    let rows = card.rows.iter().filter(|row| row.skipped.is_none());
    reasons.extend(rows.flat_map(|row| of_row(row, is_noisy)));
    reasons.extend(of_untested(card));
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.decision));
    card.decision = reasons.first().map_or(Decision::Go, |worst| worst.decision);
    card.reasons = reasons;
    card.decision
}

/// The exit code of `brunt drill`.
pub fn drill_exit_code(decision: Decision) -> u8 {
    match decision {
        Decision::Go | Decision::GoWithRisks => exit_code::PASS,
        Decision::NoGo => exit_code::FAILED,
        Decision::CannotSay => exit_code::INVALID,
    }
}

fn of_all(card: &DrillCard) -> Vec<Reason> {
    let reason = |text: String| Reason { decision: Decision::CannotSay, drill: None, text };
    let mut reasons = Vec::new();
    if card.rows.iter().all(|row| row.skipped.is_some()) {
        reasons.push(reason("no fault was injected, so nothing was tested".into()));
    }
    match &card.control {
        Some(control) if !control.is_valid => reasons.push(reason(format!(
            "the run without faults may not be believed: {}",
            control.reasons.join("; ")
        ))),
        Some(control) if is_noisy(card) => {
            reasons.push(reason(format!(
                "without any fault {:.1} % were in time in its worst two seconds, and {:.1} % are \
                 needed: what a fault did cannot be told from what happens anyway{}",
                control.worst_share.unwrap_or(0.0) * 100.0,
                card.in_time_needed * 100.0,
                meanwhile(control.slow_machine.as_deref())
            )));
        }
        _ => {}
    }
    reasons
}

/// Whether the hypothesis broke without any fault, by more than chance.
fn is_noisy(card: &DrillCard) -> bool {
    card.control.as_ref().is_some_and(|control| control.is_noisy)
}

/// What one fault did. A run that may not be believed says nothing else.
fn of_row(row: &DrillRow, is_noisy: bool) -> Vec<Reason> {
    let reason = |decision, text: String| Reason { decision, drill: Some(row.label()), text };
    if row.verdict == Some(Verdict::Invalid) {
        let text = format!("the run may not be believed: {}", row.reasons.join("; "));
        return vec![reason(Decision::CannotSay, text)];
    }
    if !row.is_attributable {
        let text = "the target was failing before the fault".to_string();
        return vec![reason(Decision::CannotSay, text)];
    }
    let mut reasons = Vec::new();
    if let Some(proof) = &row.no_effect {
        let text = format!("nothing was tested: the fault had {proof}");
        reasons.push(reason(Decision::CannotSay, text));
    }
    if let Some(why) = &row.heal_failed {
        reasons.push(reason(Decision::CannotSay, format!("it was not healed: {why}")));
    }
    match row.lost_writes {
        Some(0) => {}
        Some(lost) => reasons.push(reason(
            Decision::NoGo,
            format!("{lost} of {} acknowledged writes are lost", row.acknowledged_writes),
        )),
        None if row.acknowledged_writes > 0 => reasons.push(reason(
            Decision::CannotSay,
            "whether acknowledged writes are lost is not known".into(),
        )),
        None => {}
    }
    if let (None | Some(0), unchecked @ 1..) = (row.lost_writes, row.unchecked_writes) {
        let text = format!(
            "{unchecked} writes were not looked at, beside {} acknowledged",
            row.acknowledged_writes
        );
        reasons.push(reason(Decision::CannotSay, text));
    }
    if let Some(twice @ 1..) = row.duplicated_writes {
        reasons.push(reason(Decision::NoGo, format!("{twice} writes are there twice")));
    }
    if let Some(keys @ 1..) = row.illegal_keys {
        let text = format!("answers under {keys} keys contradict each other (not linearizable)");
        reasons.push(reason(Decision::NoGo, text));
    }
    // What is lost is lost; what is late may be late anyway, or by the machine's doing.
    let slow = row.slow_machine.as_deref();
    let timely = |(decision, text): (Decision, String)| {
        let is_doubtful = decision == Decision::NoGo && (is_noisy || slow.is_some());
        let decision = if is_doubtful { Decision::CannotSay } else { decision };
        reason(decision, text + &meanwhile(slow))
    };
    reasons.extend(of_return(row).map(timely));
    reasons
}

/// What the machine did, where that may be why.
fn meanwhile(slow: Option<&str>) -> String {
    slow.map_or(String::new(), |slow| format!("; meanwhile {slow}"))
}

fn of_return(row: &DrillRow) -> Option<(Decision, String)> {
    let out = row.out.until_in_time_s.unwrap_or_default();
    let broke = &row.broke;
    Some(match row.came_back {
        ComeBack::Held => return None,
        ComeBack::Never => {
            (Decision::NoGo, format!("it did not come back, also not after the repair ({broke})"))
        }
        ComeBack::NotEnoughTime | ComeBack::Unknown => {
            (Decision::CannotSay, "whether it came back was not observed".to_string())
        }
        ComeBack::AfterHeal { after_s } => (
            Decision::GoWithRisks,
            match is_gone(row) {
                true => format!(
                    "out for {out:.1} s, until {after_s:.1} s after the repair: nothing takes over \
                     ({broke})"
                ),
                false => {
                    format!("out for {out:.1} s, until {after_s:.1} s after its end ({broke})")
                }
            },
        ),
        ComeBack::BeforeHeal => {
            (Decision::GoWithRisks, format!("out for {out:.1} s, then it went on ({broke})"))
        }
    })
}

/// Whether what was hit was not there at all, so that another could have taken over.
fn is_gone(row: &DrillRow) -> bool {
    matches!(row.kind.as_str(), "kill" | "terminate" | "power-off")
}

/// What the card lists with its reasons, in a sentence each.
fn of_untested(card: &DrillCard) -> Vec<Reason> {
    let names = |lacks: bool| -> Vec<&str> {
        let of_kind = card.not_tested.iter().filter(|not| not.does_not_fit == lacks);
        of_kind.map(|not| not.what.as_str()).collect()
    };
    let reason = |decision, text: String| Reason { decision, drill: None, text };
    let mut reasons = Vec::new();
    if let missing @ [_, ..] = names(false).as_slice() {
        let text = format!("not tested: {}", missing.join(", "));
        reasons.push(reason(Decision::CannotSay, text));
    }
    if let unfit @ [_, ..] = names(true).as_slice() {
        let text = format!("the target has nothing of its kind to lose: {}", unfit.join(", "));
        reasons.push(reason(Decision::GoWithRisks, text));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::drill::{Control, NotTested, drill_card};

    fn row(came_back: ComeBack) -> DrillRow {
        DrillRow {
            drill: "d".into(),
            kind: "kill".into(),
            verdict: Some(Verdict::Pass),
            is_attributable: true,
            acknowledged_writes: 100,
            lost_writes: Some(0),
            duplicated_writes: Some(0),
            came_back,
            ..DrillRow::default()
        }
    }

    fn judged(rows: Vec<DrillRow>) -> (Decision, Vec<String>, u8) {
        let mut card = drill_card(None, &[]);
        card.rows = rows;
        let decision = judge_drills(&mut card);
        let texts = card.reasons.iter().map(|r| r.text.clone()).collect();
        (decision, texts, drill_exit_code(decision))
    }

    #[test]
    fn what_holds_is_a_go_and_what_does_not_come_back_is_none() {
        assert_eq!(judged(vec![row(ComeBack::Held)]), (Decision::Go, vec![], 0));
        let risky = judged(vec![row(ComeBack::Held), row(ComeBack::AfterHeal { after_s: 1.0 })]);
        assert_eq!((risky.0, risky.2), (Decision::GoWithRisks, 0));
        assert!(risky.1[0].contains("nothing takes over"), "{risky:?}");
        let slow =
            DrillRow { kind: "throttle".into(), ..row(ComeBack::AfterHeal { after_s: 1.0 }) };
        assert!(judged(vec![slow]).1[0].contains("after its end"), "slow, and not gone");
        let never = judged(vec![row(ComeBack::BeforeHeal), row(ComeBack::Never)]);
        assert_eq!((never.0, never.2), (Decision::NoGo, 3));
        assert!(never.1[0].contains("did not come back"), "the worst first: {never:?}");
        let on_a_slow_machine =
            DrillRow { slow_machine: Some("the cores were slow".into()), ..row(ComeBack::Never) };
        let (decision, texts, _) = judged(vec![on_a_slow_machine]);
        assert_eq!(decision, Decision::CannotSay, "{texts:?}");
        assert!(texts[0].ends_with("; meanwhile the cores were slow"), "{texts:?}");
    }

    #[test]
    fn lost_writes_are_a_no_go_and_unknown_ones_no_go_either_way() {
        let lost = DrillRow { lost_writes: Some(3), ..row(ComeBack::Held) };
        assert_eq!(judged(vec![lost.clone()]).0, Decision::NoGo);
        let unknown = DrillRow { lost_writes: None, ..row(ComeBack::Held) };
        assert_eq!(judged(vec![unknown.clone()]).0, Decision::CannotSay);
        assert_eq!(judged(vec![unknown, lost]).0, Decision::NoGo, "seen outweighs not seen");
        let none = DrillRow { lost_writes: None, acknowledged_writes: 0, ..row(ComeBack::Held) };
        assert_eq!(judged(vec![none]).0, Decision::Go);
        let twice = DrillRow { duplicated_writes: Some(1), ..row(ComeBack::Held) };
        assert_eq!(judged(vec![twice]).0, Decision::NoGo);
    }

    #[test]
    fn no_data_is_never_a_go() {
        assert_eq!(judged(vec![]).0, Decision::CannotSay);
        let skipped = DrillRow { skipped: Some("no leader".into()), ..row(ComeBack::Held) };
        assert_eq!(
            judged(vec![skipped]),
            (Decision::CannotSay, vec!["no fault was injected, so nothing was tested".into()], 4)
        );
        let invalid = DrillRow { verdict: Some(Verdict::Invalid), ..row(ComeBack::Never) };
        assert_eq!(judged(vec![invalid]).0, Decision::CannotSay);
        let failing = DrillRow { is_attributable: false, ..row(ComeBack::Never) };
        assert_eq!(judged(vec![failing]).0, Decision::CannotSay);
    }

    #[test]
    fn what_did_nothing_was_not_healed_or_not_looked_at_is_no_go_either_way() {
        let text = |row: DrillRow| {
            let (decision, texts, _) = judged(vec![row]);
            assert_eq!(decision, Decision::CannotSay, "{texts:?}");
            texts[0].clone()
        };
        let no_effect = Some("no effect: never throttled in 5.0 s".to_string());
        let idle = DrillRow { no_effect, ..row(ComeBack::Held) };
        assert!(text(idle).ends_with("the fault had no effect: never throttled in 5.0 s"));
        let heal_failed = Some("app-1 did not become ready".to_string());
        let stuck = DrillRow { heal_failed, ..row(ComeBack::Held) };
        assert!(text(stuck).contains("not healed: app-1 did not"));
        let unread = DrillRow { unchecked_writes: 60, ..row(ComeBack::Held) };
        assert!(text(unread.clone()).starts_with("60 writes were not looked at"));
        let lost = DrillRow { lost_writes: Some(1), ..unread };
        assert_eq!(judged(vec![lost]).0, Decision::NoGo, "what is lost is lost");
    }

    #[test]
    fn the_card_of_a_run_says_what_its_record_says() {
        use crate::analysis::drill::{DrillOutcome, Drilled};
        use crate::analysis::{Run, summarise, testing::power_off_story};
        use crate::record::{EventKind, Record};
        let decision = |change: &dyn Fn(&mut Record)| {
            let story = power_off_story().answered(10..20, 1.0).writes(0..20_000, 50);
            let mut record = story.read_back(0).build();
            change(&mut record);
            let mut summary = summarise(&record);
            super::super::judge(&mut summary);
            let runs = vec![Run { record: &record, summary: &summary }];
            let (name, about) = ("server-lost", "a test");
            let drilled = Drilled { name, about, outcome: DrillOutcome::Ran(runs) };
            let mut card = drill_card(None, &[drilled]);
            (judge_drills(&mut card), card.reasons)
        };
        let healed = |record: &mut Record, see: &dyn Fn(&mut crate::record::Event)| {
            record.events.iter_mut().filter(|e| e.kind == EventKind::FaultHealed).for_each(see);
        };
        assert_eq!(decision(&|_| {}), (Decision::Go, vec![]));
        let nothing = "mechanism=x; proof=no effect: no request met it; now off";
        let (found, why) = decision(&|r| healed(r, &|e| e.detail = nothing.into()));
        assert_eq!(found, Decision::CannotSay, "{why:?}");
        let (found, why) = decision(&|r| healed(r, &|e| e.kind = EventKind::HealFailed));
        assert_eq!(found, Decision::CannotSay, "{why:?}");
        let (found, why) = decision(&|r| r.operations_lost = 5);
        assert_eq!(found, Decision::CannotSay, "{why:?}");
    }

    #[test]
    fn a_target_that_fails_without_a_fault_cannot_be_judged() {
        let mut card = drill_card(None, &[]);
        card.rows = vec![row(ComeBack::Held)];
        card.in_time_needed = 0.99;
        let control = |worst_share: Option<f64>, is_valid| Control {
            requests: 10,
            in_time_share: worst_share,
            failed_requests: 0,
            worst_share,
            is_noisy: worst_share == Some(0.9),
            is_valid,
            slow_machine: None,
            reasons: vec![],
        };
        card.control = Some(control(Some(0.995), true));
        assert_eq!(judge_drills(&mut card), Decision::Go);
        card.control = Some(control(Some(0.9), true));
        assert_eq!(judge_drills(&mut card), Decision::CannotSay);
        card.rows = vec![row(ComeBack::Never)];
        assert_eq!(judge_drills(&mut card), Decision::CannotSay, "it may not be the fault's doing");
        card.rows[0].lost_writes = Some(1);
        assert_eq!(judge_drills(&mut card), Decision::NoGo);
        card.rows = vec![row(ComeBack::Held)];
        card.control = Some(control(Some(1.0), false));
        assert_eq!(judge_drills(&mut card), Decision::CannotSay);
    }

    #[test]
    fn what_does_not_fit_is_a_risk_and_what_was_not_run_is_unknown() {
        let with = |does_not_fit| {
            let mut card = drill_card(None, &[]);
            card.rows = vec![row(ComeBack::Held)];
            card.not_tested =
                vec![NotTested { what: "x".into(), about: None, why: "why".into(), does_not_fit }];
            judge_drills(&mut card)
        };
        assert_eq!(with(true), Decision::GoWithRisks);
        assert_eq!(with(false), Decision::CannotSay);
    }
}
