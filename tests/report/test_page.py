import pytest

from swtformer.report.page import marked, number, percent, plain, share


@pytest.mark.parametrize(
    ("value", "expected"), [(None, "n/a"), (0.0, "0.0"), (0.55164, "55.2"), (1.0, "100.0")]
)
def test_percent(value, expected):
    assert percent(value) == expected


def test_percent_with_more_digits():
    assert percent(0.55164, 2) == "55.16"


def test_share_and_number():
    assert (share(0.5), share(None)) == ("50.0%", "0.0%")
    assert (number(5.93165e-05), number(390.0), number(None)) == ("5.93165e-05", "390", "")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"),
        (True, "yes"),
        (False, "no"),
        ([1, "a", [2]], "1, a, 2"),
        ({"torch": "2.15", "gpu": None}, "torch: 2.15, gpu: –"),
        (3.5, "3.5"),
    ],
)
def test_plain(value, expected):
    assert plain(value) == expected


def test_marked_escapes_on_both_sides():
    assert str(marked("<i>: `a <b>` & c")) == "&lt;i&gt;: <code>a &lt;b&gt;</code> &amp; c"
