"""The admin interface as a person uses it, without a browser."""

import re
from html.parser import HTMLParser
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

TOKEN = re.compile(r'name="csrf-token" content="([^"]+)"|name="csrf_token"[^>]* value="([^"]+)"')


class Console:
    """One person's session. ``post`` brings the CSRF token along."""

    def __init__(self, app: Flask, email: str, password: str) -> None:
        self.client = app.test_client()
        self.csrf = token_in(self.client.get("/login").text)
        answer = self.post("/login", email=email, password=password)
        assert answer.status_code == 302, answer.text
        self.csrf = token_in(self.get("/admin/").text)

    def get(self, path: str, **query: Any) -> TestResponse:
        return self.client.get(path, query_string=query or None)

    def post(self, path: str, **form: Any) -> TestResponse:
        return self.client.post(path, data={"csrf_token": self.csrf, **form})

    def form(self, path: str) -> dict[str, str]:
        """The fields of the page's form as a browser would send them."""
        return fields_in(self.get(path).text)

    def save(self, path: str, **changes: str | None) -> TestResponse:
        """Load a form, change fields (None = leave out) and send it; flashes follow."""
        sent = {**self.form(path), **changes}
        answer = self.post(path, **{name: v for name, v in sent.items() if v is not None})
        return self.client.get(answer.location) if answer.status_code == 302 else answer


def token_in(html: str) -> str:
    """The CSRF token of a page."""
    found = TOKEN.search(html)
    assert found, html
    return found[1] or found[2]


def fields_in(html: str) -> dict[str, str]:
    """Names and values of the fields in the page's main form."""
    reader = _FormReader()
    reader.feed(html)
    return reader.fields


class _FormReader(HTMLParser):
    """Reads ``form.form``; what stands in a <template> is not sent."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._inside = self._template = False
        self._select = self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name") or ""
        if tag == "form":
            self._inside = given.get("class") == "form"
        self._template |= tag == "template"
        if not self._inside or self._template:
            return
        if tag == "input" and (given.get("type") != "checkbox" or "checked" in given):
            self.fields[name] = given.get("value") or ""
        elif tag == "select":
            self._select = name
            self.fields.setdefault(name, "")
        elif tag == "option" and "selected" in given:
            self.fields[self._select] = given.get("value") or ""
        elif tag == "textarea":
            self._text = name
            self.fields[name] = ""

    def handle_data(self, data: str) -> None:
        if self._text:
            self.fields[self._text] += data

    def handle_endtag(self, tag: str) -> None:
        self._template &= tag != "template"
        self._inside &= tag != "form"
        if tag == "textarea":
            # A browser drops the line break that WTForms puts behind the opening tag.
            self.fields[self._text] = self.fields[self._text].removeprefix("\r\n")
            self._text = ""
