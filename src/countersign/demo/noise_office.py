"""Everyday noise of mail and sign-ins, and benign look-alikes that a hurried person would get wrong."""

from __future__ import annotations

from collections.abc import Iterator

from countersign.demo import wire_edr as edr
from countersign.demo import wire_generic as generic
from countersign.demo import wire_suricata as eve
from countersign.demo import wire_wazuh as wazuh
from countersign.demo.estate import DESK, PEOPLE
from countersign.demo.events import HOUR, MINUTE, Event, Scene, inside, outside

OFFICE_ADDRESS = "192.0.2.1"
"""Where the estate's people come from when they sign in from a desk."""
BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
NMAP = "Mozilla/5.0 (compatible; Nmap Scripting Engine)"
_SPAM = (
    ("deals@bargain-boats.example", "Half price fenders, today only"),
    ("win@lucky-draw.example", "You have been chosen"),
    ("sales@toner-direct.example", "Printer toner at cost"),
    ("hello@seo-rocket.example", "Rank your harbour first"),
)
_BULK = (("news@port-journal.example", "Port Journal, this week"), ("info@crane-expo.example", "Crane Expo programme"))
_BLOCKED = (("orders@chandlery.example", "Order list", "orders.xlsm"), ("desk@pilot-office.example", "Logs", "logs.zip"))


def noise(scene: Scene) -> Iterator[Event]:
    """Mail, sign-ins and look-alikes, in no order."""
    for make in (mail, signins, change_window, penetration_test):
        yield from make(scene)


def mail(scene: Scene) -> Iterator[Event]:
    """Bulk mail, spam and blocked attachments."""
    for t in scene.anytime(110):
        sender, subject = scene.rng.choice(_SPAM)
        yield _mail(scene, t, "MG-120", sender, subject)
    for t in scene.office(45):
        sender, subject = scene.rng.choice(_BULK)
        yield _mail(scene, t, "MG-110", sender, subject)
    for t in scene.office(8):
        sender, subject, file = scene.rng.choice(_BLOCKED)
        yield _mail(scene, t, "MG-131", sender, subject, file=file)


def _mail(scene: Scene, t: int, rule: str, sender: str, subject: str, *, file: str = "") -> Event:
    recipient, client = scene.rng.choice(PEOPLE), outside(scene.rng)
    line = generic.mail(t, rule, sender, recipient, subject, client=client, file=file)
    return Event(t, "mail", line, "mail")


def signins(scene: Scene) -> Iterator[Event]:
    """Mistyped passwords, an unanswered second factor, a mail program too old for it."""
    for t in scene.office(40):
        user = scene.rng.choice(PEOPLE)
        for i in range(scene.rng.randrange(1, 4)):
            yield _signin(t + i * 12_000, "ID-01", user)
    for t in scene.office(6):
        yield _signin(t, "ID-02", scene.rng.choice(PEOPLE))
    for t in scene.anytime(24):
        line = generic.signin(
            t, "ID-03", "p.sandpiper", OFFICE_ADDRESS, country="NO", app="IMAP", result="success", agent="mail-app/3.1"
        )
        yield Event(t, "idp", line, "signins")


def _signin(t: int, rule: str, user: str) -> Event:
    line = generic.signin(t, rule, user, OFFICE_ADDRESS, country="NO", app="Portal", result="failure", agent=BROWSER)
    return Event(t, "idp", line, "signins")


def change_window(scene: Scene) -> Iterator[Event]:
    """Look-alike: the domain administrator uses PsExec on the second controller in the announced change window."""
    start = scene.at(1, 18 * HOUR, room_ms=6 * HOUR)
    eventdata = {"serviceName": "PSEXESVC", "imagePath": r"%SystemRoot%\PSEXESVC.exe", "accountName": "LocalSystem"}
    for i in range(3):
        t = start + i * 7 * MINUTE
        yield Event(t, "wazuh", wazuh.windows(t, "dc-02", "92650", eventdata), "change_window")
        process = edr.Process("PSEXESVC.exe", r"C:\Windows\PSEXESVC.exe CHG-2216 ntds-compact.cmd", "services.exe")
        line = edr.finding(t + 4_000, "dc-02", "SB-2011", "s.avocet", process, remote=inside(DESK["s.avocet"]))
        yield Event(t + 4_000, "edr", line, "change_window")


def penetration_test(scene: Scene) -> Iterator[Event]:
    """Look-alike: the commissioned testers try the intranet from the scanner's network, as the letter says."""
    start = scene.at(1, 13 * HOUR, room_ms=6 * HOUR)
    source = "10.20.20.66"
    for n in range(45):
        t = start + n * 20_000
        url = "/search?q=1%27%20OR%20%271%27%3D%271" if n % 3 == 0 else "/admin/login"
        rule = "31103" if n % 3 == 0 else "31101"
        line = wazuh.weblog(
            t, "intranet-01", rule, source, f"GET {url}", status=403, agent="PT-2026-04 agreed test, ask r.dunlin"
        )
        yield Event(t, "wazuh", line, "penetration_test")
        if n % 9 == 0:
            http = {"hostname": "intranet-01", "url": url, "http_user_agent": NMAP}
            alert = eve.alert(t, 2024364, source, inside("intranet-01"), 80, sport=scene.port(), http=http, app_proto="http")
            yield Event(t, "suricata", alert, "penetration_test")
