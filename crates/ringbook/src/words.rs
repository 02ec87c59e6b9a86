//! Sentences in Russian and English, made from the codes of the journal.

use anyhow::{Context, Result, anyhow};
use crm::Language;
use fluent_bundle::{FluentArgs, FluentResource, concurrent::FluentBundle};

/// The words of one language.
pub(crate) struct Words {
    bundle: FluentBundle<FluentResource>,
}

impl Words {
    /// The words of `language`.
    ///
    /// # Errors
    /// The text built into the binary cannot be read.
    pub(crate) fn new(language: Language) -> Result<Self> {
        let id = language.code().parse().context("a language code")?;
        let mut bundle = FluentBundle::new_concurrent(vec![id]);
        // The marks that isolate text of another direction disturb a terminal.
        bundle.set_use_isolating(false);
        for text in texts(language) {
            let resource = FluentResource::try_new(text.to_owned())
                .map_err(|(_, errors)| anyhow!("the words cannot be read: {errors:?}"))?;
            bundle
                .add_resource(resource)
                .map_err(|errors| anyhow!("the words repeat themselves: {errors:?}"))?;
        }
        Ok(Self { bundle })
    }

    /// The sentence `key` with its facts; the key itself if there is no such sentence.
    pub(crate) fn say(&self, key: &str, facts: &[(&str, String)]) -> String {
        let Some(pattern) = self
            .bundle
            .get_message(key)
            .and_then(|message| message.value())
        else {
            return key.to_owned();
        };
        let mut args = FluentArgs::new();
        for (name, value) in facts {
            args.set(*name, value.as_str());
        }
        let mut errors = Vec::new();
        self.bundle
            .format_pattern(pattern, Some(&args), &mut errors)
            .into_owned()
    }

    /// A length of time: milliseconds up to a second, then seconds with one decimal.
    pub(crate) fn length(&self, millis: u64) -> String {
        match millis {
            0..1_000 => self.say("milliseconds", &[("n", millis.to_string())]),
            _ => {
                let tenths = millis / 100;
                self.say(
                    "seconds",
                    &[("n", format!("{}.{}", tenths / 10, tenths % 10))],
                )
            }
        }
    }
}

/// The texts of a language: of the journal, of frames on a screen, and of the demo.
fn texts(language: Language) -> [&'static str; 3] {
    match language {
        Language::Russian => [
            include_str!("../locales/ru.ftl"),
            include_str!("../locales/screen.ru.ftl"),
            include_str!("../locales/demo.ru.ftl"),
        ],
        Language::English => [
            include_str!("../locales/en.ftl"),
            include_str!("../locales/screen.en.ftl"),
            include_str!("../locales/demo.en.ftl"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use call::{Cause, OfferEnd, Party};

    use super::*;

    fn keys(language: Language) -> Vec<&'static str> {
        let lines = texts(language).into_iter().flat_map(str::lines);
        lines
            .filter_map(|line| line.split_once(" = ").map(|(key, _)| key))
            .collect()
    }

    /// The codes of the journal that reports make keys from.
    #[test]
    fn every_code_of_the_journal_has_words() {
        let ends = OfferEnd::ALL.map(|it| serde_json::to_value(it).map(|it| ("end", it)));
        let causes = Cause::ALL.map(|it| serde_json::to_value(it).map(|it| ("cause", it)));
        let parties = Party::ALL.map(|it| serde_json::to_value(it).map(|it| ("by", it)));
        let known = keys(Language::English);
        for code in ends.into_iter().chain(causes).chain(parties) {
            let (about, code) = code.unwrap();
            let key = format!("{about}-{}", code.as_str().unwrap());
            assert!(known.contains(&key.as_str()), "{key}");
        }
    }

    #[test]
    fn both_languages_know_the_same_sentences() {
        let ru = keys(Language::Russian);
        let en = keys(Language::English);
        assert_eq!(ru, en);
        for language in [Language::Russian, Language::English] {
            let words = Words::new(language).unwrap();
            for key in &ru {
                assert_ne!(words.say(key, &[]), *key, "{key}");
            }
        }
    }
}
