//! `flowlet sample`

use super::files;
use super::output::{grouped, Output};
use super::scoring;
use super::usage;
use anyhow::Context;
use clap::Args;
use flowlet::Sampler;
use rand_core::SeedableRng;
use rand_pcg::Pcg64;
use serde_json::json;
use std::fmt::Write;
use std::path::PathBuf;

/// Draw rows from the flow: what the image holds to be normal
///
/// Computed by the device's own code. The rows have the features' columns, and those of the context behind them, so that
/// they can be scored as they are.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  flowlet sample pump.flow -n 1000 -o drawn.csv
  flowlet sample pump.flow -n 1000 --seed 7 --context speed=1500,load=0.5 -o drawn.csv")]
pub(super) struct SampleArgs {
    /// The image
    #[arg(value_name = "M.flow")]
    model: PathBuf,
    /// How many rows
    #[arg(short = 'n', long = "rows", value_name = "N")]
    rows: usize,
    /// Seed of the random numbers; the same seed gives the same rows everywhere
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Operating point of an image with context inputs: name=value of each
    #[arg(long, value_name = "A=X,B=Y", value_delimiter = ',', value_parser = assignment)]
    context: Vec<(String, f32)>,
    /// Where to write the rows
    #[arg(short, long, value_name = "OUT.csv")]
    output: PathBuf,
}

fn assignment(text: &str) -> Result<(String, f32), String> {
    let (name, value) = text.rsplit_once('=').ok_or("must be name=value, such as speed=1500")?;
    match value.trim().parse::<f32>() {
        Ok(value) if value.is_finite() => Ok((name.trim().to_owned(), value)),
        _ => Err(format!("'{value}' is no number: use name=value, such as speed=1500")),
    }
}

impl SampleArgs {
    pub(super) fn run(self, output: &Output) -> anyhow::Result<()> {
        files::check_target(&self.output)?;
        let image = scoring::read_image(&self.model)?;
        let model = image.model()?;
        let names = scoring::input_names(&image)?;
        let context = self.context_values(&names[model.features()..])?;

        let mut workspace = vec![0; model.workspace_bytes() / 4];
        let mut sampler = Sampler::new(&model, &mut workspace)?;
        let mut random = Pcg64::seed_from_u64(self.seed);
        let mut reading = vec![0.0; model.features()];
        let mut csv = header(&names)?;
        for _ in 0..self.rows {
            sampler.sample_in_context(&mut random, &context, &mut reading)?;
            for (index, value) in reading.iter().chain(&context).enumerate() {
                // Writing to a String cannot fail; the shortest form reads back as the same f32.
                let _ = write!(csv, "{}{value:?}", if index > 0 { "," } else { "" });
            }
            csv.push('\n');
        }
        files::write_whole(&self.output, csv.as_bytes())?;

        let text = format!("{}: {} rows", self.output.display(), grouped(self.rows));
        let json = json!({
            "rows": self.rows,
            "seed": self.seed,
            "features": names[..model.features()],
            "context": names[model.features()..].iter().cloned().zip(context.iter().map(|&x| json!(x)))
                .collect::<serde_json::Map<_, _>>(),
            "numeric": scoring::name(model.numeric()),
            "output": self.output,
        });
        output.finish(&text, &json)
    }

    /// The values of the image's context inputs, in its order.
    fn context_values(&self, names: &[String]) -> anyhow::Result<Vec<f32>> {
        let model = self.model.display();
        let example = || names.iter().map(|name| format!("{name}=...")).collect::<Vec<_>>().join(",");
        if let Some((name, _)) = self.context.iter().find(|(name, _)| !names.contains(name)) {
            return Err(usage(if names.is_empty() {
                format!("{model} has no context inputs: leave out --context")
            } else {
                format!("{model} has no context input '{name}': use --context {}", example())
            }));
        }
        names
            .iter()
            .map(|wanted| {
                let mut given = self.context.iter().filter(|(name, _)| name == wanted);
                let missing = || usage(format!("{model} needs its context: use --context {}", example()));
                let (_, value) = given.next().ok_or_else(missing)?;
                match given.next() {
                    Some(_) => Err(usage(format!("--context names '{wanted}' twice"))),
                    None => Ok(*value),
                }
            })
            .collect()
    }
}

/// The header row, with quotes where names need them.
fn header(names: &[String]) -> anyhow::Result<String> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    writer.write_record(names)?;
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    String::from_utf8(bytes).context("column names")
}
