//! Adds up what is missing in a recording and decides when to report it.

use std::ops::Range;

use media::timeline::FRAMES_PER_SECOND;

/// A growing gap is reported at its first part, and then at every ten seconds of it and at its end.
const REPORT_FRAMES: u64 = 10 * FRAMES_PER_SECOND;

/// The gaps of one recording, in frames of the file. Reported ranges never overlap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gaps {
    missing_frames: u64,
    /// Frames before this one are either written or counted as missing.
    judged: u64,
    growing: bool,
    unreported: Option<Range<u64>>,
}

impl Gaps {
    /// These frames could not be written. Returns what shall be reported now.
    pub(crate) fn miss(&mut self, frames: Range<u64>) -> Option<Range<u64>> {
        let from = frames.start.max(self.judged);
        if from >= frames.end {
            return None;
        }
        self.judged = frames.end;
        self.missing_frames += frames.end - from;
        if !self.growing {
            self.growing = true;
            return Some(from..frames.end);
        }
        let start = self.unreported.take().map_or(from, |range| range.start);
        let gap = start..frames.end;
        if gap.end - gap.start >= REPORT_FRAMES {
            return Some(gap);
        }
        self.unreported = Some(gap);
        None
    }

    /// These frames are written: a gap is over. Returns its unreported rest.
    pub(crate) fn written(&mut self, frames: &Range<u64>) -> Option<Range<u64>> {
        self.judged = self.judged.max(frames.end);
        self.growing = false;
        self.unreported.take()
    }

    /// The recording is over: the unreported rest of a gap.
    pub(crate) fn end(&mut self) -> Option<Range<u64>> {
        self.unreported.take()
    }

    /// Everything missing so far.
    pub(crate) fn missing_frames(&self) -> u64 {
        self.missing_frames
    }
}

/// Frames as milliseconds.
pub(crate) fn millis(frames: u64) -> u64 {
    frames * 1000 / FRAMES_PER_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_told_at_its_first_part_and_its_rest_at_the_end() {
        let mut gaps = Gaps::default();
        assert_eq!(gaps.written(&(0..3200)), None);
        assert_eq!(gaps.miss(3200..6400), Some(3200..6400));
        assert_eq!(gaps.miss(6400..9600), None);
        assert_eq!(gaps.miss(9600..12_800), None);
        assert_eq!(gaps.written(&(12_800..16_000)), Some(6400..12_800));
        assert_eq!(gaps.missing_frames(), 9600);
        assert_eq!(millis(gaps.missing_frames()), 1200);
    }

    #[test]
    fn a_long_gap_is_told_every_ten_seconds() {
        let mut gaps = Gaps::default();
        let reports: Vec<_> = (0..60)
            .filter_map(|i| gaps.miss(i * 4000..(i + 1) * 4000))
            .collect();
        assert_eq!(reports, [0..4000, 4000..84_000, 84_000..164_000]);
        assert_eq!(gaps.end(), Some(164_000..240_000));
    }

    #[test]
    fn a_late_packet_that_is_lost_over_written_frames_is_no_gap() {
        let mut gaps = Gaps::default();
        gaps.written(&(0..8000));
        assert_eq!(gaps.miss(4000..6000), None);
        assert_eq!(gaps.miss(7000..9000), Some(8000..9000));
        assert_eq!(gaps.missing_frames(), 1000);
    }
}
