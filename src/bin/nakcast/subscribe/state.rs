//! What `--state` remembers between two runs: the session that was followed, and the next offset of it.

use std::fs;
use std::io;
use std::io::ErrorKind;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use nakcast::Offset;
use nakcast::SessionId;
use nakcast::SourceSnapshot;
use nakcast::Start;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::ending::Failure;

/// Between two saves while messages flow: what a subscriber that is killed is handed once more.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// No state is nearly as long.
const LONGEST: u64 = 4_096;

/// A position: everything before it was written to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    session: SessionId,
    next: Offset,
}

/// A file that holds a place, and is replaced whole.
#[derive(Debug)]
pub(crate) struct State {
    path: PathBuf,
    remembered: Option<Place>,
    /// The session whose place is kept: the remembered one if it is heard, or the first, and whatever replaces it.
    followed: Option<SessionId>,
    saved: Option<Place>,
    saved_at: Duration,
}

impl State {
    /// Reads the file, if there is one, and makes sure that it can be replaced.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        // Through a link, it is the file behind it that is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let remembered = read(&path)?;
        create_beside(&path).map_err(|error| Failure::WriteState { path: path.clone(), error })?;
        Ok(Self { path, remembered, followed: None, saved: remembered, saved_at: Duration::ZERO })
    }

    /// Where to begin; `otherwise` when nothing is remembered.
    pub(crate) fn start(&self, otherwise: Start) -> Start {
        match self.remembered {
            Some(Place { session, next }) => Start::Resume { session, offset: next },
            None => otherwise,
        }
    }

    /// A source is up; what there is to say if it is another than the remembered one.
    pub(crate) fn on_up(&mut self, session: SessionId, replaces: Option<SessionId>) -> Option<String> {
        let is_first = self.followed.is_none();
        let is_remembered = self.remembered.is_some_and(|place| place.session == session);
        if !is_first && !is_remembered && (replaces.is_none() || replaces != self.followed) {
            return None;
        }
        self.followed = Some(session);
        let Place { session: known, .. } = self.remembered.filter(|_| is_first && !is_remembered)?;
        Some(format!(
            "the publisher has begun a new session since {}, which knows session {known}, was written: what it \
             still holds comes from its start",
            self.path.display()
        ))
    }

    /// The publisher has refused to go on at the remembered place, if that is what was asked for.
    pub(crate) fn refused(&self) -> Option<Failure> {
        let Place { session, next } = self.remembered.filter(|_| self.followed.is_none())?;
        Some(Failure::StateAhead { path: self.path.clone(), session, next })
    }

    pub(crate) fn is_due(&self, now: Duration) -> bool {
        now >= self.saved_at + SAVE_EVERY
    }

    /// Remembers how far the followed source has come. Everything up to there must have been written.
    pub(crate) fn save(&mut self, now: Duration, sources: &[SourceSnapshot]) -> Result<(), Failure> {
        self.saved_at = now;
        let source = sources.iter().find(|source| Some(source.session) == self.followed);
        // In order, what is decided lies in front of what is not.
        let place = source.map(|SourceSnapshot { session, book, .. }| Place {
            session: *session,
            next: Offset(book.start.0.saturating_add(book.decided())),
        });
        if let Some(place) = place.filter(|place| self.saved != Some(*place)) {
            replace(&self.path, &place.to_text())
                .map_err(|error| Failure::WriteState { path: self.path.clone(), error })?;
            self.saved = Some(place);
        }
        Ok(())
    }
}

impl Place {
    fn to_text(self) -> String {
        let Self { session, next } = self;
        format!("{{\"nakcast\":\"state\",\"version\":1,\"session\":\"{session}\",\"next\":{next}}}\n")
    }

    fn of_text(text: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if value["nakcast"] != "state" {
            return Err("it does not say that it is one".to_owned());
        }
        if value["version"] != 1 {
            return Err(format!("its version is {}, and this nakcast knows 1", value["version"]));
        }
        let session = value["session"].as_str().filter(|text| text.len() == 16);
        let session = session.and_then(|text| u64::from_str_radix(text, 16).ok());
        match (session, value["next"].as_u64()) {
            (Some(session), Some(next)) => Ok(Self { session: SessionId(session), next: Offset(next) }),
            _ => Err("its session or its next offset is none".to_owned()),
        }
    }
}

