use std::time::Duration;

use super::html::span;
use super::timeline::{Rate, Timeline};

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 180.0;
const TOP: f64 = 20.0;

/// The throughput over time: orders a second, and the rejected ones among them.
pub(super) fn svg(timeline: &Timeline, elapsed: Duration) -> String {
    let rates: Vec<Rate> = timeline.rates(elapsed).collect();
    let highest = rates.iter().map(|r| r.orders).fold(0.0, f64::max);
    let end = rates.last().map_or(Duration::ZERO, |r| r.until);
    if highest <= 0.0 || end.is_zero() {
        return "<p>This run committed no block.</p>\n".to_owned();
    }
    let area = |class: &str, of: fn(&Rate) -> f64| {
        let mut path = format!("M0 {:.1}", TOP + HEIGHT);
        let mut from = 0.0;
        for rate in &rates {
            let to = WIDTH * rate.until.as_secs_f64() / end.as_secs_f64();
            let y = TOP + HEIGHT * (1.0 - of(rate) / highest);
            path.push_str(&format!("L{from:.1} {y:.1}L{to:.1} {y:.1}"));
            from = to;
        }
        format!("<path class=\"{class}\" d=\"{path}L{WIDTH:.1} {:.1}Z\"/>\n", TOP + HEIGHT)
    };
    let words = format!("Orders a second over {}, at most {highest:.0}", span(end));
    format!(
        "<svg viewBox=\"0 0 {WIDTH} 220\" role=\"img\" aria-label=\"{words}\">\n<title>{words}</title>\n{}{}\
         <line class=\"axis\" x1=\"0\" y1=\"{y}\" x2=\"{WIDTH}\" y2=\"{y}\"/>\n\
         <line class=\"axis\" x1=\"0\" y1=\"{TOP}\" x2=\"{WIDTH}\" y2=\"{TOP}\" stroke-dasharray=\"4\"/>\n\
         <text x=\"4\" y=\"14\">{highest:.0} orders a second (green), rejected among them (red)</text>\n\
         <text x=\"0\" y=\"216\">0</text>\n<text x=\"{WIDTH}\" y=\"216\" text-anchor=\"end\">{}</text>\n</svg>\n",
        area("orders", |r| r.orders),
        area("rejected", |r| r.rejected),
        span(end),
        y = TOP + HEIGHT,
    )
}
