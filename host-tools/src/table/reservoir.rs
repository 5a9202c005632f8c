//! Training rows from files of any length: all of them while they are few, else a uniform sample, in bounded memory.

use super::{open, Chunks, ReadOptions, Table, TableError};
use crate::training::Random;
use std::path::Path;

/// Files up to so many bytes are read whole: a column is then judged by all of its cells.
const WHOLE_BYTES: u64 = 64 << 20;
/// Chunks of a long file that are parsed at a time.
const CHUNKS_AT_ONCE: usize = 8;
/// What the generator is for.
const PURPOSE: u64 = 0x5a3b;

/// How far reading is: what is done, what there is in all, and of what.
pub type Watch<'a> = &'a mut dyn FnMut(u64, u64, &'static str);

impl Table {
    /// Reads several files with the same columns, one after the other, and keeps at most `most` of the rows labelled normal (or not labelled) and as many of the anomalous ones: every row with the same
    /// chance, in the order of the files (algorithm R, Vitter 1985, "Random sampling with a reservoir").
    ///
    /// The same files, `most` and `seed` give the same rows. Memory does not grow with the files: `most` rows of each
    /// kind, and a few megabytes of what is being parsed. Files of more than 64 MB are read in parts, see
    /// [`Chunks`] for what is different then.
    ///
    /// # Errors
    /// As [`Table::read_all`].
    pub fn read_sample<P: AsRef<Path>>(
        paths: &[P],
        options: &ReadOptions,
        (most, seed): (usize, u64),
        watch: Watch<'_>,
    ) -> Result<Self, TableError> {
        let mut reservoir = Reservoir::new(most, seed);
        let mut whole: Option<Self> = None;
        for path in paths {
            let path = path.as_ref();
            let more = reservoir.read(path, options, whole.as_ref(), watch)?;
            match &mut whole {
                None => whole = Some(more),
                Some(whole) => {
                    whole.notes.extend(more.notes);
                    whole.skipped_rows += more.skipped_rows;
                }
            }
        }
        let whole = whole.ok_or_else(|| TableError::Empty { path: Default::default() })?;
        Ok(reservoir.into_table(whole))
    }
}

/// Rows drawn from those that went by.
struct Reservoir {
    most: usize,
    random: Random,
    /// Normal and anomalous rows.
    kinds: [Kind; 2],
    /// Data rows that came before, those left out included.
    rows_before: usize,
    columns: usize,
}

/// Rows of one kind.
#[derive(Default)]
struct Kind {
    seen: usize,
    /// Data row of each row that is kept, in no order once some were replaced.
    numbers: Vec<usize>,
    /// The same rows, `numbers.len() x columns`.
    values: Vec<f32>,
}

impl Reservoir {
    fn new(most: usize, seed: u64) -> Self {
        let random = Random::new(seed, PURPOSE);
        Self { most: most.max(1), random, kinds: Default::default(), rows_before: 0, columns: 0 }
    }

    /// Takes the rows of a file, which has the columns of the first one; gives a table without rows.
    fn read(
        &mut self,
        path: &Path,
        options: &ReadOptions,
        first: Option<&Table>,
        watch: Watch<'_>,
    ) -> Result<Table, TableError> {
        let features = first.map(|table| table.columns.clone()).or_else(|| options.features.clone());
        let checked = options.features.is_none().then_some(first).flatten();
        let matched = ReadOptions { features, ..options.clone() };
        if std::fs::metadata(path).map_or(0, |data| data.len()) <= WHOLE_BYTES {
            let source = open(path, options.skip_bad_rows)?;
            checked.map_or(Ok(()), |first| first.same_columns(&source, options))?;
            let mut table = Table::from_source(source, &matched)?;
            self.take(&table, 0);
            self.rows_before += table.rows + table.skipped_rows;
            table.values.clear();
            return Ok(table);
        }
        if let Some(first) = checked {
            let chunks = Chunks::open(path, options)?;
            chunks.first_part().map_or(Ok(()), |part| first.same_columns(part, options))?;
        }
        let mut chunks = Chunks::open(path, &matched)?;
        let mut last = None;
        let (total, unit) = chunks.total();
        loop {
            let batch = chunks.next_batch(CHUNKS_AT_ONCE)?;
            if batch.is_empty() {
                break;
            }
            for chunk in batch {
                self.take(&chunk.table, chunk.first_row);
                last = Some(chunk.table);
            }
            watch(chunks.done(), total, unit);
        }
        self.rows_before += chunks.rows();
        let last = last.ok_or_else(|| TableError::NoRows { path: path.to_path_buf() })?;
        Ok(Table { values: Vec::new(), notes: chunks.notes(), skipped_rows: chunks.skipped_rows(), ..last })
    }

    fn take(&mut self, table: &Table, first_row: usize) {
        self.columns = table.columns.len();
        for (index, row) in table.iter_rows().enumerate() {
            let anomalous = table.labels.as_ref().is_some_and(|labels| labels[index]);
            let number = self.rows_before + first_row + table.row_number(index);
            let kind = &mut self.kinds[usize::from(anomalous)];
            kind.seen += 1;
            if kind.numbers.len() < self.most {
                kind.numbers.push(number);
                kind.values.extend_from_slice(row);
                continue;
            }
            let place = self.random.below(kind.seen);
            if place < self.most {
                kind.numbers[place] = number;
                kind.values[place * row.len()..][..row.len()].copy_from_slice(row);
            }
        }
    }

    /// All rows that were kept, in the order of the files.
    fn into_table(self, mut like: Table) -> Table {
        let columns = self.columns;
        let mut order: Vec<(usize, usize, usize)> = Vec::new();
        for (which, kind) in self.kinds.iter().enumerate() {
            order.extend(kind.numbers.iter().enumerate().map(|(place, &number)| (number, which, place)));
        }
        order.sort_unstable();
        let row = |&(_, which, place): &(usize, usize, usize)| {
            self.kinds[which].values[place * columns..][..columns].iter().copied()
        };
        like.rows = order.len();
        like.values = order.iter().flat_map(row).collect();
        like.labels = like.labels.is_some().then(|| order.iter().map(|&(_, which, _)| which == 1).collect());
        let is_plain = order.iter().enumerate().all(|(index, &(number, ..))| index == number);
        like.row_numbers = (!is_plain).then(|| order.iter().map(|&(number, ..)| number).collect());
        for (kind, what) in self.kinds.iter().zip(["", " anomalous"]) {
            if kind.seen > kind.numbers.len() {
                like.notes.push(format!(
                    "{} of {}{what} rows are used, drawn evenly; --max-rows N uses more",
                    kind.numbers.len(),
                    kind.seen
                ));
            }
        }
        like
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn silent() -> impl FnMut(u64, u64, &'static str) {
        |_, _, _| {}
    }

    fn labelled() -> ReadOptions {
        ReadOptions { label: Some("fault".into()), ..ReadOptions::default() }
    }

    /// Two files of `rows` rows: the value is the row's number, every tenth is a fault.
    fn files(folder: &Path, rows: usize) -> [std::path::PathBuf; 2] {
        [0, 1].map(|file| {
            let path = folder.join(format!("{file}.csv"));
            let mut text = String::from("x,y,fault\n");
            for row in 0..rows {
                let number = file * rows + row;
                text.push_str(&format!("{number},{},{}\n", number % 7, u8::from(number.is_multiple_of(10))));
            }
            std::fs::write(&path, text).unwrap();
            path
        })
    }

    #[test]
    fn few_rows_are_all_kept_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let paths = files(folder.path(), 50);
        for options in [labelled(), ReadOptions { rows: Some(10..20), ..labelled() }] {
            let sample = Table::read_sample(&paths, &options, (100, 1), &mut silent()).unwrap();
            let files = paths.each_ref().map(|path| Table::read(path, &options).unwrap());
            assert_eq!(sample.values, files.each_ref().map(|file| file.values.clone()).concat());
            assert_eq!(
                sample.labels,
                Some(files.each_ref().map(|file| file.labels.clone().unwrap()).concat())
            );
            assert_eq!((sample.rows, sample.notes), (files[0].rows + files[1].rows, Vec::new()));
        }
    }

    /// Over many seeds every row is drawn about as often as any other, in ascending order, with its own label.
    #[test]
    fn every_row_has_the_same_chance() {
        let folder = tempfile::tempdir().unwrap();
        let paths = files(folder.path(), 100);
        let mut drawn = [0u32; 200];
        for seed in 0..400 {
            let sample = Table::read_sample(&paths, &labelled(), (45, seed), &mut silent()).unwrap();
            let labels = sample.labels.as_ref().unwrap();
            assert_eq!((sample.rows, labels.iter().filter(|l| **l).count()), (45 + 20, 20));
            let numbers: Vec<usize> = sample.iter_rows().map(|row| row[0] as usize).collect();
            assert!(numbers.is_sorted());
            for (index, &number) in numbers.iter().enumerate() {
                assert_eq!(labels[index], number % 10 == 0);
                assert_eq!(sample.row_number(index), number);
                drawn[number] += 1;
            }
            assert_eq!(sample.notes.len(), 1, "{:?}", sample.notes);
        }
        // 400 draws of probability 1/4: mean 100, standard deviation 8.7.
        let normal = (0..200).filter(|n| n % 10 != 0).map(|n| drawn[n]);
        assert!(normal.clone().all(|n| (60..140).contains(&n)), "{drawn:?}");
        let chi2: f64 = normal.map(|n| (f64::from(n) - 100.0).powi(2) / 75.0).sum();
        // 179 degrees of freedom: 179 +- 19.
        assert!((100.0..260.0).contains(&chi2), "{chi2}");
    }

    /// A file that is read in parts gives the rows that it gives whole.
    #[test]
    fn parts_of_a_long_file_are_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.csv");
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
        writeln!(file, "x,y,padding").unwrap();
        let padding = "p".repeat(1000);
        let rows = 70_000;
        for row in 0..rows {
            writeln!(file, "{row},{},{padding}", row * 3 % 11).unwrap();
        }
        file.into_inner().unwrap().sync_all().unwrap();
        let mut told = 0;
        let mut watch = |done: u64, total: u64, unit: &'static str| {
            assert!(done <= total && unit == "bytes");
            told += 1;
        };
        let options = ReadOptions::default();
        let all = Table::read_sample(&[&path], &options, (rows, 0), &mut watch).unwrap();
        assert!(told > 5);
        assert_eq!(all.rows, rows);
        assert!(all.iter_rows().enumerate().all(|(row, values)| values[0] == row as f32));
        let few = Table::read_sample(&[&path], &options, (1000, 7), &mut silent()).unwrap();
        assert!(few.iter_rows().enumerate().all(|(i, values)| few.row_number(i) == values[0] as usize));
        let mean = few.iter_rows().map(|row| f64::from(row[0])).sum::<f64>() / 1000.0;
        // Uniform over 70,000: a mean of 35,000 with a standard deviation of 640.
        assert!((32_000.0..38_000.0).contains(&mean), "{mean}");
    }
}
