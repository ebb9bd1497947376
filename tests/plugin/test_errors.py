import pytest

from plugin.errors import BarRejected, BundleRefused, ShadowgateError, WrongUse


@pytest.mark.parametrize(
    "error",
    [WrongUse("a", "b", "c"), BarRejected("gap", "a", "b"), BundleRefused("manifest.json", "a", "b")],
)
def test_one_base_catches_them_all(error):
    assert isinstance(error, ShadowgateError)


def test_an_error_says_what_was_expected_what_it_was_and_what_to_do():
    error = WrongUse("a whole number", "'ten'", "write it in digits")
    assert str(error) == "expected a whole number, was 'ten'; write it in digits"


def test_a_rejected_bar_keeps_the_word_for_logs_and_records():
    error = BarRejected("not_finite", "finite prices", float("nan"))
    assert error.reason == "not_finite"
    assert str(error) == "expected finite prices, was nan; the bar is dropped"


def test_a_refused_bundle_names_its_file():
    error = BundleRefused("lgb.txt", "the sha256 of the manifest", "another")
    assert error.file == "lgb.txt"
    assert str(error).startswith("lgb.txt: expected the sha256 of the manifest, was another; ")
