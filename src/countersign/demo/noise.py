"""Everyday noise on servers and the network: what a SOC sees all day and is right to close."""

from __future__ import annotations

from collections.abc import Iterator

from countersign.demo import wire_edr as edr
from countersign.demo import wire_suricata as eve
from countersign.demo import wire_wazuh as wazuh
from countersign.demo.estate import ADDRESS, DESK, LINUX
from countersign.demo.events import HOUR, MINUTE, Event, Scene, inside, outside

MIRROR, CLOUD, RESOLVER = "198.51.100.20", "198.51.100.24", "10.20.20.11"
_MONITORED = ("erp-01", "erp-db-01", "mail-01", "intranet-01", "web-01", "vpn-01")
_TALKERS = tuple(host for host in ADDRESS if host != "fw-01")
_BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36"
_PACKAGES = ("tzdata", "openssl", "libc6", "curl", "apache2", "linux-image-generic", "ca-certificates")
_GUESSES = ("admin", "test", "oracle", "ubuntu", "postgres", "git", "pi", "support")
_STALE = ("/favicon.png", "/img/banner-old.jpg", "/timetable/2019.pdf", "/robots.txt.bak", "/berth/map/tiles/9/11.png")
_PROBES = ("/phpmyadmin/", "/.git/HEAD", "/cgi-bin/test.cgi", "/manager/html", "/server-status", "/../../etc/passwd")


def noise(scene: Scene) -> Iterator[Event]:
    """All of it, in no order."""
    for make in (logons, monitoring, backups, administration, updates, scanner, strangers, website, network, endpoints):
        yield from make(scene)


def logons(scene: Scene) -> Iterator[Event]:
    """People sign in; some mistype; a few mistype until Windows says so."""
    for user, host in DESK.items():
        for t in scene.office(20):
            server = scene.rng.choice(("dc-01", "dc-02", "file-01"))
            yield Event(t, "wazuh", wazuh.logon(t, server, "60106", user, source=inside(host)), "logons")
        for t in scene.office(2):
            yield from _mistyped(scene, t, user, host, scene.rng.choice((1, 1, 1, 2, 3)))
    for t in scene.daily(14 * HOUR + 25 * MINUTE)[:1]:
        user = scene.rng.choice(("l.petrel", "o.kittiwake", "f.puffin"))
        yield from _mistyped(scene, t, user, DESK[user], 8)
        yield Event(
            t + 90_000, "wazuh", wazuh.logon(t + 90_000, "dc-01", "60204", user, source=inside(DESK[user])), "logons"
        )


def _mistyped(scene: Scene, start: int, user: str, host: str, times: int) -> Iterator[Event]:
    for i in range(times):
        t = start + i * 9_000
        line = wazuh.logon(t, "dc-02", "60122", user, source=inside(host), kind="2")
        yield Event(t, "wazuh", line, "logons")


def monitoring(scene: Scene) -> Iterator[Event]:
    """The monitoring host signs in everywhere by key, every hour, four checks each."""
    for hour in range(72):
        for host in _MONITORED:
            for check in range(4):
                t = scene.start_ms + hour * HOUR + 2 * MINUTE + check * 20_000
                text = f"Accepted publickey for svc-monitor from {inside('mon-01')} port {scene.port()} ssh2: ED25519"
                data = {"srcip": inside("mon-01"), "dstuser": "svc-monitor"}
                yield Event(t, "wazuh", wazuh.syslog(t, host, "5715", text, program="sshd", data=data), "monitoring")


def backups(scene: Scene) -> Iterator[Event]:
    """At 23:00 the backup job signs in, becomes root and reads everything."""
    for night in scene.daily(23 * HOUR):
        for i, host in enumerate(h for h in LINUX if h != "backup-01"):
            for step in range(6):
                t = night + i * 7 * MINUTE + step * 8_000
                data = {"srcuser": "svc-backup", "dstuser": "root", "command": "/usr/bin/rsync --server --sender"}
                text = "svc-backup : PWD=/ ; USER=root ; COMMAND=/usr/bin/rsync --server --sender"
                yield Event(t, "wazuh", wazuh.syslog(t, host, "5402", text, program="sudo", data=data), "backup")


