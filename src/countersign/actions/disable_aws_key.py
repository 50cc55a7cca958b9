"""Disable the access keys of an IAM user."""

from __future__ import annotations

import re

from countersign.actions.base import BaseAction
from countersign.actions.vendor_aws import Aws, AwsSettings, opened, ready
from countersign.actions.vendor_hand import StateHand, target
from countersign.actions.words import case_line, names, owned, record_line
from countersign.errors import TargetFault
from countersign.model.inventory import Asset, Identity
from countersign.model.responses import Effect, Order, Plan, Scene, Seen, Takes
from countersign.ports import Reach

TAG = "countersign-disabled-keys"
"""Of the user: ids of the keys that were active before, so that an undo enables these and no other."""
_USER = re.compile(r"[A-Za-z0-9+=,.@_-]{1,64}")


class DisableAwsKey(BaseAction):
    """No parameters: the keys stay disabled until that is undone."""

    name = "disable_aws_key"
    title = "Disable access keys (AWS)"
    verb = "deny account"
    takes = Takes.ACCOUNT
    inverse = "enable_aws_key"
    proven = "tested against moto's server"
    settings = AwsSettings

    def plan(self, scene: Scene) -> Plan:
        """One account."""
        (account,) = scene.records
        owns = owned(scene.inventory, account.name)
        return Plan(
            plan=f"Disable every active access key of the IAM user {account.name}; its password stays, and temporary "
            "credentials made with a key last until they expire.",
            undo=f"Enable the keys of {account.name} that this disabled, and no other.",
            blast_radius=(
                record_line(account),
                f"owns {names(owns)}" if owns else "owns no asset of the inventory",
                "whatever program signs in with one of these keys stops working",
                case_line(scene, account.name),
            ),
        )

    def hand(self, settings: AwsSettings, reach: Reach) -> AwsKeyHand | None:
        """None without a key to sign in with."""
        return AwsKeyHand(opened(settings, reach, "iam")) if ready(settings, self.name) else None


class AwsKeyHand(StateHand[Aws, str]):
    """IAM. What is found is the user's name."""

    action = DisableAwsKey.name
    settles = False

    def _find(self, session: Aws, record: Asset | Identity) -> str:
        if not _USER.fullmatch(record.name):
            what = "the name is not that of an IAM user"
            raise TargetFault(TargetFault.REFUSED, what, where=session.where, todo="correct the inventory")
        user = str(session.call("get_user", UserName=record.name)["User"]["UserName"])
        if user.lower() != record.name.lower():
            what = f"another user than {record.name} is answered"
            raise TargetFault(TargetFault.REFUSED, what, where=session.where, todo="look at the account")
        return user

    def _look(self, session: Aws, found: str) -> Seen:
        keys = self._keys(session, found)
        active = [one for one, on in keys.items() if on]
        if not keys:
            raise TargetFault(TargetFault.MISSING, f"{found} has no access key", where=session.where, todo="deny it")
        if active:
            return Seen(Effect.ABSENT, f"IAM says that {len(active)} of {len(keys)} access keys are active")
        return Seen(Effect.HOLDS, f"IAM says that none of {len(keys)} access keys is active")

    @staticmethod
    def _keys(session: Aws, user: str) -> dict[str, bool]:
        """Whether each key is active."""
        listed = session.pages("list_access_keys", "AccessKeyMetadata", UserName=user)
        return {str(one["AccessKeyId"]): one["Status"] == "Active" for one in listed}

    @staticmethod
    def _noted(session: Aws, user: str) -> list[str]:
        tags = session.pages("list_user_tags", "Tags", UserName=user)
        return next((str(one["Value"]).split() for one in tags if one["Key"] == TAG), [])

    def _bring(self, session: Aws, found: str, order: Order) -> None:
        active = [one for one, on in self._keys(session, found).items() if on]
        noted = dict.fromkeys([*self._noted(session, found), *active])
        session.call("tag_user", UserName=found, Tags=[{"Key": TAG, "Value": " ".join(noted)}])
        for one in active:
            session.call("update_access_key", UserName=found, AccessKeyId=one, Status="Inactive")

    def _undo(self, order: Order) -> None:
        """Not by the state alone: a key that is active need not be one of those."""
        with self._open() as session:
            found = self._find(session, target(order))
            self._lift(session, found, order)

    def _lift(self, session: Aws, found: str, order: Order) -> None:
        keys, noted = self._keys(session, found), self._noted(session, found)
        if not noted and not any(keys.values()):
            what = f"nothing says which keys of {found} were active"
            raise TargetFault(TargetFault.REFUSED, what, where=session.where, todo="enable the right one by hand")
        for one in noted:
            if keys.get(one) is False:
                session.call("update_access_key", UserName=found, AccessKeyId=one, Status="Active")
        if noted:
            session.call("untag_user", UserName=found, TagKeys=[TAG])