fn read(path: &Path) -> Result<Option<Place>, Failure> {
    let failed = |error| Failure::ReadState { path: path.to_owned(), error };
    let damaged = |what| Failure::DamagedState { path: path.to_owned(), what };
    let facts = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        facts => facts.map_err(failed)?,
    };
    if !facts.is_file() || facts.len() > LONGEST {
        return Err(damaged("it is no file, or too long".to_owned()));
    }
    Place::of_text(&fs::read(path).map_err(failed)?).map(Some).map_err(damaged)
}

/// A file in the same folder, since only within a file system does one file take the place of another at once.
fn create_beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    tempfile::Builder::new().prefix(".nakcast-state-").tempfile_in(folder.unwrap_or(Path::new(".")))
}

/// Puts `text` in the place of what the file held: whoever reads it, also after a power cut, finds either.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut file = create_beside(path)?;
    file.write_all(text.as_bytes())?;
    if let Ok(facts) = fs::metadata(path) {
        file.as_file().set_permissions(facts.permissions())?;
    }
    file.as_file().sync_all()?;
    let file = file.persist(path).map_err(|failed| failed.error)?;
    drop(file);
    sync_folder(path)
}

/// The new name lasts only once the folder is on disk, too.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { session: SessionId(0xab), next: Offset(7) };

    #[test]
    fn what_is_written_is_read_again_and_the_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        assert_eq!(read(&path).unwrap(), None);
        for next in [7, 8, u64::MAX] {
            let place = Place { next: Offset(next), ..PLACE };
            replace(&path, &place.to_text()).unwrap();
            assert_eq!(read(&path).unwrap(), Some(place));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_named_with_its_remedy() {
        let whole = PLACE.to_text();
        let cut = (0..whole.len() - 1).map(|bytes| whole[..bytes].to_owned());
        let swapped =
            [("state", "sta\0e"), ("\"version\":1", "\"version\":2"), ("00ab", "00xb"), ("7", "-7")];
        let altered = swapped.map(|(what, with)| whole.replace(what, with));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        // The newline at the end is all that may be missing.
        for text in cut.filter(|text| text.len() < whole.len() - 1).chain(altered).chain([" ".repeat(5_000)])
        {
            fs::write(&path, &text).unwrap();
            let error = State::open(&path).unwrap_err().to_string();
            assert!(
                error.contains("is no state") && error.contains("delete it to begin anew"),
                "{text}: {error}"
            );
        }
        let error = State::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("it is no file"), "{error}");
        let error = State::open(&folder.path().join("none/state")).unwrap_err().to_string();
        assert!(error.contains("its folder must exist"), "{error}");
    }

    #[test]
    fn a_session_that_changed_is_told_and_one_that_did_not_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut state = State::open(&path).unwrap();
        assert_eq!(state.start(Start::Live), Start::Live);
        assert_eq!(state.on_up(SessionId(1), None), None);
        assert!(state.refused().is_none());
        fs::write(&path, PLACE.to_text()).unwrap();
        let mut state = State::open(&path).unwrap();
        assert_eq!(state.start(Start::Live), Start::Resume { session: PLACE.session, offset: Offset(7) });
        let error = state.refused().unwrap().to_string();
        assert!(error.contains("offset 7 of session 00000000000000ab"), "{error}");
        assert_eq!(state.on_up(PLACE.session, None), None);
        assert!(state.refused().is_none());
        let mut state = State::open(&path).unwrap();
        assert!(state.on_up(SessionId(2), None).unwrap().contains("session 00000000000000ab"));
    }

    #[test]
    fn of_several_publishers_the_remembered_one_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        fs::write(&path, PLACE.to_text()).unwrap();
        let mut state = State::open(&path).unwrap();
        let followed = |state: &mut State, session, replaces| {
            state.on_up(SessionId(session), replaces);
            state.followed.unwrap()
        };
        assert_eq!(followed(&mut state, 1, None), SessionId(1));
        assert_eq!(followed(&mut state, 2, None), SessionId(1));
        assert_eq!(followed(&mut state, 3, Some(SessionId(1))), SessionId(3));
        assert_eq!(followed(&mut state, 0xab, None), PLACE.session);
        assert_eq!(followed(&mut state, 4, Some(SessionId(3))), PLACE.session);
    }
}
