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
        digest = hashlib.sha256()
        for name in sorted(self._written):
            digest.update(f"{name}\0".encode())
            digest.update(hashlib.sha256((self._folder / name).read_bytes()).digest())
        return digest.hexdigest()[:_DIGITS]

    @cached_property
    def _written(self) -> dict[str, int]:
        """When each file was written, in nanoseconds, as this process found them."""
        files = (path for path in self._folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self._folder)): path.stat().st_mtime_ns for path in files}

    @property
    def _folder(self) -> Path:
        return Path(str(self.static_folder))

    def url(self, filename: str) -> str:
        """Where a page finds the file. By hand: a long list has hundreds, and url_for takes its
        time."""
        return f"{request.script_root}{self.static_url_path}/v-{self.fingerprint}/{filename}"

    def send_static_file(self, filename: str, fingerprint: str = "") -> Response:
        """The file, to keep if it is the one that was meant.

        Any other fingerprint is that of a node with a newer or an older version, in the minutes of
        an update: it gets what there is, to be asked for again. So does a developer, and whoever
        asks while new files already lie there and this process is still the old one.
        """
        response = super().send_static_file(filename)
        is_meant = fingerprint == self.fingerprint and self._is_as_found(filename)
        if is_meant and not current_app.debug:
            response.cache_control.no_cache = None
            response.cache_control.public = True
            response.cache_control.max_age = A_YEAR
            response.cache_control.immutable = True
        return response

    def _is_as_found(self, filename: str) -> bool:
        return (self._folder / filename).stat().st_mtime_ns == self._written.get(filename)
