"""Quarantine an EC2 instance: its security groups give way to one that lets nothing through."""

from __future__ import annotations

import re

from countersign.actions.base import BaseAction
from countersign.actions.vendor_aws import Aws, AwsSettings, opened, ready
from countersign.actions.vendor_hand import Opens, StateHand, target
from countersign.actions.vendor_http import host_name, only
from countersign.actions.words import case_line, record_line
from countersign.errors import ConfigError, TargetFault
from countersign.model.inventory import Asset, Identity
from countersign.model.responses import Effect, Order, Plan, Scene, Seen, Takes
from countersign.ports import Reach

TAG = "countersign-groups"
"""Of each network interface: the security groups that it had, without their prefix."""
TAG_CHARS_MAX = 256
_GROUP = re.compile(r"sg-[0-9a-f]{8,32}")


class QuarantineSettings(AwsSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """group: id of the security group that lets nothing through but what the site's responders need."""

    group: str = ""


class QuarantineInstance(BaseAction):
    """Parameter ``minutes``: after how long its undo is proposed by itself."""

    name = "quarantine_instance"
    title = "Quarantine instance (AWS)"
    verb = "contain device"
    takes = Takes.HOST
    inverse = "release_instance"
    minutes = 240
    proven = "tested against moto's server"
    settings = QuarantineSettings

    def plan(self, scene: Scene) -> Plan:
        """One host."""
        (host,) = scene.records
        minutes = scene.parameters["minutes"]
        return Plan(
            plan=f"Put the EC2 instance {host.name} into the quarantine security group alone; open connections may last.",
            undo=f"Give {host.name} its security groups back; proposed by itself after {minutes} minutes.",
            blast_radius=(
                record_line(host),
                f"whoever works on {host.name}, and whatever depends on it, loses it meanwhile",
                case_line(scene, host.name),
            ),
        )

    def hand(self, settings: QuarantineSettings, reach: Reach) -> InstanceHand | None:
        """None without a key to sign in with and a group."""
        if not ready(settings, self.name, "group"):
            return None
        if not _GROUP.fullmatch(settings.group):
            where = f"countersign.toml: actions.{self.name}.group"
            raise ConfigError("is not the id of a security group", where=where, todo="write it as sg-…")
        return InstanceHand(settings.group, opened(settings, reach, "ec2"))


class InstanceHand(StateHand[Aws, str]):
    """EC2. What is found is the instance's id; its name is its tag ``Name``."""

    action = QuarantineInstance.name
    settles = False

    def __init__(self, group: str, open_: Opens[Aws]) -> None:
        super().__init__(open_)
        self._group = group

    def _find(self, session: Aws, record: Asset | Identity) -> str:
        name = host_name(record.name)
        states = {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}
        named = {"Name": "tag-key", "Values": ["Name"]}
        listed = session.pages("describe_instances", "Reservations", Filters=[states, named])
        known = [one for reservation in listed for one in reservation["Instances"]]
        found = only(
            [one for one in known if _tag(one.get("Tags", []), "Name").lower() == name.lower()], name, session.where
        )
        return str(found["InstanceId"])

    def _interfaces(self, session: Aws, instance: str) -> list[dict[str, object]]:
        wanted = [{"Name": "attachment.instance-id", "Values": [instance]}]
        found = list(session.pages("describe_network_interfaces", "NetworkInterfaces", Filters=wanted))
        if not found:
            raise TargetFault(TargetFault.MISSING, "the instance has no interface", where=session.where, todo="look at it")
        return found

    def _look(self, session: Aws, found: str) -> Seen:
        groups = [_groups(one) for one in self._interfaces(session, found)]
        if all(one == {self._group} for one in groups):
            return Seen(Effect.HOLDS, f"EC2 says that {found} is in the quarantine group alone")
        some = ", on some of its interfaces" if any(one == {self._group} for one in groups) else ""
        return Seen(Effect.ABSENT, f"EC2 says that {found} is in other groups than the quarantine group{some}")

    def _check(self, order: Order) -> Seen:
        with self._open() as session:
            found = self._find(session, target(order))
            groups = session.call("describe_security_groups", GroupIds=[self._group])["SecurityGroups"]
            group = only(groups, self._group, session.where)
            if {one.get("VpcId") for one in self._interfaces(session, found)} != {group.get("VpcId")}:
                what = "the quarantine group belongs to another network than the instance"
                raise TargetFault(TargetFault.REFUSED, what, where=session.where, todo="name a group of its VPC")
            return self._look(session, found)

    def _bring(self, session: Aws, found: str, order: Order) -> None:
        faces = self._interfaces(session, found)
        for one in faces:
            groups = _groups(one)
            if groups == {self._group}:
                continue
            note = " ".join(group.removeprefix("sg-") for group in sorted(groups))
            if len(note) > TAG_CHARS_MAX:
                what = "it has more security groups than a tag can keep"
                raise TargetFault(TargetFault.REFUSED, what, where=session.where, todo="quarantine it by hand")
            session.call("create_tags", Resources=[one["NetworkInterfaceId"]], Tags=[{"Key": TAG, "Value": note}])
            self._move(session, found, one, [self._group], single=len(faces) == 1)

    def _undo(self, order: Order) -> None:
        """Interface by interface: some may have been given back already."""
        with self._open() as session:
            self._lift(session, self._find(session, target(order)), order)

    def _lift(self, session: Aws, found: str, order: Order) -> None:
        faces = self._interfaces(session, found)
        for one in faces:
            groups = [f"sg-{group}" for group in _tag(one.get("TagSet", []), TAG).split()]
            if _groups(one) == {self._group}:
                if not groups or not all(map(_GROUP.fullmatch, groups)):
                    what = "nothing says which security groups the instance had"
                    raise TargetFault(TargetFault.REFUSED, what, where=session.where, todo="give them back by hand")
                self._move(session, found, one, groups, single=len(faces) == 1)
            if groups:
                session.call("delete_tags", Resources=[one["NetworkInterfaceId"]], Tags=[{"Key": TAG}])

    @staticmethod
    def _move(session: Aws, instance: str, face: dict[str, object], groups: list[str], *, single: bool) -> None:
        """Of an instance with one interface its own list as well: it is the same one, seen from the other side."""
        session.call("modify_network_interface_attribute", NetworkInterfaceId=face["NetworkInterfaceId"], Groups=groups)
        if single:
            session.call("modify_instance_attribute", InstanceId=instance, Groups=groups)


def _groups(face: dict[str, object]) -> set[str]:
    listed = face["Groups"]
    return {str(one["GroupId"]) for one in listed} if isinstance(listed, list) else set()


def _tag(tags: object, key: str) -> str:
    listed = tags if isinstance(tags, list) else []
    return next((str(one["Value"]) for one in listed if one["Key"] == key), "")
