//! Charts are well formed whatever is in them, and say the same to everyone.

use proptest::prelude::*;
use roxmltree::Document;

use super::*;

fn small() -> Chart {
    let series = |name: &str, hue, form, points: &[(f64, f64)]| Series {
        name: name.into(),
        hue,
        form,
        points: points.to_vec(),
    };
    Chart {
        title: "Latency over time".into(),
        about: "p99 rises to 1 s while the server stalls.".into(),
        width: 480,
        height: 220,
        x: Axis { label: "time".into(), unit: Unit::Nanos, ..Axis::default() },
        y: Axis {
            label: "latency".into(),
            unit: Unit::Nanos,
            scale: Scale::Log,
            ..Axis::default()
        },
        series: vec![
            series("p50", Hue::Second, Form::Line, &[(0.0, 1e5), (1e9, 2e5), (2e9, 1e5)]),
            series("p99", Hue::First, Form::Area, &[(0.0, 3e5), (1e9, 1e9), (2e9, f64::NAN)]),
            series("lost", Hue::Bad, Form::Columns, &[(1e9, 4e5)]),
        ],
        bands: vec![Band { from: 0.0, to: 5e8, label: "warm-up".into(), hue: Hue::Faded }],
        marks: vec![
            Mark { on: On::X, at: 1e9, label: "stall".into(), hue: Hue::Bad },
            Mark { on: On::Y, at: 5e6, label: "p99 at most 5 ms".into(), hue: Hue::Third },
        ],
        spans: Vec::new(),
    }
}

fn three() -> Bars {
    let bar = |label: &str, value, hue| Bar { label: label.into(), value, hue, ..Bar::default() };
    Bars {
        title: "Requests a second".into(),
        about: "All three are equal within noise.".into(),
        label: "on two cores, more is better".into(),
        unit: Unit::PerSecond,
        bars: vec![
            bar("stentor", 181_000.0, Hue::First),
            Bar { spread: Some((140e3, 180e3)), ..bar("tokio", 165_000.0, Hue::Faded) },
            Bar { note: "crashed".into(), ..bar("<b>&", f64::NAN, Hue::Bad) },
        ],
        reference: Some(0),
    }
}

#[test]
fn a_small_chart() {
    insta::assert_snapshot!(small().svg().replace(style(), "..."));
}

#[test]
fn three_bars() {
    insta::assert_snapshot!(three().svg().replace(style(), "..."));
}

/// Two panels and blocks over the same time.
fn panels() -> Panels {
    let span = Span {
        from: 2e8,
        to: 9e8,
        low: 1.0,
        high: 2.0,
        label: "chunk 1".into(),
        hue: Hue::First,
        strength: 0.5,
    };
    let blocks = Chart { series: Vec::new(), spans: vec![span], ..small() };
    Panels {
        title: "Two & a half".into(),
        subtitle: "over the same time".into(),
        about: "One below the other.".into(),
        charts: vec![small(), Chart { title: "Blocks".into(), ..blocks }],
        bands: vec![Band { from: 0.0, to: 1e9, label: "stalled".into(), hue: Hue::Bad }],
    }
}

#[test]
fn panels_share_their_time() {
    let drawn = panels().svg();
    check(&drawn, "Two & a half");
    let document = Document::parse(&drawn).unwrap();
    let of = |class: &'static str| {
        document.descendants().filter(move |node| node.attribute("class") == Some(class))
    };
    let number = |node: roxmltree::Node<'_, '_>, name: &str| -> f64 {
        node.attribute(name).unwrap().parse().unwrap()
    };
    // 0.7 of 2 s, in both panels the same frame; a shade goes through both.
    let (span, band) = (of("span").next().unwrap(), of("band").next().unwrap());
    assert!((number(span, "width") / number(band, "width") - 0.7).abs() < 0.01);
    assert!(number(band, "height") > f64::from(2 * small().height));
    // A pointer is told of the first panel everywhere; blocks answer for themselves.
    let told = of("readout").map(|node| node.text().unwrap()).collect::<Vec<_>>();
    assert!(told.contains(&"1 s   p50 200 us   p99 1 s   lost 400 us"), "{told:?}");
    assert_eq!(of("catch").count(), told.len());
    check(&Panels::default().svg(), "");
    check(
        &panels().figure("two").replace("<figure>\n", "").replace("</figure>\n", ""),
        "Two & a half",
    );
    let empty = Panels { charts: vec![Chart::default(), Chart::default()], ..Panels::default() };
    assert_eq!(empty.svg().matches("nothing was measured").count(), 2);
}

