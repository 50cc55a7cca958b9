"""What people type enters the ledger with pseudonyms for the people whom the site knows, and is shown with their names."""

from __future__ import annotations

from countersign.bootstrap import Site
from countersign.model.inventory import Identity, Inventory
from countersign.store import ledger, words
from countersign.store.engine import writing

KNOWN = ("user:ann", "user:corp\\bob.b", "mail:carl@corp.example", "person:Dora Lind")


CASES = [
    ("Ann signed in twice", "{user:ann} signed in twice"),
    ("asked ann's boss, ANN.", "asked {user:ann}'s boss, {user:ann}."),
    ("joanna and annabel are others", None),
    ("it was CORP\\Bob.B on web-1", "it was {user:corp\\bob.b} on web-1"),
    ("carl@corp.example wrote", "{mail:carl@corp.example} wrote"),
    ("told Dora Lind, dora lind agreed", "told {person:Dora Lind}, {person:Dora Lind} agreed"),
    ("new.one@corp.example is new", "{mail:new.one@corp.example} is new"),
    ("erin is in the inventory", "{user:erin} is in the inventory"),
    ("export-erin.csv", "export-{user:erin}.csv"),
    ("nobody whom the site knows", None),
    ("", None),
    ("a\x1fb [c] (d) \\ ~ %", None),
]
"""What is typed, and what is stored; None where it is the same."""


def test_names_go_in_as_pseudonyms_and_come_out_as_names(site: Site) -> None:
    site.commands.import_inventory(Inventory((), (Identity("erin"),)), "people.csv")
    with writing(site.engine) as conn:
        known = ledger.pseudonyms(conn, KNOWN)
        for typed, stored in CASES:
            hidden = words.hidden(conn, typed)
            wanted = typed if stored is None else stored
            known |= ledger.pseudonyms(conn, [key for key in ("user:erin", "mail:new.one@corp.example") if key in wanted])
            for key, pseudonym in known.items():
                wanted = wanted.replace("{" + key + "}", pseudonym)
            assert hidden == wanted
            assert words.hidden(conn, hidden) == hidden
            assert words.clear(conn, hidden)[0].lower() == typed.lower()
