"""Contain a host with CrowdStrike Falcon: it talks to Falcon's cloud alone until that is lifted."""

from __future__ import annotations

import msgspec

from countersign.actions.base import BaseAction
from countersign.actions.vendor_hand import StateHand
from countersign.actions.vendor_http import Api, VendorSettings, host_name, ident, only, ready, signed_in
from countersign.actions.words import case_line, record_line
from countersign.model.inventory import Asset, Identity
from countersign.model.responses import Effect, Order, Plan, Scene, Seen, Takes
from countersign.ports import Reach


class CrowdstrikeSettings(VendorSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """url: of the Falcon cloud. client: id of an API client that may read and write hosts. secret: a reference to its
    secret."""

    client: str = ""
    secret: str = ""


class ContainCrowdstrike(BaseAction):
    """Parameter ``minutes``: after how long its undo is proposed by itself."""

    name = "contain_crowdstrike"
    title = "Contain host (CrowdStrike)"
    verb = "contain device"
    takes = Takes.HOST
    inverse = "lift_crowdstrike"
    minutes = 240
    proven = "contract-tested"
    settings = CrowdstrikeSettings

    def plan(self, scene: Scene) -> Plan:
        """One host."""
        (host,) = scene.records
        minutes = scene.parameters["minutes"]
        return Plan(
            plan=f"Have CrowdStrike Falcon contain {host.name}: it reaches Falcon's cloud and nothing else.",
            undo=f"Lift the containment of {host.name}; proposed by itself after {minutes} minutes.",
            blast_radius=(
                record_line(host),
                f"whoever works on {host.name}, and whatever depends on it, loses it meanwhile",
                case_line(scene, host.name),
            ),
        )

    def hand(self, settings: CrowdstrikeSettings, reach: Reach) -> CrowdstrikeHand | None:
        """None without address and client."""
        if not ready(settings, self.name, "url", "client", "secret"):
            return None
        secret = reach.secret(settings.secret)

        def sign_in(api: Api) -> None:
            api.oauth("", ("oauth2", "token"), settings.client, secret)

        return CrowdstrikeHand(signed_in(settings, reach.timeout_s, sign_in))


class _Device(msgspec.Struct):
    device_id: str
    hostname: str = ""
    status: str = ""


class _Ids(msgspec.Struct):
    resources: list[str] = []


class _Devices(msgspec.Struct):
    resources: list[_Device] = []


_STATES = {
    "contained": Effect.HOLDS,
    "containment_pending": Effect.UNKNOWN,
    "lift_containment_pending": Effect.UNKNOWN,
    "normal": Effect.ABSENT,
}
_ENTITIES = ("devices", "entities", "devices", "v2")


class CrowdstrikeHand(StateHand[Api, _Device]):
    """Falcon's hosts API. Its containment is asynchronous: pending until the sensor has reported."""

    action = ContainCrowdstrike.name

    def _find(self, session: Api, record: Asset | Identity) -> _Device:
        name = host_name(record.name)
        query = {"filter": f"hostname:['{name}']", "limit": "10"}
        ids = session.read(_Ids, "GET", ("devices", "queries", "devices", "v1"), params=query).resources
        known = [self._device(session, one) for one in ids]
        return only([one for one in known if one.hostname.lower() == name.lower()], name, session.where)

    @staticmethod
    def _device(session: Api, device: str) -> _Device:
        query = {"ids": ident(device, "a device")}
        return only(session.read(_Devices, "GET", _ENTITIES, params=query).resources, device, session.where)

    def _look(self, session: Api, found: _Device) -> Seen:
        now = self._device(session, found.device_id)
        state = now.status.lower()
        effect = _STATES.get(state, Effect.UNKNOWN)
        word = state.replace("_", " ") if state in _STATES else "in a state that is not known here"
        return Seen(effect, f"Falcon says that {now.hostname.lower()} is {word}")

    def _bring(self, session: Api, found: _Device, order: Order) -> None:
        if self._device(session, found.device_id).status.lower() != "containment_pending":
            self._order(session, found, "contain")

    def _lift(self, session: Api, found: _Device, order: Order) -> None:
        if self._device(session, found.device_id).status.lower() != "lift_containment_pending":
            self._order(session, found, "lift_containment")

    @staticmethod
    def _order(session: Api, found: _Device, word: str) -> None:
        body = {"ids": [ident(found.device_id, "a device")]}
        session.call("POST", ("devices", "entities", "devices-actions", "v2"), params={"action_name": word}, json=body)
