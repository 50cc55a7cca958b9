"""Access keys and instances on a server that answers like Amazon Web Services."""

from __future__ import annotations

import json
import logging
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from countersign.actions import ACTIONS
from countersign.actions.hand import Cover
from countersign.authority.terms import LeaseRefused
from countersign.errors import ConfigError, TargetFault
from countersign.model.inventory import Asset, Criticality, Identity
from countersign.model.responses import Effect
from tests.hands import USE, Using
from tests.ports import deaf_port
from tests.vendors import SECRET, serving

HOST = Asset("file-01", "fileserver", "", Criticality.HIGH)
USER = Identity("k.curlew", "administrator", "", Criticality.HIGH)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    _, port = running.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    running.stop()


class Account:
    """A fresh account, seen with a client of the test's own."""

    def __init__(self, url: str) -> None:
        self.url = url
        how = {"endpoint_url": url, "aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "eu-west-1"}
        self.iam, self.ec2 = boto3.client("iam", **how), boto3.client("ec2", **how)
        self.settings = {"run": True, "url": url, "region": "eu-west-1", "key": "AKIAX", "secret": "env:TOKEN"}

    def close(self) -> None:
        self.iam.close()
        self.ec2.close()

    def keys(self, user: str) -> dict[str, str]:
        return {k["AccessKeyId"]: k["Status"] for k in self.iam.list_access_keys(UserName=user)["AccessKeyMetadata"]}

    def group(self, name: str, vpc: str) -> str:
        return str(self.ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"])

    def instance(self, name: str, *groups: str) -> str:
        image = self.ec2.describe_images()["Images"][0]["ImageId"]
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}]
        made = self.ec2.run_instances(
            ImageId=image, MinCount=1, MaxCount=1, SecurityGroupIds=list(groups), TagSpecifications=tags
        )
        return str(made["Instances"][0]["InstanceId"])

    def groups(self, instance: str) -> set[str]:
        found = self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        return {one["GroupId"] for one in found["SecurityGroups"]}


@pytest.fixture
def account(server: str) -> Iterator[Account]:
    urllib.request.urlopen(urllib.request.Request(f"{server}/moto-api/reset", method="POST"), timeout=60).close()
    with closing(Account(server)) as made:
        yield made


# --- access keys --------------------------------------------------------------------------------------------------


def test_active_keys_are_disabled_and_only_these_come_back(account: Account) -> None:
    account.iam.create_user(UserName="k.curlew")
    first, second = (account.iam.create_access_key(UserName="k.curlew")["AccessKey"]["AccessKeyId"] for _ in "12")
    account.iam.update_access_key(UserName="k.curlew", AccessKeyId=second, Status="Inactive")
    using = Using("disable_aws_key", account.settings, (USER,))
    assert using.check().effect is Effect.ABSENT
    using.do()
    assert using.probe().effect is Effect.HOLDS
    assert set(account.keys("k.curlew").values()) == {"Inactive"}
    using.do()
    back = using.inverse()
    back.do()
    assert account.keys("k.curlew") == {first: "Active", second: "Inactive"}
    assert using.probe().effect is Effect.ABSENT
    assert back.probe().effect is Effect.HOLDS
    back.do()
    assert account.keys("k.curlew") == {first: "Active", second: "Inactive"}
    assert account.iam.list_user_tags(UserName="k.curlew")["Tags"] == []


def test_a_run_that_broke_off_half_way_forgets_no_key(account: Account) -> None:
    """As after a crash between two keys: the note of the first run stays part of the second one's."""
    account.iam.create_user(UserName="k.curlew")
    first, second = (account.iam.create_access_key(UserName="k.curlew")["AccessKey"]["AccessKeyId"] for _ in "12")
    account.iam.tag_user(UserName="k.curlew", Tags=[{"Key": "countersign-disabled-keys", "Value": f"{first} {second}"}])
    account.iam.update_access_key(UserName="k.curlew", AccessKeyId=first, Status="Inactive")
    using = Using("disable_aws_key", account.settings, (USER,))
    assert using.probe().effect is Effect.ABSENT
    using.do()
    using.undo()
    assert account.keys("k.curlew") == {first: "Active", second: "Active"}


def test_without_a_note_no_key_is_enabled_by_guess(account: Account) -> None:
    account.iam.create_user(UserName="k.curlew")
    one = account.iam.create_access_key(UserName="k.curlew")["AccessKey"]["AccessKeyId"]
    account.iam.update_access_key(UserName="k.curlew", AccessKeyId=one, Status="Inactive")
    with pytest.raises(TargetFault, match="nothing says which"):
        Using("disable_aws_key", account.settings, (USER,)).undo()
    assert account.keys("k.curlew") == {one: "Inactive"}


def test_a_user_that_is_not_there_or_has_no_key_is_missing(account: Account) -> None:
    using = Using("disable_aws_key", account.settings, (USER,))
    for _ in ("no user", "no key"):
        with pytest.raises(TargetFault) as caught:
            using.check()
        assert caught.value.kind == TargetFault.MISSING
        if not account.iam.list_users()["Users"]:
            account.iam.create_user(UserName="k.curlew")


# --- instances ----------------------------------------------------------------------------------------------------


@pytest.fixture
def network(account: Account) -> dict[str, str]:
    vpc = account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    return {name: account.group(name, vpc) for name in ("quarantine", "web", "ssh")}


