//! Draws the charts of the report: `charts FOLDER`, told on standard input by report.py what to draw, one word of the table a tab:
//!
//! ```text
//! chart  FILE   TITLE
//! panel  TITLE
//! bar    NAME   ROLE   VALUE   LABEL
//! ```
//!
//! Every panel is a list of horizontal bars from zero, each as long as its value. The ground is transparent and all colours are of middle
//! lightness, so that one picture serves light pages and dark ones.

use std::error::Error;
use std::io::{self, BufRead};
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const TEXT: RGBColor = RGBColor(125, 133, 144);
const OURS: RGBColor = RGBColor(232, 89, 12);
const PEER: RGBColor = RGBColor(76, 142, 218);
const FLOOR: RGBColor = RGBColor(173, 181, 189);

/// Panels side by side.
const COLUMNS: usize = 2;
const PANEL_WIDTH: u32 = 430;
const TITLE: i32 = 34;
const PANEL_TITLE: i32 = 26;
const BAR: i32 = 18;
const GAP: i32 = 14;
/// Where bars begin and end within a panel: names stand left of them, values right.
const FROM: i32 = 178;
const TO: i32 = 350;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

struct Chart {
    file: String,
    title: String,
    panels: Vec<Panel>,
}

struct Panel {
    title: String,
    bars: Vec<Bar>,
}

struct Bar {
    name: String,
    colour: RGBColor,
    value: f64,
    label: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: charts FOLDER")?;
    for chart in read()? {
        chart.draw(&Path::new(&folder).join(&chart.file))?;
    }
    Ok(())
}

fn read() -> Result<Vec<Chart>, Box<dyn Error>> {
    let mut charts: Vec<Chart> = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split('\t').collect();
        match words[..] {
            ["chart", file, title] => {
                charts.push(Chart { file: file.into(), title: title.into(), panels: Vec::new() });
            }
            ["panel", title] => {
                let chart = charts.last_mut().ok_or("a panel belongs to a chart")?;
                chart.panels.push(Panel { title: title.into(), bars: Vec::new() });
            }
            ["bar", name, role, value, label] => {
                let panel = charts.last_mut().and_then(|chart| chart.panels.last_mut());
                let colour = match role {
                    "ours" => OURS,
                    "floor" => FLOOR,
                    _ => PEER,
                };
                let bar = Bar { name: name.into(), colour, value: value.parse()?, label: label.into() };
                panel.ok_or("a bar belongs to a panel")?.bars.push(bar);
            }
            _ => return Err(format!("what is {line:?}?").into()),
        }
    }
    Ok(charts)
}

impl Chart {
    fn draw(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let rows: Vec<i32> =
            self.panels.chunks(COLUMNS).map(|row| row.iter().map(Panel::height).max().unwrap_or(0)).collect();
        let columns = self.panels.len().clamp(1, COLUMNS) as u32;
        let height = TITLE + rows.iter().sum::<i32>();
        let area = SVGBackend::new(path, (columns * PANEL_WIDTH, height as u32)).into_drawing_area();
        write(&area, &self.title, (10, TITLE / 2), 17, HPos::Left)?;
        let mut top = TITLE;
        for (row, height) in self.panels.chunks(COLUMNS).zip(rows) {
            for (column, panel) in row.iter().enumerate() {
                let left = column as i32 * PANEL_WIDTH as i32;
                panel.draw(&area.clone().shrink((left, top), (PANEL_WIDTH, height as u32)))?;
            }
            top += height;
        }
        area.present()?;
        Ok(())
    }
}

impl Panel {
    fn height(&self) -> i32 {
        PANEL_TITLE + BAR * self.bars.len() as i32 + GAP
    }

    fn draw(&self, area: &Area<'_>) -> Result<(), Box<dyn Error>> {
        write(area, &self.title, (10, PANEL_TITLE / 2), 14, HPos::Left)?;
        let longest = self.bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
        for (index, bar) in self.bars.iter().enumerate() {
            let top = PANEL_TITLE + index as i32 * BAR;
            let end = FROM + (bar.value / longest * f64::from(TO - FROM)).round() as i32;
            let middle = top + BAR / 2;
            write(area, &bar.name, (FROM - 6, middle), 12, HPos::Right)?;
            area.draw(&Rectangle::new(
                [(FROM, top + 3), (end.max(FROM + 1), top + BAR - 3)],
                bar.colour.filled(),
            ))?;
            write(area, &bar.label, (end + 5, middle), 12, HPos::Left)?;
        }
        Ok(())
    }
}

fn write(area: &Area<'_>, text: &str, at: (i32, i32), size: u32, anchor: HPos) -> Result<(), Box<dyn Error>> {
    let style = ("sans-serif", size).into_font().color(&TEXT).pos(Pos::new(anchor, VPos::Center));
    area.draw(&Text::new(text, at, style))?;
    Ok(())
}
