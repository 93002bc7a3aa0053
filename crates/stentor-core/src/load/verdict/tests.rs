//! Conditions: what is read, what is refused and where, and what fails.

use proptest::prelude::*;

use super::*;

fn refused(written: &str) -> (usize, String) {
    let refusal = written.parse::<Condition>().unwrap_err();
    (refusal.at, refusal.to_string())
}

#[test]
fn conditions_are_read() {
    let check = |written: &str, metric, operator, bound| {
        assert_eq!(written.parse(), Ok(Condition { metric, operator, bound }), "{written}");
    };
    let ms = |ms| Value::Time(Duration::from_millis(ms));
    check("p99>5ms", Metric::Percentile(99.0), Operator::Above, ms(5));
    check(" p99.99 >= 1s ", Metric::Percentile(99.99), Operator::AtLeast, ms(1000));
    check("mean<=20ms", Metric::Mean, Operator::AtMost, ms(20));
    check("loss>0.1%", Metric::Loss, Operator::Above, Value::Share(0.001));
    check("wrong>0", Metric::Wrong, Operator::Above, Value::Number(0));
    check("rate<10k", Metric::Rate, Operator::Below, Value::PerSecond(1e4));
    check("rate<99.5/s", Metric::Rate, Operator::Below, Value::PerSecond(99.5));
    check(
        "lateness>100us",
        Metric::Lateness,
        Operator::Above,
        Value::Time(Duration::from_micros(100)),
    );
}

#[test]
fn a_refusal_names_the_place_and_what_would_do() {
    let check = |written: &str, place: usize, part: &str| {
        let (at, text) = refused(written);
        assert_eq!(at, place, "{text}");
        assert!(text.contains(part), "{text}");
    };
    check("", 0, "is no metric");
    check("p100>5ms", 0, "\"p100\" is no metric");
    check("p>5ms", 0, "is no metric");
    check("pinf>5ms", 0, "is no metric");
    check("  latency>5ms", 2, "there are p50, p99.9 ..., max, mean, loss");
    check("p99", 3, "after p99 comes >, >=, < or <=");
    check("p99=5ms", 3, "after p99 comes");
    check("p99>5", 4, "a time with its unit");
    check("p99 > ", 6, "a time with its unit");
    check("loss>101%", 5, "a probability");
    check("loss>5ms", 5, "an amount");
    check("rate<5ms", 5, "an amount");
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_or_refused(written in "\\PC{0,20}") {
        if let Ok(condition) = written.parse::<Condition>() {
            prop_assert_eq!(condition.to_string().parse(), Ok(condition));
        }
    }

    #[test]
    fn what_is_read_is_written_the_same(
        metric in "(p[1-9][0-9](\\.[0-9])?>|max<|mean>=)[0-9]{1,4}(us|ms|s)|(loss|late)>[0-9]{1,2}%",
    ) {
        let condition = metric.parse::<Condition>();
        let condition = condition.unwrap();
        prop_assert_eq!(condition.to_string().parse(), Ok(condition));
    }
}

fn tally() -> Tally {
    let mut tally = Tally::new();
    tally.counts = Counts { sent: 1000, verified: 1000, ..Counts::default() };
    (1..=1000).for_each(|us| tally.latency.record(Duration::from_micros(us)));
    tally
}

#[test]
fn conditions_are_compared_with_what_was_measured() {
    let check = |written: &str, tally: &Tally, fails: bool| {
        let failing = judge(tally, Duration::from_secs(10), &[written.parse().unwrap()]);
        assert_eq!(!failing.is_empty(), fails, "{written}: {failing:?}");
    };
    let good = tally();
    for (condition, fails) in [
        ("p99>5ms", false),
        ("p99>980us", true),
        ("p50<=510us", true),
        ("max>1ms", false),
        ("rate<100", false),
        ("rate<100.1", true),
        ("loss>0%", false),
        ("loss>=0%", true),
        ("unsent>0", false),
    ] {
        check(condition, &good, fails);
    }
    let mut lossy = tally();
    (lossy.counts.verified, lossy.counts.lost) = (990, 10);
    check("loss>1%", &lossy, false);
    check("loss>0.9%", &lossy, true);
    check("loss>9", &lossy, true);
    check("p99>5ms", &lossy, true);
    assert_eq!(judge(&lossy, Duration::from_secs(10), &[]), [Failing::NotZero(Metric::Loss, 10)]);
}

#[test]
fn nothing_answered_is_a_failure_whatever_is_asked() {
    let condition: Condition = "p99>5ms".parse().unwrap();
    let mut nothing = Tally::new();
    nothing.counts = Counts { sent: 10, lost: 10, ..Counts::default() };
    assert_eq!(
        judge(&nothing, Duration::from_secs(1), &[condition]),
        [Failing::NothingVerified, Failing::Unknown(condition), Failing::NotZero(Metric::Loss, 10)]
    );
    assert_eq!(judge(&Tally::new(), Duration::ZERO, &[]), [Failing::NothingVerified]);
}

#[test]
fn what_went_wrong_in_the_warm_up_counts() {
    let mut warm = tally();
    warm.warmup = Counts { sent: 5, verified: 4, wrong: 1, ..Counts::default() };
    let failing = judge(&warm, Duration::from_secs(1), &[]);
    assert_eq!(failing, [Failing::NotZero(Metric::Wrong, 1)]);
}
