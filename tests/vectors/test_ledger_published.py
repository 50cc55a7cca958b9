"""Values published by others: RFC 6962 test tree, signed-note example, RFC 8785 key order, C2SP paths and proof form."""

from __future__ import annotations

import base64

import pytest

from countersign.errors import VerificationError
from countersign.ledger import canonical
from countersign.ledger.merkle import Tree, consistency_proof, inclusion_proof, leaf_hash
from countersign.ledger.note import open_note, parse_checkpoint, parse_vkey, sign_note, split_note
from countersign.ledger.proof import Proof, format_proof, parse_proof
from countersign.ledger.tiles import entries_path, right_edge, tile_path
from countersign.model.entries import Actor, Entry, Kind
from countersign.store.keys import LogKey
from tests.ledger_log import MemoryLog

# The eight leaves of the Certificate Transparency reference tests, used since by transparency-dev/merkle.
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
# (leaf, size, path) and (old, new, path), same source.
INCLUSION = [
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
]
CONSISTENCY = [
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
]


@pytest.mark.parametrize("size", range(9))
def test_roots_of_the_reference_tree(size: int) -> None:
    tree = Tree()
    tree.append([leaf_hash(leaf) for leaf in LEAVES[:size]])
    assert tree.root().hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size", "path"), INCLUSION)
def test_inclusion_paths_of_the_reference_tree(index: int, size: int, path: list[str]) -> None:
    assert [node.hex() for node in inclusion_proof(index, size, MemoryLog(LEAVES[:size]))] == path


@pytest.mark.parametrize(("old", "new", "path"), CONSISTENCY)
def test_consistency_paths_of_the_reference_tree(old: int, new: int, path: list[str]) -> None:
    assert [node.hex() for node in consistency_proof(old, new, MemoryLog(LEAVES[:new]))] == path


# golang.org/x/mod/sumdb/note, package documentation.
NOTE_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NOTE_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
NOTE_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH_VKEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
PETER_SIGNS = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
ENOCH_SIGNS = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"


def test_signed_note_of_the_go_documentation_is_made_to_the_byte() -> None:
    seed = base64.b64decode(NOTE_SECRET.split("+", 4)[4])[1:]
    key = LogKey("PeterNeumann", seed)
    assert str(key.vkey) == NOTE_VKEY
    assert key.encoded() == NOTE_SECRET
    assert sign_note(NOTE_TEXT, key) == f"{NOTE_TEXT}\n{PETER_SIGNS}".encode()


def test_doubly_signed_note_of_the_go_documentation_opens_with_one_or_both_keys() -> None:
    data = f"{NOTE_TEXT}\n{PETER_SIGNS}{ENOCH_SIGNS}".encode()
    peter, enoch = parse_vkey(NOTE_VKEY), parse_vkey(ENOCH_VKEY)
    one = open_note(data, [peter])
    assert one.text == NOTE_TEXT
    assert [s.name for s in one.verified] == ["PeterNeumann"]
    assert [s.name for s in one.unverified] == ["EnochRoot"]
    assert len(open_note(data, [peter, enoch]).verified) == 2


def test_keys_stand_in_the_order_of_rfc_8785_section_3_2_3() -> None:
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    made = canonical.encode(
        Entry(Kind.CASE_MERGED, 0, Actor("system", "t"), "", "", dict.fromkeys(names, "x")),
    ).decode()
    order = ["\\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    places = [made.index(f'"{name}":"x"') for name in order]
    assert places == sorted(places)


def test_paths_of_c2sp_tlog_tiles() -> None:
    assert tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_path(1, 0, 17) == "tile/1/000.p/17"
    assert entries_path(273, 112) == "tile/entries/273.p/112"


def test_tree_of_70000_entries_of_c2sp_tlog_tiles() -> None:
    assert [(at.level, at.index, at.width) for at in right_edge(70_000)] == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    assert [(at.level, at.index, at.width) for at in right_edge(256)] == [(1, 0, 1)]


def test_form_of_c2sp_tlog_proof() -> None:
    nodes = (leaf_hash(b"one"), leaf_hash(b"two"))
    first, second = (base64.b64encode(node).decode() for node in nodes)
    plain = Proof(5, nodes, b"origin\n")
    assert format_proof(plain) == f"c2sp.org/tlog-proof@v1\nindex 5\n{first}\n{second}\n\norigin\n"
    extra = Proof(10, nodes[:1], b"origin\n", b"more")
    assert format_proof(extra) == f"c2sp.org/tlog-proof@v1\nextra bW9yZQ==\nindex 10\n{first}\n\norigin\n"
    alone = Proof(0, (), b"origin\n")
    assert format_proof(alone) == "c2sp.org/tlog-proof@v1\nindex 0\n\norigin\n"
    for proof in (plain, extra, alone):
        assert parse_proof(format_proof(proof)) == proof


# The examples of C2SP signed-note, tlog-checkpoint and tlog-cosignature. Their keys are not published, so what holds is the
# form: text and signatures, key ids, and the time in the cosignature.
POEM = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n"
POET = (
    "— quasimodo.example/salvatore "
    "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
)
SOFA = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
SOFA_SIGNS = (
    "— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)
WITNESS_SIGNS = (
    "— witness.example.com/w1 "
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)


def test_a_note_with_an_empty_line_in_its_text() -> None:
    text, (one,) = split_note(f"{POEM}\n{POET}".encode())
    assert text == POEM
    assert (one.name, one.key_id.hex(), len(one.raw)) == ("quasimodo.example/salvatore", "367ba04b", 64)
    with pytest.raises(VerificationError, match="no signature by a trusted key"):
        open_note(f"{POEM}\n{POET}".encode(), [parse_vkey(NOTE_VKEY)])


def test_a_checkpoint_with_the_cosignature_of_a_witness() -> None:
    text, (log, witness) = split_note(f"{SOFA}\n{SOFA_SIGNS}{WITNESS_SIGNS}".encode())
    found = parse_checkpoint(text)
    assert (found.origin, found.size, found.text) == ("example.com/behind-the-sofa", 20_852_163, SOFA)
    assert (log.name, log.key_id.hex(), len(log.raw)) == (found.origin, "033de0ae", 64)
    assert (witness.name, witness.key_id.hex(), len(witness.raw)) == ("witness.example.com/w1", "8d66cf3f", 72)
    assert int.from_bytes(witness.raw[:8], "big") == 1_679_315_147


def test_the_path_of_c2sp_tlog_proof() -> None:
    path = (
        "gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=",
        "B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=",
        "EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=",
        "RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=",
        "AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=",
    )
    text = "c2sp.org/tlog-proof@v1\nindex 73894\n" + "".join(f"{node}\n" for node in path) + f"\n{SOFA}\n{SOFA_SIGNS}"
    found = parse_proof(text)
    assert (found.index, tuple(base64.b64encode(node).decode() for node in found.path)) == (73_894, path)
    assert format_proof(found) == text
