"""``countersign.toml``: every key optional, typed and documented; an unknown key or a bad value names its line and key.

Each key can be overridden by an environment variable: ``COUNTERSIGN_`` and the dotted key in upper case with underscores
(``COUNTERSIGN_DATABASE``, ``COUNTERSIGN_SERVER_PORT``).
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin, get_type_hints

import msgspec
import platformdirs

from countersign.errors import ConfigError

FILE = "countersign.toml"
ScopeName = Literal["phishing", "endpoint", "network", "identity", "cloud", "other"]
ENV_DATA = "COUNTERSIGN_DATA_DIR"
_PREFIX = "COUNTERSIGN_"


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """host and port of console, API and intake. url: address at which browsers reach the console, such as
    https://soc.example.org; passkeys and the directory's answers count there alone. Empty: http://localhost on this machine.
    body_bytes_max: largest request body that intake takes."""

    host: str = "127.0.0.1"
    port: int = 8440
    url: Annotated[str, msgspec.Meta(pattern=r"^(https://[^/\s?#@]+|http://localhost(:[0-9]+)?)?$")] = ""
    body_bytes_max: int = 16 * 1024 * 1024


class Geo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Paths of MaxMind DB files for country and ASN; empty: what ships with the product, if anything."""

    country: str = ""
    asn: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        """Those that are named, in the order in which they are asked."""
        return tuple(Path(name) for name in (self.country, self.asn) if name)


