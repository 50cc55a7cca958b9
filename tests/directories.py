"""Real directories for tests: OpenLDAP's slapd with the password policy overlay, and a Samba domain controller.

Each lives in a folder of its own, listens on loopback, and is stopped by its process.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import ldap3
import pytest

from tests.ports import free_port

ADMIN_PASSWORD = "Pa55-word.of.the.Test"
PERSON, PERSON_PASSWORD = "j.plover", "Gannet-77.flies"
SEARCH = "/usr/sbin:/usr/bin:/sbin:/bin"
SECRETS: Mapping[str, str] = {"env:SERVICE": "service-pw", "env:ADMIN": ADMIN_PASSWORD, "env:WRONG": "not-it"}


@dataclass(frozen=True)
class Place:
    """A directory: its address, the ``[actions.disable_account]`` table that fits it, and the person's own DN."""

    url: str
    table: dict[str, object]
    person: str

    def lets_in(self, password: str = PERSON_PASSWORD) -> bool:
        """Whether the person gets in with their own password: what an attacker would try."""
        server = ldap3.Server(self.url, get_info=ldap3.NONE, connect_timeout=60)
        with_it = ldap3.Connection(server, self.person, password, receive_timeout=60)
        try:
            return bool(with_it.bind())
        finally:
            with_it.unbind()


def need(*tools: str) -> dict[str, str]:
    """Where the tools are; skips the test with the reason where one is not."""
    found = {tool: shutil.which(tool, path=SEARCH) for tool in tools}
    for tool, path in found.items():
        if path is None:
            pytest.skip(f"{tool} is not installed")
    return {tool: path for tool, path in found.items() if path}