def administration(scene: Scene) -> Iterator[Event]:
    """Administrators and their scripts use sudo; a few accounts use it for the first time on a host."""
    for t in scene.office(45):
        host, user = scene.rng.choice(LINUX), scene.rng.choice(("k.curlew", "d.gannet", "c.whimbrel"))
        for i in range(scene.rng.randrange(1, 5)):
            at = t + i * 6_000
            data = {"srcuser": user, "dstuser": "root", "command": "/usr/bin/systemctl status"}
            text = f"{user} : TTY=pts/0 ; PWD=/home/{user} ; USER=root ; COMMAND=/usr/bin/systemctl status"
            yield Event(at, "wazuh", wazuh.syslog(at, host, "5402", text, program="sudo", data=data), "administration")
    for host in ("mon-01", "jump-01", "erp-01"):
        for quarter in range(72 * 2):
            t = scene.start_ms + quarter * 30 * MINUTE + 11_000
            text = "maintenance: rotate-logs finished with status 0"
            yield Event(t, "wazuh", wazuh.syslog(t, host, "100130", text, program="CRON", data={}), "administration")


def updates(scene: Scene) -> Iterator[Event]:
    """Package updates: repository traffic, installed packages, changed files; ClamAV's signatures every hour."""
    for offset, host in enumerate(LINUX):
        for t in range(scene.start_ms + offset * 13 * MINUTE, scene.end_ms, 8 * HOUR):
            for i in range(scene.rng.randrange(10, 20)):
                at = t + i * 2_500
                http = {"hostname": "mirror.example", "url": "/debian/dists/stable/InRelease", "http_method": "GET"}
                line = eve.alert(at, 2013504, inside(host), MIRROR, 80, sport=scene.port(), http=http, app_proto="http")
                yield Event(at, "suricata", line, "updates")
        for night in scene.daily(4 * HOUR)[:1]:
            yield from _upgrade(scene, night + offset * 5 * MINUTE, host)
    for hour in range(72):
        t = scene.start_ms + hour * HOUR + 9 * MINUTE
        text = "ClamAV update process started"
        yield Event(t, "wazuh", wazuh.syslog(t, "mail-01", "52507", text, program="freshclam", data={}), "updates")


def _upgrade(scene: Scene, start: int, host: str) -> Iterator[Event]:
    for i, package in enumerate(scene.rng.sample(_PACKAGES, 4)):
        t = start + i * 7_000
        data = {"dpkg_status": "status installed", "package": package, "arch": "amd64"}
        text = f"status installed {package}:amd64"
        yield Event(t, "wazuh", wazuh.syslog(t, host, "2902", text, program="dpkg", data=data), "updates")
        check = {"path": f"/usr/share/doc/{package}/changelog.gz", "mode": "scheduled", "event": "modified"}
        line = wazuh.alert(
            t, host, "550", data={}, decoder="syscheck_integrity_changed", location="syscheck", syscheck=check
        )
        yield Event(t, "wazuh", line, "updates")


def scanner(scene: Scene) -> Iterator[Event]:
    """The estate's own weekly vulnerability scan, at 20:00 on the first evening: loud, and wanted."""
    start = scene.daily(20 * HOUR)[0]
    source = inside("scan-01")
    targets = [host for host in LINUX if host not in {"mon-01", "backup-01"}]
    for i, host in enumerate(targets):
        for n in range(70):
            t = start + i * 6 * MINUTE + n * 3_500
            url, rule = scene.rng.choice(_PROBES), "31104" if n % 7 == 0 else "31101"
            line = wazuh.weblog(
                t, host, rule, source, f"GET {url}", status=404, agent="Sandbar Scanner 5.1 (weekly, ticket 4471)"
            )
            yield Event(t, "wazuh", line, "scanner")
        t = start + i * 6 * MINUTE
        text = f"Did not receive identification string from {source} port {scene.port()}"
        yield Event(t, "wazuh", wazuh.syslog(t, host, "5706", text, program="sshd", data={"srcip": source}), "scanner")
        for n in range(25):
            at = t + n * 5_000
            signature, port = scene.rng.choice(((2010935, 1433), (2010937, 3306), (2010939, 5432)))
            line = eve.alert(at, signature, source, inside(host), port, sport=scene.port())
            yield Event(at, "suricata", line, "scanner")


