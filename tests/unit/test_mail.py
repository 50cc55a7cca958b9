"""Mail is read whatever it holds, never rendered or followed, and each corpus stands by itself."""

from __future__ import annotations

import io
import tarfile
from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.errors import ConfigError, UsageError
from countersign.evaluate import mail

HTML = b"""Subject: =?utf-8?q?R=C3=A9f?=\nDate: Tue, 01 Oct 2002 10:00:00 +0000\nContent-Type: text/html; charset=no-such\n
<html><script>fetch('http://203.0.113.1/x')</script><style>p{}</style><p>Verify your <b>account</b></p></html>"""


def packed(path: Path, mails: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:xz") as archive:
        for name, raw in mails.items():
            member = tarfile.TarInfo(f"mails/{name}")
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
        link = tarfile.TarInfo("mails/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)


def plain(number: int, *, reply: bool) -> bytes:
    head = f"Subject: {'Re: ' * reply}meeting {number}\nDate: {formatdate(1_000_000_000 + number * 3600)}\n"
    told = "On Monday somebody wrote:\n> the plan\nI agree" if reply else "Here is the plan for next week"
    return (head + ("In-Reply-To: <a@b>\n" if reply else "") + "\n" + told).encode()


def test_html_is_read_as_words_without_its_scripts() -> None:
    found = mail.read("x.eml", HTML)
    assert found.texts == ("Réf", "Verify your account")
    assert found.kinds == {"subject", "html"}
    assert found.at_s == 1_033_466_400


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"Subject: =?x?b?", b"Content-Type: multipart/mixed; boundary=a\n\n--a\n"]),
)
def test_no_bytes_break_reading(raw: bytes, head: bytes) -> None:
    found = mail.read("x", head + raw)
    assert all(isinstance(text, str) for text in found.texts)


def test_a_corpus_is_counted_links_are_passed_over_and_replies_are_told(tmp_path: Path) -> None:
    packed(tmp_path / "made.tar.xz", {f"m{i}": plain(i, reply=i % 2 == 0) for i in range(240)})
    (one,) = mail.evaluate(tmp_path)["corpora"]
    assert (one["corpus"], one["mails"], one["read"], one["with_subject"], one["with_date"]) == ("made", 240, 240, 240, 240)
    told = one["replies_told"]
    assert (told["trained"], told["tested"]) == (160, 80)
    assert told["auc"][0] == 1_000_000


def test_the_subjects_answer_mark_is_not_read() -> None:
    assert mail.read("x", plain(7, reply=True)).texts[0] == "meeting 7"


def test_too_few_of_a_kind_give_no_figure(tmp_path: Path) -> None:
    packed(tmp_path / "made.tar.xz", {f"m{i}": plain(i, reply=False) for i in range(100)})
    assert mail.evaluate(tmp_path)["corpora"][0]["replies_told"] is None


def test_nothing_or_a_broken_archive_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no \*\.tar\.xz"):
        mail.evaluate(tmp_path)
    (tmp_path / "broken.tar.xz").write_bytes(b"no archive")
    with pytest.raises(ConfigError, match="broken"):
        mail.evaluate(tmp_path)


@pytest.mark.slow
def test_every_real_mail_is_read(shared_data: Path) -> None:
    for one in mail.evaluate(shared_data / "mail")["corpora"]:
        assert one["read"] == one["mails"] > 500, one["unreadable"]