def test_an_instance_is_quarantined_and_gets_its_groups_back(account: Account, network: dict[str, str]) -> None:
    instance = account.instance("FILE-01", network["web"], network["ssh"])
    other = account.instance("file-010", network["web"])
    using = Using("quarantine_instance", account.settings | {"group": network["quarantine"]}, (HOST,))
    assert using.check().effect is Effect.ABSENT
    using.do()
    assert using.probe().effect is Effect.HOLDS
    assert account.groups(instance) == {network["quarantine"]}
    using.do()
    back = using.inverse()
    assert back.check().effect is Effect.ABSENT
    back.do()
    assert back.probe().effect is Effect.HOLDS
    assert account.groups(instance) == {network["web"], network["ssh"]}
    back.do()
    assert account.groups(instance) == {network["web"], network["ssh"]}
    assert account.groups(other) == {network["web"]}


def test_none_or_two_of_that_name_are_not_touched(account: Account, network: dict[str, str]) -> None:
    using = Using("quarantine_instance", account.settings | {"group": network["quarantine"]}, (HOST,))
    with pytest.raises(TargetFault, match="not known there") as caught:
        using.do()
    assert caught.value.kind == TargetFault.MISSING
    two = [account.instance("file-01", network["web"]) for _ in "12"]
    with pytest.raises(TargetFault, match="2 are called") as caught:
        using.do()
    assert caught.value.kind == TargetFault.REFUSED
    assert [account.groups(one) for one in two] == [{network["web"]}] * 2


def test_a_group_of_another_network_or_none_is_refused_before_anything_is_done(
    account: Account, network: dict[str, str]
) -> None:
    account.instance("file-01", network["web"])
    vpc = account.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    far = Using("quarantine_instance", account.settings | {"group": account.group("far", vpc)}, (HOST,))
    with pytest.raises(TargetFault, match="another network"):
        far.check()
    gone = Using("quarantine_instance", account.settings | {"group": "sg-0123456789abcdef0"}, (HOST,))
    with pytest.raises(TargetFault) as caught:
        gone.check()
    assert caught.value.kind == TargetFault.MISSING


# --- both ---------------------------------------------------------------------------------------------------------

BOTH: list[tuple[str, dict[str, Any], Asset | Identity]] = [
    ("disable_aws_key", {}, USER),
    ("quarantine_instance", {"group": "sg-0123456789abcdef0"}, HOST),
]


@pytest.mark.parametrize(("action", "more", "record"), BOTH, ids=lambda one: str(one)[:12])
@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "InvalidClientTokenId", TargetFault.CREDENTIALS),
        (401, "AuthFailure", TargetFault.CREDENTIALS),
        (403, "AccessDenied", TargetFault.DENIED),
        (403, "UnauthorizedOperation", TargetFault.DENIED),
        (404, "NoSuchEntity", TargetFault.MISSING),
        (400, "Throttling", TargetFault.REFUSED),
        (503, "ServiceUnavailable", TargetFault.UNREACHABLE),
    ],
)
def test_a_refusal_has_its_kind(
    action: str, more: dict[str, Any], record: Asset | Identity, status: int, code: str, kind: str
) -> None:
    said = f"<Response><Errors><Error><Code>{code}</Code><Message>hunter2</Message></Error></Errors></Response>"
    if action == "disable_aws_key":
        said = f"<ErrorResponse><Error><Code>{code}</Code><Message>hunter2</Message></Error></ErrorResponse>"
    with serving(lambda _: (status, said.encode())) as url:
        settings = {"run": True, "url": url, "key": "AKIAX", "secret": "env:TOKEN"} | more
        with pytest.raises(TargetFault) as caught:
            Using(action, settings, (record,)).check()
    assert caught.value.kind == kind
    assert "hunter2" not in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("action", "more", "record"), BOTH, ids=lambda one: str(one)[:12])
def test_unreachable_unready_and_without_lease(action: str, more: dict[str, Any], record: Asset | Identity) -> None:
    with deaf_port() as number:
        settings = {"run": True, "url": f"http://127.0.0.1:{number}", "key": "AKIAX", "secret": "env:TOKEN"} | more
        using = Using(action, settings, (record,))
        with pytest.raises(TargetFault) as caught:
            using.check()
    assert caught.value.kind == TargetFault.UNREACHABLE
    with pytest.raises(LeaseRefused):
        using.hand.do(using.order, Cover(None, USE))
    with pytest.raises(ConfigError, match=r"secret"):
        _ = Using(action, settings | {"secret": ""}, ()).hand
    with pytest.raises(ConfigError, match="https"):
        _ = Using(action, settings | {"url": "http://aws.example"}, ()).hand
    assert "moto" in ACTIONS[action].proven
    assert json.dumps(settings)


@pytest.mark.parametrize("name", ["*", "file-0?", "a b", "k.curlew\n", "<x>", "'", "", "x" * 300])
def test_a_name_that_could_mean_others_is_not_sent(name: str) -> None:
    asked: list[object] = []
    with serving(lambda one: asked.append(one) or (500, {})) as url:  # type: ignore[func-returns-value]
        settings = {"run": True, "url": url, "key": "AKIAX", "secret": "env:TOKEN"}
        for using in (
            Using("disable_aws_key", settings, (Identity(name),)),
            Using("quarantine_instance", settings | {"group": "sg-0123456789abcdef0"}, (Asset(name),)),
        ):
            with pytest.raises(TargetFault):
                using.do()
    assert asked == []
