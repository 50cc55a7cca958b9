"""Lock an account: in an OpenLDAP directory with the password policy overlay, or in an Active Directory."""

from __future__ import annotations

from countersign.actions.base import BaseAction, Settings
from countersign.actions.hand import BaseHand
from countersign.actions.ldap_settings import DirectorySettings, checked
from countersign.actions.words import case_line, names, owned, record_line
from countersign.model.responses import Plan, Scene, Takes
from countersign.ports import Reach


class DisableAccount(BaseAction):
    """No parameters: it stays locked until it is undone. How it is set up: docs/how-to/disable-accounts.md."""

    name = "disable_account"
    title = "Disable account"
    verb = "deny account"
    takes = Takes.ACCOUNT
    inverse = "enable_account"
    settings: type[Settings] = DirectorySettings

    def plan(self, scene: Scene) -> Plan:
        """One account."""
        (account,) = scene.records
        owns = owned(scene.inventory, account.name)
        return Plan(
            plan=f"Lock the account {account.name} against sign-in; sessions that are open go on until they run out.",
            undo=f"Unlock {account.name}.",
            blast_radius=(
                record_line(account),
                f"owns {names(owns)}" if owns else "owns no asset of the inventory",
                case_line(scene, account.name),
            ),
        )

    def hand(self, settings: DirectorySettings, reach: Reach) -> BaseHand | None:
        """The directory's; None as long as no directory is named."""
        if not settings.url:
            return None
        whole = checked(settings)
        from countersign.actions import ldap_active_directory, ldap_directory, ldap_openldap  # noqa: PLC0415 - ldap3 is slow

        hand = ldap_openldap.OpenLdapHand if whole.kind == "openldap" else ldap_active_directory.ActiveDirectoryHand
        return hand(ldap_directory.Directory(whole, reach.secret(whole.password), reach.timeout_s))