def strangers(scene: Scene) -> Iterator[Event]:
    """The Internet knocks: password guessing on the VPN host, blocked addresses of bad repute."""
    for t in scene.anytime(26):
        source = outside(scene.rng)
        tries = scene.rng.randrange(3, 14)
        for i in range(tries):
            user, at = scene.rng.choice(_GUESSES), t + i * 4_000
            text = f"Invalid user {user} from {source} port {scene.port()}"
            line = wazuh.syslog(at, "vpn-01", "5710", text, program="sshd", data={"srcip": source, "srcuser": user})
            yield Event(at, "wazuh", line, "strangers")
    for t in scene.anytime(90):
        signature = scene.rng.choice((2402000, 2403300))
        port = scene.rng.choice((22, 23, 443, 445, 3389, 8080))
        line = eve.alert(t, signature, outside(scene.rng), inside("fw-01"), port, sport=scene.port())
        yield Event(t, "suricata", line, "strangers")


def website(scene: Scene) -> Iterator[Event]:
    """Dead links on the public site, asked for by visitors and crawlers, a few pages at a time."""
    for t in scene.office(55):
        source, agent = outside(scene.rng), scene.rng.choice((_BROWSER, "Mozilla/5.0 (compatible; examplebot/2.0)"))
        for i in range(scene.rng.randrange(1, 7)):
            at = t + i * 1_700
            line = wazuh.weblog(at, "web-01", "31101", source, f"GET {scene.rng.choice(_STALE)}", status=404, agent=agent)
            yield Event(at, "wazuh", line, "website")


def network(scene: Scene) -> Iterator[Event]:
    """Protocol oddities, command-line downloads, and the flows and queries around them (which are no alerts)."""
    desks = list(DESK.values())
    for t in scene.office(45):
        host = scene.rng.choice(desks)
        for i in range(scene.rng.randrange(1, 8)):
            line = eve.alert(t + i * 900, 2230010, inside(host), CLOUD, 443, sport=scene.port())
            yield Event(t + i * 900, "suricata", line, "network")
    for t in scene.office(5):
        http = {"hostname": "mirror.example", "url": "/tools/berth-sync.tar.gz", "http_user_agent": "curl/8.5.0"}
        line = eve.alert(t, 2013028, inside("mon-01"), MIRROR, 80, sport=scene.port(), http=http, app_proto="http")
        yield Event(t, "suricata", line, "network")
    for t in scene.office(130):
        host = scene.rng.choice(_TALKERS)
        yield Event(t, "suricata", eve.flow(t, inside(host), CLOUD, 443, sport=scene.port(), octets=5_000), "network")
        yield Event(t, "suricata", eve.dns(t, inside(host), RESOLVER, "cdn.example", sport=scene.port()), "network")


def endpoints(scene: Scene) -> Iterator[Event]:
    """The EDR's low alerts: the software distribution starts scripts, people install small tools."""
    for t in scene.office(28):
        host = scene.rng.choice(list(DESK.values()))
        for i in range(scene.rng.randrange(1, 4)):
            process = edr.Process("powershell.exe", r"powershell.exe -File C:\Deploy\inventory.ps1", "deploy-agent.exe")
            yield Event(
                t + i * 5_000, "edr", edr.finding(t + i * 5_000, host, "SB-1003", "svc-monitor", process), "endpoints"
            )
    for t in scene.office(3):
        user = scene.rng.choice(("n.fulmar", "o.kittiwake", "e.tern"))
        process = edr.Process("screenshot-setup.exe", r"C:\Downloads\screenshot-setup.exe /S", "explorer.exe")
        yield Event(t, "edr", edr.finding(t, DESK[user], "SB-1009", user, process), "endpoints")
