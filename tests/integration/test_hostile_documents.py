"""What reaches a ticket queue, a webhook and Amazon's API when names of the inventory hold templates, paths, queries or
headers: the same few documents as ever, and one value in one field, read from the wire."""

from __future__ import annotations

import logging
import re
import urllib.request
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from countersign.errors import TargetFault
from countersign.model.inventory import Asset, Identity
from tests.examples import examples
from tests.hands import Using
from tests.integration.test_aws_actions import Account
from tests.recording import Tap, tapped
from tests.vendors import Asked, Said, serving

pytestmark = pytest.mark.slow
COVERS = (
    *("open_ticket", "close_ticket", "notify_webhook"),
    *("disable_aws_key", "enable_aws_key", "quarantine_instance", "release_instance"),
)
PIECES = [
    "file-01", "k.curlew", "{key}", "{{7*7}}", "${7*7}", "{% include x %}", "<%= 7*7 %>", "%s%n", "{0}", "../", "..", "?a=b",
    "#", "&Action=DeleteUser", "&UserName=root", "%26", "\r\nX-Evil: 1", "\0", '","case":"C-2', "<script>", "\u202e",
    "*", "=", "+", ",", "@", "arn:aws:iam::1:user/root",
]  # fmt: skip
pieces = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), min_size=1, max_size=4).map("".join)
hostile = pieces.filter(lambda name: name.strip().lower() != "root")  # who is there, and whom no other name may reach
FEW = settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
STEPS = st.sampled_from(["check", "do", "probe", "undo"])