class Timestamps(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """RFC 3161 stamps over checkpoints; none while ``url`` is empty. ca: PEM file with the authority's root certificate.
    every_minutes: how often, while there is something new."""

    url: Annotated[str, msgspec.Meta(pattern=r"^(https?://[^\s]+)?$")] = ""
    ca: str = ""
    every_minutes: Annotated[int, msgspec.Meta(ge=1, le=7 * 24 * 60)] = 60


class Witness(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody else's server that cosigns the log's checkpoints. name: how screens call it. url: address to which
    ``/add-checkpoint`` is added. vkey: its key, ``name+hash+base64``."""

    name: Annotated[str, msgspec.Meta(pattern=r"^\S.{0,63}$")]
    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s?#@]+$")]
    vkey: str


class Ledger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """origin: name of the log in its checkpoints; chosen once, when the log is created. seal_ms: longest time between
    an entry's commit and the checkpoint that covers it. seal_limit_ms: when the oldest entry has waited longer for its
    checkpoint, nothing is closed and no action starts; never counted as less than twice seal_ms. verify_percent: share of
    one core with which ``serve`` reads the ledger over and over; 0: never. witnesses: who cosigns checkpoints. quorum: how
    many of them must have cosigned the checkpoint that covers an action's intent before it runs. timestamps: of an
    authority of the site's choice."""

    origin: str = ""
    seal_ms: int = 1000
    seal_limit_ms: Annotated[int, msgspec.Meta(ge=1000, le=86_400_000)] = 60_000
    verify_percent: Annotated[int, msgspec.Meta(ge=0, le=100)] = 5
    quorum: Annotated[int, msgspec.Meta(ge=0, le=32)] = 0
    witnesses: tuple[Witness, ...] = ()
    timestamps: Timestamps = Timestamps()


class Oidc(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sign-in through an OpenID provider; none while ``issuer`` is empty. client_secret: a reference, ``env:NAME`` or
    ``file:PATH``; empty for a public client. name: what the button calls it. groups_claim: claim that lists one's groups.
    roles: group → role; the entitlement to approve is none of them. approver_acr, approver_max_age_s: what the provider
    must have done, and how many seconds ago at most, when an approver comes in."""

    issuer: str = ""
    client_id: str = ""
    client_secret: Annotated[str, msgspec.Meta(pattern=r"^((env|file):.+)?$")] = ""
    name: str = ""
    scopes: str = "openid profile email"
    groups_claim: str = "groups"
    approver_acr: str = ""
    approver_max_age_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 0
    roles: dict[str, Literal["viewer", "analyst", "lead", "admin", "auditor"]] = {}


class ScopeLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a scope lets the agent close at most. severity_max: highest severity. severity_unknown: whether findings of a
    tool that grades nothing may close. closes_per_hour: budget. Left out: the default of the scope. A change is a change
    of policy: the scope steps back and its evidence begins anew."""

    severity_max: Literal["informational", "low", "medium"] | None = None
    severity_unknown: bool | None = None
    closes_per_hour: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of one action. approve: people it takes at least (a critical target takes two in any case). deny: people who end
    it."""

    approve: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1
    deny: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1


class Approvals(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """expiry_minutes: how long a proposed action waits for people. actions: thresholds by name of the action."""

    expiry_minutes: Annotated[int, msgspec.Meta(ge=1, le=7 * 24 * 60)] = 60
    actions: dict[str, Thresholds] = {}


_Reference = Annotated[str, msgspec.Meta(pattern=r"^((env|file):.+)?$")]


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Messages as JSON to an address. url, secret: references, ``env:NAME`` or ``file:PATH``; with a secret each body is
    signed (``X-Countersign-Signature: sha256=HMAC``)."""

    url: _Reference = ""
    secret: _Reference = ""


class Slack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Messages to a Slack-compatible incoming webhook. url: a reference, since whoever knows it can write there."""

    url: _Reference = ""


class Mail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Messages by SMTP; none while ``host`` is empty. security: ``starttls``, ``tls`` or ``none``. password: a reference.
    to: addresses, separated by commas."""

    host: str = ""
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: _Reference = ""
    sender: str = ""
    to: str = ""


class Notify(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to say that something waits for people. Messages link to the page; none approves."""

    webhook: Webhook = Webhook()
    slack: Slack = Slack()
    mail: Mail = Mail()


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """raw_days: how long raw alerts stay at least before `countersign archive --remove` may take them out; half a year at
    least. Nothing goes by itself, and decisions, records and the log never go."""

    raw_days: Annotated[int, msgspec.Meta(ge=183)] = 183


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """database: SQLAlchemy address, empty for SQLite in the data directory. utc_offset_minutes: the site's offset from
    UTC, for office hours. actions: which responses run, with how they reach their targets; each action reads its own table.
    scopes: limits by name of the scope."""

    database: str = ""
    utc_offset_minutes: int = 0
    server: Server = Server()
    geo: Geo = Geo()
    ledger: Ledger = Ledger()
    approvals: Approvals = Approvals()
    actions: dict[str, dict[str, Any]] = {}
    notify: Notify = Notify()
    oidc: Oidc = Oidc()
    scopes: dict[ScopeName, ScopeLimits] = {}
    retention: Retention = Retention()


def data_dir(chosen: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """``--data``, else ``COUNTERSIGN_DATA_DIR``, else the platform's user data directory."""
    if chosen is not None:
        return chosen
    if environ.get(ENV_DATA):
        return Path(environ[ENV_DATA])
    return Path(platformdirs.user_data_dir("countersign", appauthor=False))


def secret(reference: str, key: str, environ: Mapping[str, str] = os.environ) -> str:
    """What a reference (``env:NAME``, ``file:PATH``) names, "" of an empty one. Raises ConfigError, quoting no secret."""
    kind, _, name = reference.partition(":")
    if not reference:
        return ""
    if kind == "env":
        if name not in environ:
            raise ConfigError(f"environment variable {name} is not set", where=key, todo="set it, or name another")
        return environ[name]
    if kind != "file":  # perhaps the secret itself: it is not quoted
        raise ConfigError("is no reference", where=key, todo="write env:NAME or file:PATH, never the secret itself")
    try:
        return Path(name).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("its file cannot be read", where=key, todo=f"check {name}") from error


def load(directory: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Configuration of a data directory. Raises ConfigError with file, line and key."""
    path = directory / FILE
    try:
        text = path.read_text("utf-8") if path.is_file() else ""
        raw = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8 at byte {error.start}", where=str(path), todo="save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror})", where=str(path), todo="check its rights") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(error), where=str(path), todo="correct the TOML") from error
    _check_keys(raw, Config, path, text, "")
    _override(raw, Config, environ, ())
    try:
        return msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$.")
        key = place.rstrip("`")
        raise ConfigError(
            what, where=f"{path}:{_line(text, key)}: {key}", todo="see docs/reference/configuration.md"
        ) from error


def _check_keys(raw: dict[str, Any], kind: type, path: Path, text: str, prefix: str) -> None:
    hints = get_type_hints(kind)
    for key, value in raw.items():
        name = f"{prefix}{key}"
        if key not in hints:
            known = ", ".join(sorted(hints))
            raise ConfigError("unknown key", where=f"{path}:{_line(text, name)}: {name}", todo=f"known here: {known}")
        if isinstance(value, dict) and isinstance(hints[key], type) and issubclass(hints[key], msgspec.Struct):
            _check_keys(value, hints[key], path, text, f"{name}.")


def _override(raw: object, kind: type, environ: Mapping[str, str], parents: tuple[str, ...]) -> None:
    if not isinstance(raw, dict):  # a value where a table belongs: the conversion says so
        return
    for key, hint in get_type_hints(kind).items():
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            _override(raw.setdefault(key, {}), hint, environ, (*parents, key))
            continue
        if get_origin(hint) in (dict, tuple):  # tables of tables stand in the file alone
            continue
        name = _PREFIX + "_".join((*parents, key)).upper()
        if name not in environ:
            continue
        try:
            raw[key] = msgspec.convert(environ[name], hint, strict=False)
        except msgspec.ValidationError as error:
            raise ConfigError(str(error), where=name, todo="correct the environment variable") from error


def _line(text: str, dotted: str) -> int:
    """Line of a key, 1-based; 1 when it stands nowhere literally."""
    last = dotted.rpartition(".")[2].split("[")[0]
    pattern = re.compile(rf"^\s*\[?\s*(?:[\w.]+\.)?{re.escape(last)}\s*[=\]]")
    return next((i for i, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)


TEMPLATE = """\
# Countersign. Every key is optional; what stands here is the default.

# Where queue, state and record live. Empty: SQLite in this directory.
# PostgreSQL: "postgresql+psycopg://user@host/name" (give the password in PGPASSWORD or ~/.pgpass, not here)
database = ""

# The site's offset from UTC in minutes, for office hours.
utc_offset_minutes = 0

[server]
host = "127.0.0.1"
port = 8440
# Address at which browsers reach the console, such as "https://soc.example.org", without a path. Passkeys and what the
# directory answers count there alone. Empty: http://localhost on this machine.
url = ""
# Largest request body that intake takes, in bytes.
body_bytes_max = 16777216

[geo]
# MaxMind DB files; empty: what ships with the product.
country = ""
asn = ""

[ledger]
# Name of the log in its checkpoints. Chosen once, when the log is created; empty: a random local name.
origin = ""
# Longest time between an entry's commit and the checkpoint that covers it, in milliseconds.
seal_ms = 1000
# When the oldest entry has waited longer than this for its checkpoint (a full disk, say), nothing is closed and no action
# starts until it is sealed. Never counted as less than twice seal_ms.
seal_limit_ms = 60000
# Share of one core with which `serve` reads the whole ledger over and over, so that tampering shows by itself; 0: never.
verify_percent = 5
# How many witnesses must have cosigned the checkpoint that covers an action's intent before the action runs. 0: it waits
# for none.
quorum = 0
# Servers of others that cosign checkpoints (docs/how-to/run-a-witness.md).
# [[ledger.witnesses]]
# name = "auditor"
# url = "https://witness.example.org"
# vkey = "witness.example.org/w1+1a2b3c4d+…"

[ledger.timestamps]
# A timestamping authority (RFC 3161) that stamps checkpoints: a third party then says by when the log held what it holds.
# Empty: none. ca: PEM file with its root certificate, by which every answer is checked.
url = ""
ca = ""
every_minutes = 60

[retention]
# How long raw alerts stay at least before `countersign archive --remove` may take them out of the database, in days; 183 or
# more. Nothing goes by itself.
raw_days = 183

[approvals]
# How long a proposed action waits for people, in minutes.
expiry_minutes = 60
# People that an action takes at least, and people who end it by saying no; per action (`countersign actions` lists them).
# A critical target takes two people in any case.
# [approvals.actions.isolate_host]
# approve = 2
# deny = 1

# Responses that really run; every other one stays a plan. Each action's how-to names its keys (`countersign actions`).
# [actions.isolate_host]
# run = true

# Where to say that something waits for people's approval. Messages name the action and the case, and link to the page
# (server.url); none approves. url, secret and password are references: "env:NAME" or "file:/path".
[notify.webhook]
url = ""
# With a secret each body is signed with HMAC-SHA-256.
secret = ""

[notify.slack]
# A Slack-compatible incoming webhook.
url = ""

[notify.mail]
# Empty: no mail.
host = ""
port = 587
# "starttls", "tls" or "none".
security = "starttls"
user = ""
password = ""
sender = ""
# Addresses, separated by commas.
to = ""

[oidc]
# Sign-in through an OpenID provider (Authorization Code with PKCE). Empty issuer: none.
issuer = ""
client_id = ""
# A reference, never the secret itself: "env:NAME" or "file:/path". Empty for a public client.
client_secret = ""
# What the button calls the provider; empty: its host name.
name = ""
scopes = "openid profile email"
# Claim of the ID token that lists a person's groups.
groups_claim = "groups"
# What is asked of approvers: authentication context, and age of the sign-in in seconds. Empty and 0: nothing more.
approver_acr = ""
approver_max_age_s = 0
# Which group is which role (viewer, analyst, lead, admin, auditor). Approvers are made by approvers' signatures alone.
# [oidc.roles]
# "soc-analysts" = "analyst"

# What the agent may close at most, once a scope's stage allows it; per scope (phishing, endpoint, network, identity, cloud,
# other). What is left out keeps its default. A change is a change of policy: the scope steps back to advise.
# [scopes.endpoint]
# severity_max = "medium"
# Whether findings of a tool that grades nothing may close.
# severity_unknown = false
# closes_per_hour = 300
"""
