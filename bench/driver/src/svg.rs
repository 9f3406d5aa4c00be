//! Bars beside each other on logarithmic scales, as an SVG that needs nothing else.

use std::fmt::Write;

use crate::number;

/// Bars that share a scale.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) bars: Vec<Bar>,
}

#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) value: f64,
    pub(crate) is_ours: bool,
}

const WIDTH: f64 = 860.0;
/// Where bars begin, and where the longest ends.
const LEFT: f64 = 230.0;
const RIGHT: f64 = 780.0;
const BAR: f64 = 16.0;
const STEP: f64 = 22.0;
/// What a panel needs beside its bars: title above, scale below.
const HEAD: f64 = 40.0;
const FOOT: f64 = 40.0;

/// All panels, one below the other.
pub(crate) fn chart(panels: &[Panel]) -> String {
    let height: f64 = panels.iter().map(Panel::height).sum();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    let mut top = 0.0;
    for panel in panels {
        panel.draw(top, &mut svg);
        top += panel.height();
    }
    svg.push_str("</svg>\n");
    svg
}

impl Panel {
    fn height(&self) -> f64 {
        HEAD + STEP * self.bars.len() as f64 + FOOT
    }

    /// The powers of ten that hold all values.
    fn decades(&self) -> Option<(i32, i32)> {
        let logs = || self.bars.iter().map(|bar| bar.value.log10()).filter(|log| log.is_finite());
        let low = logs().reduce(f64::min)?.floor() as i32;
        let high = logs().reduce(f64::max)?.ceil() as i32;
        Some((low, high.max(low + 1)))
    }

    fn draw(&self, top: f64, svg: &mut String) {
        text(svg, (20.0, top + 24.0), "font-size=\"15\" font-weight=\"bold\"", &self.title);
        text(svg, (RIGHT, top + 24.0), "text-anchor=\"end\" fill=\"#666666\"", "logarithmic scale");
        let Some(decades) = self.decades() else { return };
        let bottom = top + HEAD + STEP * self.bars.len() as f64;
        for decade in decades.0..=decades.1 {
            let value = 10_f64.powi(decade);
            let x = position(value, decades);
            svg.push_str(&format!(
                "<line x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" stroke=\"#dddddd\"/>\n",
                top + HEAD - 4.0
            ));
            text(svg, (x, bottom + 14.0), "text-anchor=\"middle\" fill=\"#666666\"", &number::brief(value));
        }
        for (index, bar) in self.bars.iter().enumerate() {
            bar.draw(top + HEAD + STEP * index as f64, decades, svg);
        }
    }
}

impl Bar {
    fn draw(&self, top: f64, decades: (i32, i32), svg: &mut String) {
        let end = position(self.value, decades);
        let fill = if self.is_ours { "#c2410c" } else { "#94a3b8" };
        let width = end - LEFT;
        text(svg, (LEFT - 8.0, top + 12.0), "text-anchor=\"end\"", &self.label);
        writeln!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{fill}\"/>"
        )
        .unwrap_or_default();
        text(svg, (end + 6.0, top + 12.0), "", &number::brief(self.value));
    }
}

/// Where a value lies on the scale; one that has no logarithm at its beginning.
fn position(value: f64, (low, high): (i32, i32)) -> f64 {
    let share = (value.log10() - f64::from(low)) / f64::from(high - low);
    LEFT + (RIGHT - LEFT) * if share.is_finite() { share } else { 0.0 }
}

fn text(svg: &mut String, (x, y): (f64, f64), how: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {how}>{words}</text>").unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(label: &str, value: f64) -> Bar {
        Bar { label: label.to_owned(), value, is_ours: label == "nakcast" }
    }

    fn panel(bars: Vec<Bar>) -> Panel {
        Panel { title: "32 B & <loss>".to_owned(), bars }
    }

    /// Every tag is closed, in the right order, and every attribute is quoted.
    fn is_well_formed(svg: &str) -> bool {
        let mut open = Vec::new();
        for tag in svg.split('<').skip(1) {
            let Some((tag, words)) = tag.split_once('>') else { return false };
            let name = tag.split([' ', '/']).find(|word| !word.is_empty()).unwrap_or_default();
            let entities = words.split('&').skip(1);
            let escaped = entities
                .map(|rest| rest.split(';').next())
                .all(|name| name.is_some_and(|name| ["amp", "lt", "gt"].contains(&name)));
            if !escaped || tag.matches('"').count() % 2 != 0 {
                return false;
            }
            match (tag.starts_with('/'), tag.ends_with('/')) {
                (true, _) if open.pop() != Some(name) => return false,
                (false, false) => open.push(name),
                _ => {}
            }
        }
        open.is_empty()
    }

    #[test]
    fn a_chart_is_well_formed() {
        let bars = vec![bar("nakcast", 12.5), bar("a < b", 0.14), bar("none", 0.0)];
        let svg = chart(&[panel(bars), panel(Vec::new())]);
        assert!(is_well_formed(&svg), "{svg}");
        assert!(svg.contains(">a &lt; b<") && svg.contains("#c2410c"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn what_is_not_well_formed() {
        for svg in ["<a>", "<a></b>", "<a x=\"1></a>", "<a>&b;</a>", "<a"] {
            assert!(!is_well_formed(svg), "{svg}");
        }
    }

    #[test]
    fn scales_are_powers_of_ten() {
        assert_eq!(panel(vec![bar("a", 0.14), bar("b", 48.0)]).decades(), Some((-1, 2)));
        assert_eq!(panel(vec![bar("a", 10.0)]).decades(), Some((1, 2)));
        assert_eq!((position(1.0, (0, 2)), position(100.0, (0, 2))), (LEFT, RIGHT));
    }
}