class Receiver:
    """Takes everything, and knows nothing."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def answer(self, asked: Asked) -> Said:
        self.asked.append(asked)
        return (404, {}) if asked.method == "GET" else (200, {})


@pytest.fixture(scope="module")
def receiver() -> Iterator[tuple[Receiver, str]]:
    made = Receiver()
    with serving(made.answer) as base:
        yield made, base


@FEW
@given(name=hostile, action=st.sampled_from(["open_ticket", "notify_webhook"]), step=STEPS)
@example(name="{{7*7}}", action="open_ticket", step="do")
@example(name="{key}", action="open_ticket", step="undo")
def test_a_document_is_made_of_our_own_words(receiver: tuple[Receiver, str], name: str, action: str, step: str) -> None:
    """The order names somebody although these actions take nobody: even then nothing of it is sent."""
    there, base = receiver
    table = {"run": True, "url": f"{base}/hooks/x", "status": f"{base}/tickets/{{key}}"}
    table |= {"close": f"{base}/tickets/{{key}}/close"} if action == "open_ticket" else {}
    there.asked.clear()
    with suppress(TargetFault):
        getattr(Using(action, table, (Identity(name), Asset(name))), step)()
    key = "countersign-C-1001" if action == "open_ticket" else "ab" * 32
    title = {"open_ticket": "Open ticket", "notify_webhook": "Notify"}[action]
    document = {"source": "Countersign", "action": title, "title": f"{title}: case C-1001", "case": "C-1001"}
    meant = {
        ("GET", f"/tickets/{key}", None),
        ("POST", "/hooks/x", tuple((document | {"proposal": 7, "key": key}).items())),
        ("POST", f"/tickets/{key}/close", (("key", key), ("note", "Taken back by Countersign, proposal 7"))),
    }
    for one in there.asked:
        assert (one.method, one.raw, tuple(one.body.items()) if one.body else None) in meant
        assert not [value for value in one.headers.values() if "evil" in value.lower()]
    assert there.asked or step == "undo"


# --- Amazon -----------------------------------------------------------------------------------------------------------

USERS = ("k.curlew", "k,curlew=x", "a+b@file-01")
"""Names that IAM takes, and that hold syntax all the same."""
_ALLOWED = {
    "disable_aws_key": {"GetUser", "ListAccessKeys", "ListUserTags", "TagUser", "UntagUser", "UpdateAccessKey"},
    "quarantine_instance": {
        *("DescribeInstances", "DescribeNetworkInterfaces", "DescribeSecurityGroups", "CreateTags", "DeleteTags"),
        *("ModifyNetworkInterfaceAttribute", "ModifyInstanceAttribute", "DescribeTags"),
    },
}


@dataclass(frozen=True)
class Amazon:
    """An account behind a tap. quarantine: a security group. hosts: ids of instances by name. usual: what is sent about a
    host whatever its name."""

    account: Account
    tap: Tap
    quarantine: str
    hosts: dict[str, str]
    usual: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def amazon() -> Iterator[Amazon]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    _, port = running.get_host_and_port()
    emptied = urllib.request.Request(f"http://127.0.0.1:{port}/moto-api/reset", method="POST")
    urllib.request.urlopen(emptied, timeout=60).close()  # all its servers of this process share one state
    with closing(Account(f"http://127.0.0.1:{port}")) as account:
        yield from _filled(account, port)
    running.stop()


def _filled(account: Account, port: int) -> Iterator[Amazon]:
    for user in (*USERS, "root"):
        account.iam.create_user(UserName=user)
        account.iam.create_access_key(UserName=user)
    vpc = str(account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"])
    quarantine = account.group("quarantine", vpc)
    hosts = {name: account.instance(name, account.group(f"own {name}", vpc)) for name in ("file-01", "root")}
    with tapped("127.0.0.1", port) as tap:
        made = Amazon(account, tap, quarantine, hosts)
        told(made, "nobody-has-this", "do")
        made.usual.update(value for one in requests(tap) for value in one.values())
        yield made


def told(amazon: Amazon, name: str, step: str) -> None:
    """One step about the host of a name, from a tap that holds nothing else."""
    table = amazon.account.settings | {"url": f"http://127.0.0.1:{amazon.tap.port}", "group": amazon.quarantine}
    amazon.tap.clear()
    with suppress(TargetFault):
        getattr(Using("quarantine_instance", table, (Asset(name),)), step)()


def requests(tap: Tap) -> list[dict[str, str]]:
    """The form of every request; each has a body of the length that it says."""
    found = []
    for said in tap.said:
        rest = bytes(said)
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            assert head.startswith(b"POST / HTTP/1.1\r\n")
            assert b"evil" not in head.lower()
            size = int(next(re.finditer(rb"(?im)^content-length: (\d+)", head))[1])
            found.append(dict(parse_qsl(rest[:size].decode(), keep_blank_values=True, strict_parsing=True)))
            rest = rest[size:]
    return found


@FEW
@given(name=st.sampled_from(USERS) | hostile, step=STEPS)
@example(name="k.curlew", step="do")
@example(name="k.curlew&UserName=root", step="do")
@example(name="*", step="undo")
def test_amazon_hears_one_user_or_nothing(amazon: Amazon, name: str, step: str) -> None:
    account, tap = amazon.account, amazon.tap
    table = account.settings | {"url": f"http://127.0.0.1:{tap.port}"}
    tap.clear()
    with suppress(TargetFault):
        getattr(Using("disable_aws_key", table, (Identity(name),)), step)()
    for one in requests(tap):
        assert one["Action"] in _ALLOWED["disable_aws_key"]
        assert one["UserName"] == name
        assert set(one) <= {"Action", "Version", "UserName", "AccessKeyId", "Status", *_TAGS}
    assert set(account.keys("root").values()) == {"Active"}
    assert requests(tap) or name not in USERS


_TAGS = ("Tags.member.1.Key", "Tags.member.1.Value", "TagKeys.member.1", "Marker")


@FEW
@given(name=st.just("file-01") | hostile, step=STEPS)
@example(name="file-01", step="do")
@example(name="file-01&InstanceId.1=x", step="do")
@example(name="*", step="do")
def test_amazon_hears_nothing_of_a_host_s_name(amazon: Amazon, name: str, step: str) -> None:
    told(amazon, name, step)
    for one in requests(amazon.tap):
        assert one["Action"] in _ALLOWED["quarantine_instance"], one
        for key, value in one.items():
            assert len(name) < 4 or name not in value or value in amazon.usual, (key, value)
    assert amazon.quarantine not in amazon.account.groups(amazon.hosts["root"])