/// Fails unless the picture is well-formed XML that says its title and names no NaN.
fn check(drawn: &str, title: &str) {
    let document = Document::parse(drawn).unwrap_or_else(|error| panic!("{error}: {drawn}"));
    let said = document.descendants().find(|node| node.has_tag_name("title")).unwrap();
    assert_eq!(escape(said.text().unwrap_or_default()), escape(title));
    assert!(!drawn.contains("NaN") && !drawn.contains("\"inf"), "{drawn}");
}

#[test]
fn pages_hold_several_figures() {
    let page = format!("<body>{}{}</body>", small().figure("a"), three().figure("b"));
    let document = Document::parse(&page).unwrap();
    let mut ids: Vec<_> = document.descendants().filter_map(|node| node.attribute("id")).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((all, ids.len()), (4, 4));
}

#[test]
fn a_pointer_is_told_every_value() {
    let drawn = small().svg();
    for said in ["0\np50 100 us\np99 300 us", "1 s\np50 200 us\np99 1 s\nlost 400 us"] {
        assert!(drawn.contains(&format!("<title>{said}</title>")), "{said:?} in {drawn}");
    }
}

#[test]
fn columns_stand_on_one_another() {
    let mut chart = small();
    chart.y.scale = Scale::Linear;
    chart.marks.clear();
    let column = |name: &str, y| Series {
        name: name.into(),
        form: Form::Columns,
        points: vec![(1e9, y)],
        ..Series::default()
    };
    chart.series = vec![column("wrong", 3e6), column("lost", 4e6)];
    let drawn = chart.svg();
    assert!(drawn.contains("<title>1 s\nwrong 3 ms\nlost 4 ms</title>"), "{drawn}");
    let document = Document::parse(&drawn).unwrap();
    let high = |node: roxmltree::Node<'_, '_>| node.attribute("height")?.parse::<f64>().ok();
    let columns = document.descendants().filter(|n| n.attribute("class") == Some("column"));
    let heights: Vec<f64> = columns.filter_map(high).collect();
    let ratio = heights[0] / heights[1];
    assert!((ratio - 7.0 / 3.0).abs() < 0.01, "the higher one is behind: {heights:?}");
}

#[test]
fn nothing_and_one_point_are_charts_too() {
    for points in [vec![], vec![(f64::NAN, f64::NAN)], vec![(1.0, 1.0)], vec![(0.0, 0.0)]] {
        for scale in [Scale::Linear, Scale::Log, Scale::Percentile] {
            for form in
                [Form::Line, Form::Dashed, Form::Steps, Form::Area, Form::Columns, Form::Dots]
            {
                let mut chart = small();
                (chart.x.scale, chart.y.scale) = (scale, scale);
                chart.marks.clear();
                let series = Series { points: points.clone(), form, ..small().series.remove(0) };
                chart.series = vec![series];
                let drawn = chart.svg();
                check(&drawn, &chart.title);
                let empty = !points.iter().any(|(x, _)| x.is_finite());
                assert_eq!(drawn.contains("nothing was measured"), empty);
            }
        }
    }
    check(&Bars::default().svg(), "");
    check(&Chart::default().svg(), "");
    check(&Chart { width: 0, height: 0, ..small() }.svg(), "Latency over time");
}

