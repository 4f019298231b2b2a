from __future__ import annotations

import pytest

from swtformer.safe_names import safe_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.jpg", "a.jpg"),
        ("./a.jpg", "a.jpg"),
        ("sub//a/./b.jpg", "sub/a/b.jpg"),
        ("sub\\a.jpg", "sub/a.jpg"),
        ("a..b.jpg", "a..b.jpg"),
        ("..a/...jpg", "..a/...jpg"),
        (" two words ", " two words "),
        ("Grüße/猫.jpg", "Grüße/猫.jpg"),
        ("~/a.jpg", "~/a.jpg"),
    ],
)
def test_safe_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../../etc/passwd", r"^image name '.*' leaves .* by '\.\.'$"),
        ("images/../../x.jpg", "leaves the images' folder"),
        ("a/..", "leaves the images' folder"),
        ("..\\x.jpg", "leaves the images' folder"),
        ("/etc/passwd", "'/etc/passwd' is an absolute path"),
        ("//host/x.jpg", "is an absolute path"),
        ("\\\\host\\x.jpg", "is an absolute path"),
        ("C:\\x.jpg", "is an absolute path"),
        ("c:x.jpg", "is an absolute path"),
        ("x\0.jpg", r"'x\\x00\.jpg' holds a NUL character"),
        ("", "the image name is empty"),
        (".", "the image name is empty"),
        ("./", "the image name is empty"),
    ],
)
def test_unsafe_names(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        safe_name(name)
