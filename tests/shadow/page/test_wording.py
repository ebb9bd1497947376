"""What the page says, in every language."""

import re
import string
from pathlib import Path

import pytest

import shadow.page
from shadow.coverage import FEED_GAP, NOT_RUNNING
from shadow.page.wording import WORDS_OF_PAGE
from shadow.words import WORDS

(PAGE,) = map(Path, shadow.page.__path__)


def blanks(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_both_languages_say_the_same_things():
    english, chinese = WORDS_OF_PAGE["en"], WORDS_OF_PAGE["zh"]
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert blanks(text) == blanks(chinese[key]), key


def test_nothing_that_is_chinese_was_left_in_english():
    own = WORDS_OF_PAGE["zh"].keys() - WORDS["zh"].keys()
    for key in own:
        assert re.search("[\u3001-\u9fff]", WORDS_OF_PAGE["zh"][key]), key


@pytest.mark.parametrize("language", WORDS)
def test_no_word_of_the_terminal_is_changed(language):
    for key, text in WORDS[language].items():
        assert WORDS_OF_PAGE[language][key] == text


def test_every_word_is_used():
    code = "".join(
        path.read_text()
        for path in PAGE.iterdir()
        if path.suffix in {".py", ".j2"} and path.name != "wording.py"
    )
    reasons = {f"hole.{reason}" for reason in (FEED_GAP, NOT_RUNNING)}
    for key in WORDS_OF_PAGE["en"].keys() - WORDS["en"].keys() - reasons:
        stem, _, last = key.partition(".")
        is_built = f'"{stem}.{{' in code and f'"{last}"' in code
        assert key in code or is_built, key
