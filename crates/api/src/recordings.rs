//! Listening to recordings: streamed from the file, by ranges, and logged.

use std::{
    io::SeekFrom,
    path::{Component, Path as FilePath, PathBuf},
    time::UNIX_EPOCH,
};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use crm::Recording;
use futures_util::stream;
use model::{CallId, Utc};
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    body::Path,
    moment::Moment,
    problem::Problem,
    range::{self, Wanted},
    rights,
    session::Identity,
};

/// Bytes read from the file at a time.
const CHUNK: usize = 64 * 1024;

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(listen))
        .routes(routes!(listen_mp3))
}

/// Listen to the recording of a call
///
/// Stereo G.711 WAV: left the client, right our side. `Range` and `If-Range` are honoured. While the
/// conversation lasts, what has been recorded so far is sent.
#[utoipa::path(get, path = "/calls/{id}/recording.wav", tag = "calls",
    params(("id" = String, Path)),
    responses((status = 200, content_type = "audio/wav"), (status = 206, content_type = "audio/wav"),
        (status = 404), (status = 410), (status = 416)))]
async fn listen(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<CallId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let recording = recording(&state, &identity, id).await?;
    if let Some(at) = recording.wav_removed_at {
        return Err(removed("WAV", at));
    }
    let file = (&*recording.file, "audio/wav");
    play(&state, &identity, id, file, &headers).await
}

/// Listen to the recording of a call as MP3
///
/// Stereo: left the client, right our side. It is made after hang-up; `recording.mp3_url` of the call tells when it is
/// there. `Range` and `If-Range` are honoured.
#[utoipa::path(get, path = "/calls/{id}/recording.mp3", tag = "calls",
    params(("id" = String, Path)),
    responses((status = 200, content_type = "audio/mpeg"), (status = 206, content_type = "audio/mpeg"),
        (status = 404), (status = 410), (status = 416)))]
async fn listen_mp3(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<CallId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let recording = recording(&state, &identity, id).await?;
    if recording.mp3_bytes.is_none() {
        return Err(Problem::not_found("an MP3 of this recording"));
    }
    if let Some(at) = recording.mp3_removed_at {
        return Err(removed("MP3", at));
    }
    let file = FilePath::new(&recording.file).with_extension("mp3");
    let file = (&*file.to_string_lossy(), "audio/mpeg");
    play(&state, &identity, id, file, &headers).await
}

async fn recording(
    state: &ApiState,
    identity: &Identity,
    id: CallId,
) -> Result<Recording, Problem> {
    rights::see_call(state, identity, id).await?;
    let recording = state.base.calls().read(id).await?.recording;
    recording.ok_or_else(|| Problem::not_found("a recording of this call"))
}

/// The answer for a file that has reached its age.
fn removed(what: &str, at: Utc) -> Problem {
    let day = Moment(at).day();
    Problem::gone(format!(
        "the {what} of this recording was removed on {day} (UTC) because of its age; the call tells what is left"
    ))
}

/// Answers with a file of this content type.
async fn play(
    state: &ApiState,
    identity: &Identity,
    id: CallId,
    (file, kind): (&str, &'static str),
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let path = within(&state.settings.recordings, file)?;
    let (opened, length, tag) = open(&path).await?;
    let wanted = wanted(headers, length, &tag);
    // Players ask for many ranges; the one from the start is the act of listening.
    if !matches!(wanted, Wanted::Part { first: 1.., .. }) {
        tracing::info!(user = %identity.user, call = %id, file, "a recording was listened to");
    }
    respond(opened, (length, kind), &tag, wanted).await
}

/// The file's path; a name that leads out of the folder is a defect, never a file.
fn within(folder: &FilePath, file: &str) -> Result<PathBuf, Problem> {
    let name = FilePath::new(file);
    let plain = name
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if plain && !file.is_empty() {
        return Ok(folder.join(name));
    }
    Err(Problem::internal(format_args!(
        "a stored recording has the name {file:?}, which leads out of the recordings folder"
    )))
}

async fn open(path: &FilePath) -> Result<(File, u64, HeaderValue), Problem> {
    let gone = |error: std::io::Error| {
        tracing::warn!(%error, path = %path.display(), "a recording cannot be read");
        Problem::not_found("the file of this recording")
    };
    let file = File::open(path).await.map_err(gone)?;
    let metadata = file.metadata().await.map_err(gone)?;
    let changed = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    let tag = format!("\"{:x}-{:x}\"", metadata.len(), changed.as_micros());
    let tag = HeaderValue::try_from(tag).map_err(Problem::internal)?;
    Ok((file, metadata.len(), tag))
}

fn wanted(headers: &HeaderMap, length: u64, tag: &HeaderValue) -> Wanted {
    // RFC 9110 §13.1.5: with an If-Range that does not match, Range is ignored. A date never
    // matches here, since our validator is the tag.
    let still_the_same = headers
        .get(header::IF_RANGE)
        .is_none_or(|if_range| if_range == tag);
    match headers.get(header::RANGE).map(HeaderValue::to_str) {
        Some(Ok(range)) if still_the_same => range::wanted(range, length),
        _ => Wanted::Whole,
    }
}

async fn respond(
    mut file: File,
    (length, kind): (u64, &'static str),
    tag: &HeaderValue,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let (status, first, count) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0, length),
        Wanted::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Wanted::Outside => return Err(Problem::range_not_satisfiable(length)),
    };
    file.seek(SeekFrom::Start(first))
        .await
        .map_err(Problem::internal)?;
    let mut response = Response::new(stream(file, count));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(count));
    headers.insert(header::ETAG, tag.clone());
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {first}-{}/{length}", first + count - 1);
        let range = HeaderValue::try_from(range).map_err(Problem::internal)?;
        headers.insert(header::CONTENT_RANGE, range);
    }
    Ok(response)
}

/// `count` bytes from where the file stands, a chunk at a time: memory stays bounded.
fn stream(file: File, count: u64) -> Body {
    let chunks = stream::try_unfold((file, count), |(mut file, left)| async move {
        let size = CHUNK.min(usize::try_from(left).unwrap_or(CHUNK));
        if size == 0 {
            return Ok::<_, std::io::Error>(None);
        }
        let mut chunk = vec![0; size];
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        chunk.truncate(read);
        Ok(Some((Bytes::from(chunk), (file, left - read as u64))))
    });
    Body::from_stream(chunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let folder = FilePath::new("/srv/recordings");
        assert_eq!(
            within(folder, "2026/03/1.wav").unwrap(),
            FilePath::new("/srv/recordings/2026/03/1.wav")
        );
        for bad in ["../secret", "/etc/passwd", "a/../../b", "", "."] {
            assert!(within(folder, bad).is_err(), "{bad}");
        }
    }
}