#[test]
fn a_million_points_are_a_small_picture() {
    let mut chart = small();
    let points = (0..1_000_000u32).map(|n| (f64::from(n) * 1e6, f64::from(n * 31 % 1_000_003)));
    chart.series = vec![Series { points: points.collect(), ..small().series.remove(0) }];
    let drawn = chart.svg();
    check(&drawn, &chart.title);
    assert!(drawn.len() < 100_000, "{} bytes", drawn.len());
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), -10.0..1e10f64, Just(f64::NAN), Just(f64::MAX), Just(0.0)]
}

proptest! {
    #[test]
    fn any_text_and_any_number_is_well_formed(
        text in "\\PC{0,40}|[\\x00-\\x20<>&\"'\\]]{0,20}",
        points in prop::collection::vec((number(), number()), 0..20),
        scale in prop::sample::select(vec![Scale::Linear, Scale::Log, Scale::Percentile]),
        form in prop::sample::select(vec![Form::Line, Form::Steps, Form::Area, Form::Columns, Form::Dots]),
    ) {
        let mut chart = small();
        (chart.x.scale, chart.y.scale) = (scale, scale);
        (chart.title, chart.about) = (text.clone(), text.clone());
        (chart.x.label, chart.y.label) = (text.clone(), text.clone());
        let at = points.first().map_or(0.0, |point| point.0);
        chart.marks[0] = Mark { at, label: text.clone(), ..chart.marks[0].clone() };
        chart.bands[0] = Band { from: at, label: text.clone(), ..chart.bands[0].clone() };
        chart.series[0] = Series { name: text.clone(), form, points: points.clone(), ..chart.series[0].clone() };
        check(&chart.svg(), &text);
        let mut bars = three();
        (bars.title, bars.label) = (text.clone(), text.clone());
        bars.bars[0] = Bar { value: at, label: text.clone(), note: text.clone(), ..bars.bars[0].clone() };
        check(&bars.svg(), &text);
    }
}

/// Writes charts into the folder LOOK names, for eyes to judge.
#[test]
#[ignore = "for eyes: LOOK=FOLDER cargo test -p stentor --lib chart -- --ignored"]
fn pictures_to_look_at() {
    let folder = std::path::PathBuf::from(std::env::var_os("LOOK").unwrap_or_default());
    let mut large = small();
    (large.width, large.height) = (WIDTH, HEIGHT);
    let wave = |n: u32, high: f64| (f64::from(n) * 1e8, high * (2.0 + (f64::from(n) / 9.0).sin()));
    let points = |high: f64| (0..400).map(|n| wave(n, high)).collect::<Vec<_>>();
    large.series[0].points = points(1e5);
    large.series[1].points = points(1e7);
    large.series[2].points = (0..400).filter(|n| n % 37 == 0).map(|n| wave(n, 4e4)).collect();
    large.marks[0].at = 1.2e10;
    large.bands[0].to = 5e9;
    let mut curve = small();
    (curve.width, curve.marks, curve.bands) = (WIDTH, vec![], vec![]);
    curve.title = "Latency by percentile".into();
    curve.x = Axis {
        label: "percentile".into(),
        unit: Unit::Share,
        scale: Scale::Percentile,
        range: None,
    };
    curve.y.scale = Scale::Linear;
    let quantile = |n: u32| 1.0 - 10f64.powf(-f64::from(n) / 40.0);
    let at = |n: u32, high: f64| (quantile(n), high * (1.0 + (f64::from(n) / 40.0).powi(3)));
    curve.series.truncate(2);
    curve.series[0].points = (0..200).map(|n| at(n, 4e5)).collect();
    curve.series[1].points = (0..200).map(|n| at(n, 1e6)).chain([(1.0, 1.3e8)]).collect();
    for (name, svg) in [
        ("small", small().svg()),
        ("large", large.svg()),
        ("bars", three().svg()),
        ("curve", curve.svg()),
        ("empty", Chart { title: "Nothing".into(), ..Chart::default() }.svg()),
    ] {
        std::fs::write(folder.join(format!("{name}.svg")), svg).unwrap();
    }
}
