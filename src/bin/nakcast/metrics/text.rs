//! The text format 0.0.4 of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;

use nakcast::Figure;
use nakcast::FigureValue;

/// All samples, those of one name together.
#[derive(Debug, Default)]
pub(crate) struct Text {
    families: BTreeMap<&'static str, String>,
}

impl Text {
    /// Adds `figures`, each with `labels`.
    pub(crate) fn add(&mut self, figures: &[Figure], labels: &[(&str, &str)]) {
        let labels: Vec<_> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        for Figure { name, help, value } in figures {
            let (kind, value) = match value {
                FigureValue::Counter(value) => ("counter", value.to_string()),
                FigureValue::Gauge(value) => ("gauge", value.to_string()),
            };
            let begin = || format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
            let family = self.families.entry(name).or_insert_with(begin);
            // Writing to a string cannot fail.
            writeln!(family, "{name}{labels} {value}").unwrap_or_default();
        }
    }

    pub(crate) fn finish(self) -> String {
        self.families.into_values().collect()
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_name_stand_together() {
        let figures = [
            Figure { name: "b_total", help: "B.", value: FigureValue::Counter(u64::MAX) },
            Figure { name: "a_seconds", help: "A.", value: FigureValue::Gauge(0.25) },
        ];
        let mut text = Text::default();
        text.add(&figures, &[]);
        text.add(&figures, &[("x", "1\"\\\n"), ("y", "2")]);
        let wanted = "# HELP a_seconds A.\n# TYPE a_seconds gauge\na_seconds 0.25\n\
            a_seconds{x=\"1\\\"\\\\\\n\",y=\"2\"} 0.25\n# HELP b_total B.\n# TYPE b_total counter\n\
            b_total 18446744073709551615\nb_total{x=\"1\\\"\\\\\\n\",y=\"2\"} 18446744073709551615\n";
        assert_eq!(text.finish(), wanted);
    }
}
