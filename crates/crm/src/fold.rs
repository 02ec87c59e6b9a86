//! The form of text that is searched and sorted.

use unicode_normalization::UnicodeNormalization;

/// Lower case, ё as е, compatibility forms made one (NFKC), white space at the ends cut and made
/// single within.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut gap = false;
    for c in text.nfkc().flat_map(char::to_lowercase).nfkc() {
        if c.is_whitespace() {
            gap = !folded.is_empty();
            continue;
        }
        if gap {
            folded.push(' ');
            gap = false;
        }
        folded.push(if c == 'ё' { 'е' } else { c });
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_case_yo_compatibility_and_spaces() {
        assert_eq!(fold("  Ёлкин \t Пётр "), "елкин петр");
        // The letter written as two code points, a ligature, and full-width digits.
        assert_eq!(fold("Е\u{308}ж"), "еж");
        assert_eq!(fold("ﬁbre １２"), "fibre 12");
        assert_eq!(fold(""), "");
    }
}
