"""A case's evidence pack as a download. What is in it is made elsewhere and handed in; here it is only given out."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from countersign.errors import NotFoundError
from countersign.web.pages import text_of
from countersign.web.session import Person

Packs = Callable[[str], tuple[str, bytes]]
"""Case → (name, archive). Raises NotFoundError, ConflictError; VerificationError where the log cannot be sealed."""


class CasePack:
    """Hands packs out. packs: None where nothing makes any."""

    def __init__(self, packs: Packs | None) -> None:
        self._packs = packs

    def download(self, request: Request, _person: Person) -> Response:
        """The archive, without clear names."""
        if self._packs is None:
            raise NotFoundError("no evidence packs are made here", where="pack", todo="use `countersign report`")
        name, archive = self._packs(text_of(request, "case_id"))
        headers = {"content-disposition": f'attachment; filename="{name}.zip"'}
        return Response(archive, media_type="application/zip", headers=headers)
