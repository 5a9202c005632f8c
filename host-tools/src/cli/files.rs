//! Output files: written whole or not at all.

use anyhow::{bail, Context};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Says before long work begins that its result could not be written.
pub(super) fn check_target(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        bail!("cannot write {}: it is a folder", path.display());
    }
    let folder = folder_of(path);
    match fs::metadata(&folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => bail!("cannot write {}: {} is not a folder", path.display(), folder.display()),
        Err(error) => bail!("cannot write {}: folder {}: {error}", path.display(), folder.display()),
    }
}

/// Writes a file: first beside its place, then, when all of it is on the disk, into its place. Whoever looks
/// at the path sees the old content or the new, also after a power cut or Ctrl-C.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut file = Whole::create(path)?;
    file.write(content)?;
    file.commit()
}

/// A file that is written piece by piece, and appears as a whole or not at all; see [`write_whole`].
pub(super) struct Whole {
    path: PathBuf,
    /// `path` with links followed.
    target: PathBuf,
    file: Either,
}

enum Either {
    Beside(tempfile::NamedTempFile),
    /// A device or a pipe is written to, not replaced.
    Straight(fs::File),
}

impl Whole {
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        check_target(path)?;
        let failed = || format!("cannot write {}", path.display());
        let target =
            if path.exists() { fs::canonicalize(path).with_context(failed)? } else { path.to_path_buf() };
        let file = if target.exists() && !target.is_file() {
            Either::Straight(fs::OpenOptions::new().write(true).open(&target).with_context(failed)?)
        } else {
            Either::Beside(temporary_in(&folder_of(&target)).with_context(failed)?)
        };
        Ok(Self { path: path.to_path_buf(), target, file })
    }

    pub(super) fn write(&mut self, content: &[u8]) -> anyhow::Result<()> {
        let written = match &mut self.file {
            Either::Beside(file) => file.write_all(content),
            Either::Straight(file) => file.write_all(content),
        };
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Puts the file into its place.
    pub(super) fn commit(self) -> anyhow::Result<()> {
        let Either::Beside(file) = self.file else { return Ok(()) };
        let failed = || format!("cannot write {}", self.path.display());
        file.as_file().sync_all().with_context(failed)?;
        file.persist(&self.target).map_err(|e| e.error).with_context(failed)?;
        Ok(())
    }
}

fn temporary_in(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".flowlet-").suffix(".part");
    // As other programs create files; temporary files are private otherwise.
    #[cfg(unix)]
    builder.permissions(<fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666));
    builder.tempfile_in(folder)
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_a_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        write_whole(&path, b"old").unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn says_what_is_wrong_with_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [folder.path().to_path_buf(), folder.path().join("none/out"), file.join("out")] {
            let said = write_whole(&path, b"x").unwrap_err().to_string();
            assert!(said.starts_with(&format!("cannot write {}", path.display())), "{said}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn keeps_links_devices_and_usual_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        write_whole(&file, b"old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_whole(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&file), mode(&plain));
        write_whole(Path::new("/dev/null"), b"x").unwrap();
        assert!(!Path::new("/dev/null").is_file());
    }
}
