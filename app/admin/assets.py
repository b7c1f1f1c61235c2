"""Static files whose URL says what is in them: fetched once, and not asked for again for a year."""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, current_app, request

A_YEAR = 365 * 24 * 3600
_DIGITS = 12


class Assets(Blueprint):
    """A blueprint that has its static files under a fingerprint of them all, too.

    The fingerprint is a folder of the path, not a query, because the modules import each other by
    relative paths. ``asset("logo.svg")`` is the template's way to a file's URL.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        rule = f"{self.static_url_path}/v-<fingerprint>/<path:filename>"
        self.add_url_rule(rule, endpoint="static", view_func=self.send_static_file)
        self.add_app_template_global(self.url, "asset")

    @cached_property
    def fingerprint(self) -> str:
        """Another one as soon as any of the files is another one."""
        folder = Path(str(self.static_folder))
        digest = hashlib.sha256()
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(f"{path.relative_to(folder)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:_DIGITS]

    def url(self, filename: str) -> str:
        """Where a page finds the file. By hand: a long list has hundreds, and url_for takes its
        time."""
        return f"{request.script_root}{self.static_url_path}/v-{self.fingerprint}/{filename}"

    def send_static_file(self, filename: str, fingerprint: str = "") -> Response:
        """The file, to keep if it is the one that was meant.

        Any other fingerprint is that of a node with a newer or an older version, in the minutes of
        an update: it gets what there is, to be asked for again. So does a developer.
        """
        response = super().send_static_file(filename)
        if fingerprint == self.fingerprint and not current_app.debug:
            response.cache_control.no_cache = None
            response.cache_control.public = True
            response.cache_control.max_age = A_YEAR
            response.cache_control.immutable = True
        return response