def _listening(process: subprocess.Popen[bytes], host: str, port: int, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, "it ended before it listened"
        with socket.socket() as link:
            link.settimeout(5)
            if link.connect_ex((host, port)) == 0:
                return
        threading.Event().wait(0.02)
    raise AssertionError(f"nothing listens at {host}:{port}")


@contextmanager
def openldap(
    folder: Path, *, policy: bool = True, use_lockout: bool = True, module: bool = True, more: str = ""
) -> Iterator[Place]:
    """slapd with one person. policy: whether a default password policy that locks is in force. more: other entries, LDIF."""
    tools = need("slapd", "slapadd", "ldapadd")
    if not Path("/usr/lib/ldap/ppolicy.so").exists():
        pytest.skip("slapd has no ppolicy overlay here")
    conf, db = folder / "conf", folder / "db"
    for one in (conf, db):
        one.mkdir()
    (folder / "init.ldif").write_text(_CONFIG.format(folder=folder) + (_overlay(policy, use_lockout) if module else ""))
    (folder / "data.ldif").write_text(_DATA + more)
    for n, file in ((0, "init.ldif"), (1, "data.ldif")):
        subprocess.run(
            [tools["slapadd"], "-F", str(conf), "-n", str(n), "-l", str(folder / file)], check=True, capture_output=True
        )
    port = free_port()
    url = f"ldap://127.0.0.1:{port}"
    process = subprocess.Popen([tools["slapd"], "-d", "0", "-F", str(conf), "-h", url])
    try:
        _listening(process, "127.0.0.1", port)
        table: dict[str, object] = {
            "run": True,
            "kind": "openldap",
            "url": url,
            "bind_dn": "cn=countersign,dc=kestrel,dc=example",
            "password": "env:SERVICE",
            "base": "ou=people,dc=kestrel,dc=example",
        }
        yield Place(url, table, f"uid={PERSON},ou=people,dc=kestrel,dc=example")
    finally:
        process.terminate()
        process.wait(timeout=60)


@contextmanager
def samba(folder: Path) -> Iterator[Place]:
    """An Active Directory domain controller with one person. Takes half a minute to be made."""
    tools = need("samba", "samba-tool")
    number = os.getpid()  # its ports are fixed, so two runs of the suite need two addresses
    host = f"127.53.{number // 250 % 250 + 1}.{number % 250 + 1}"
    dc = folder / "dc"
    attributes = ("vfs objects=dfs_samba4 acl_xattr xattr_tdb", f"xattr_tdb:file={dc}/xattr.tdb")
    options = ("server services=ldap,kdc", f"interfaces={host}/8", "bind interfaces only=yes", *attributes)
    provision = [
        *(tools["samba-tool"], "domain", "provision", f"--targetdir={dc}", "--realm=KESTREL.TEST", "--domain=KESTREL"),
        *("--host-name=dc1", f"--host-ip={host}", "--server-role=dc", "--dns-backend=NONE", f"--adminpass={ADMIN_PASSWORD}"),
        *(f"--option={one}" for one in (*options, "acl_xattr:ignore system acls=yes")),
    ]
    done = subprocess.run(provision, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"samba cannot be provisioned here: {done.stderr.decode(errors='replace')[-200:]}")
    conf = folder / "smb.conf"
    conf.write_text(_SMB.format(dc=dc, host=host))
    (dc / "run").mkdir(exist_ok=True)
    user = [tools["samba-tool"], "user", "create", PERSON, PERSON_PASSWORD, "-s", str(conf)]
    subprocess.run(user, check=True, capture_output=True)
    for port in (389, 88):
        with socket.socket() as taken:
            if taken.connect_ex((host, port)) == 0:
                pytest.skip(f"something listens at {host}:{port} already")
    process = subprocess.Popen(
        [tools["samba"], "-i", "-M", "single", "-s", str(conf)],
        stdin=subprocess.PIPE,  # it ends when this closes
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.poll() is None
        _listening(process, host, 389)
        _listening(process, host, 88)
        table: dict[str, object] = {
            "run": True,
            "kind": "active_directory",
            "url": f"ldap://{host}",
            "bind_dn": "CN=Administrator,CN=Users,DC=kestrel,DC=test",
            "password": "env:ADMIN",
            "base": "DC=kestrel,DC=test",
        }
        yield Place(f"ldap://{host}", table, f"{PERSON}@kestrel.test")
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Kdc:
    """A Kerberos server that looks at the account before it wants a password, as Windows' does; Samba's does not."""

    port: int
    tool: str
    environment: Mapping[str, str]

    def __call__(self, command: str) -> None:
        """One command of its administration."""
        argv = [self.tool, "-q", command]
        subprocess.run(argv, env=self.environment, check=True, capture_output=True, stdin=subprocess.DEVNULL)


@contextmanager
def mit_kdc(folder: Path) -> Iterator[Kdc]:
    """MIT's, for the realm of the Samba domain, with the same person; over TCP on loopback."""
    tools = need("krb5kdc", "kdb5_util", "kadmin.local")
    port = free_port()
    (folder / "krb5.conf").write_text("[libdefaults]\ndefault_realm = KESTREL.TEST\ndns_lookup_kdc = false\n")
    (folder / "kdc.conf").write_text(_KDC.format(folder=folder, port=port))
    environment = {"PATH": SEARCH, "KRB5_CONFIG": f"{folder}/krb5.conf", "KRB5_KDC_PROFILE": f"{folder}/kdc.conf"}
    made = [tools["kdb5_util"], "create", "-s", "-P", ADMIN_PASSWORD]
    subprocess.run(made, env=environment, check=True, capture_output=True)
    kdc = Kdc(port, tools["kadmin.local"], environment)
    kdc(f"addprinc -pw {PERSON_PASSWORD} +requires_preauth {PERSON}")
    process = subprocess.Popen([tools["krb5kdc"], "-n"], env=environment, stderr=subprocess.DEVNULL)
    try:
        _listening(process, "127.0.0.1", port)
        yield kdc
    finally:
        process.terminate()
        process.wait(timeout=60)


@contextmanager
def dripping(head: bytes) -> Iterator[int]:
    """A server that answers for as long as anybody listens, a byte at a time. head: says how much is to come."""
    stopped = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)

        def serve() -> None:
            with suppress(OSError):
                link, _ = server.accept()
                with link:
                    link.sendall(head)
                    while not stopped.wait(0.02):
                        link.sendall(b"x")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stopped.set()
            thread.join()


def _overlay(policy: bool, use_lockout: bool) -> str:
    lines = [
        "dn: olcOverlay={0}ppolicy,olcDatabase={1}mdb,cn=config",
        "objectClass: olcOverlayConfig",
        "objectClass: olcPPolicyConfig",
        "olcOverlay: {0}ppolicy",
    ]
    if policy:
        lines.append("olcPPolicyDefault: cn=default,ou=policies,dc=kestrel,dc=example")
    if use_lockout:
        lines.append("olcPPolicyUseLockout: TRUE")
    return "\n".join(lines) + "\n"


_CONFIG = """\
dn: cn=config
objectClass: olcGlobal
cn: config
olcPidFile: {folder}/pid

dn: cn=module,cn=config
objectClass: olcModuleList
cn: module
olcModulePath: /usr/lib/ldap
olcModuleLoad: back_mdb.so
olcModuleLoad: ppolicy.so

dn: cn=schema,cn=config
objectClass: olcSchemaConfig
cn: schema

include: file:///etc/ldap/schema/core.ldif
include: file:///etc/ldap/schema/cosine.ldif
include: file:///etc/ldap/schema/inetorgperson.ldif

dn: olcDatabase={{0}}config,cn=config
objectClass: olcDatabaseConfig
olcDatabase: {{0}}config
olcAccess: to * by dn.exact="cn=countersign,dc=kestrel,dc=example" read by * none

dn: olcDatabase={{1}}mdb,cn=config
objectClass: olcDatabaseConfig
objectClass: olcMdbConfig
olcDatabase: {{1}}mdb
olcSuffix: dc=kestrel,dc=example
olcDbDirectory: {folder}/db
olcAccess: to attrs=userPassword by anonymous auth by * none
olcAccess: to dn.subtree="ou=people,dc=kestrel,dc=example" attrs=pwdAccountLockedTime by dn.exact="cn=countersign,dc=kestrel,dc=example" write by * none
olcAccess: to dn.subtree="ou=people,dc=kestrel,dc=example" attrs=entry,uid,pwdPolicySubentry by dn.exact="cn=countersign,dc=kestrel,dc=example" read by * none
olcAccess: to dn.subtree="ou=policies,dc=kestrel,dc=example" by dn.exact="cn=countersign,dc=kestrel,dc=example" read by * none
olcAccess: to * by * none

"""  # noqa: E501 - one line each, as slapd wants it
_DATA = f"""\
dn: dc=kestrel,dc=example
objectClass: dcObject
objectClass: organization
o: Kestrel
dc: kestrel

dn: ou=people,dc=kestrel,dc=example
objectClass: organizationalUnit
ou: people

dn: ou=policies,dc=kestrel,dc=example
objectClass: organizationalUnit
ou: policies

dn: cn=default,ou=policies,dc=kestrel,dc=example
objectClass: pwdPolicy
objectClass: device
cn: default
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 50

dn: cn=countersign,dc=kestrel,dc=example
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: countersign
userPassword: service-pw

dn: cn=reader,dc=kestrel,dc=example
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: service-pw

dn: uid={PERSON},ou=people,dc=kestrel,dc=example
objectClass: inetOrgPerson
uid: {PERSON}
cn: J
sn: P
userPassword: {PERSON_PASSWORD}
"""
_KDC = """\
[kdcdefaults]
    kdc_listen = ""
    kdc_tcp_listen = 127.0.0.1:{port}
[realms]
    KESTREL.TEST = {{
        database_name = {folder}/principal
        key_stash_file = {folder}/stash
    }}
[logging]
    kdc = FILE:{folder}/kdc.log
"""
_SMB = """\
[global]
    bind interfaces only = Yes
    interfaces = {host}/8
    netbios name = DC1
    realm = KESTREL.TEST
    workgroup = KESTREL
    server role = active directory domain controller
    server services = ldap, kdc
    private dir = {dc}/private
    state directory = {dc}/state
    cache directory = {dc}/cache
    lock directory = {dc}
    pid directory = {dc}/run
    ncalrpc dir = {dc}/run/ncalrpc
    binddns dir = {dc}/bind-dns
    log file = {dc}/log
    ldap server require strong auth = no
    dcerpc endpoint servers =
"""
