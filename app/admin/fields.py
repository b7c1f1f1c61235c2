"""Form fields, and the two ways between a form and the REST schemas: data out, errors back."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from flask_admin.form import BaseForm
from wtforms import (
    BooleanField,
    DateTimeLocalField,
    Field,
    FieldList,
    FloatField,
    Form,
    FormField,
    HiddenField,
    IntegerField,
    PasswordField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Optional, ValidationError
from wtforms.widgets import CheckboxInput, HiddenInput, ListWidget, NumberInput

from app.core import strict_json

UNREAD = -1
"""The version that a form without one claims to have read: no row has it."""


def stripped(value: str | None) -> str | None:
    """Text without blanks around it."""
    return value.strip() if value else value


def or_none(value: str | None) -> str | None:
    """Nothing entered is nothing, not an empty text."""
    return value or None


def storable(_form: Form, field: Field) -> None:
    """PostgreSQL takes no null character; a JSON body with one is refused before it gets here."""
    if "\x00" in (field.data or ""):
        raise ValidationError("A null character is not allowed in text.")


class LineField(StringField):
    """One line of text, blanks around it dropped; nothing entered is None."""

    def __init__(self, label: str, *, required: bool = False, **kwargs: Any) -> None:
        rules = [InputRequired("This is required."), storable] if required else [storable]
        super().__init__(label, rules, filters=[stripped, or_none], **kwargs)


class MoneyField(LineField):
    """US dollars, digit by digit: what is no amount is the schema's to refuse."""

    def __init__(self, label: str, **kwargs: Any) -> None:
        super().__init__(label, render_kw={"inputmode": "decimal"}, **kwargs)

    def process_data(self, value: Any) -> None:
        self.data = None if value is None else format(value, "f")


class ProseField(TextAreaField):
    """Many lines, kept as they are but for the browser's line ends; nothing entered is None."""

    def __init__(self, label: str, **kwargs: Any) -> None:
        super().__init__(label, [storable], filters=[_unix_lines, or_none], **kwargs)


class KeyField(PasswordField):
    """A write-only key: never shown, and an empty one leaves what is stored as it is."""

    def __init__(self, label: str, **kwargs: Any) -> None:
        render = {"autocomplete": "new-password", "spellcheck": "false"}
        super().__init__(label, [storable], filters=[stripped, or_none], render_kw=render, **kwargs)


class RealField(FloatField):
    """A number or nothing. Its range is the schema's to check."""

    def __init__(self, label: str, *, low: float, high: float, **kwargs: Any) -> None:
        super().__init__(label, [Optional()], render_kw={"min": low, "max": high}, **kwargs)
        self.widget = NumberInput(step="any")


class WholeField(IntegerField):
    """A whole number or nothing. Its range is the schema's to check."""

    def __init__(self, label: str, *, low: int, high: int, **kwargs: Any) -> None:
        super().__init__(label, [Optional()], render_kw={"min": low, "max": high}, **kwargs)


class IdField(IntegerField):
    """The id of a row within the form, hidden."""

    widget = HiddenInput()

    def __init__(self, label: str = "", **kwargs: Any) -> None:
        super().__init__(label, [Optional()], **kwargs)


class ChoiceField(SelectField):
    """One of a few, by id; the blank choice is None."""

    def __init__(self, label: str, **kwargs: Any) -> None:
        super().__init__(label, coerce=_id_or_none, **kwargs)


class ChecksField(SelectMultipleField):
    """Any of a few, each a checkbox."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()


class NamesField(TextAreaField):
    """Names, one a line or with commas between; none at all is None. picker.js shows chips."""

    def _value(self) -> str:
        return str(self.raw_data[0]) if self.raw_data else "\n".join(self.data or ())

    def process_formdata(self, valuelist: list[str]) -> None:
        text = valuelist[0] if valuelist else ""
        self.data = list(dict.fromkeys(re.findall(r"[^\s,]+", text))) or None


class MomentField(DateTimeLocalField):
    """A moment in UTC, which its label says: browsers send no zone. Nothing entered is None."""

    def __init__(self, label: str, **kwargs: Any) -> None:
        formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
        super().__init__(label, [Optional()], format=formats, **kwargs)

    @property
    def moment(self) -> str | None:
        """As REST takes it."""
        entered: datetime | None = self.data
        return entered.replace(tzinfo=UTC).isoformat() if entered else None


def choices(pairs: Iterable[tuple[object, str]]) -> list[SelectChoice]:
    """Values with their labels, as a select wants them."""
    return [SelectChoice(str(value), label) for value, label in pairs]


class JsonField(TextAreaField):
    """A JSON object as text, held to the same rules as a REST body."""

    example = '{"organization": "org-1"}'

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return json.dumps(self.data, indent=2, ensure_ascii=False) if self.data else ""

    def process_formdata(self, valuelist: list[str]) -> None:
        text = valuelist[0].strip() if valuelist else ""
        try:
            self.data = strict_json.loads(text.encode()) if text else {}
        except RecursionError:
            raise ValueError("Nested too deep.") from None
        if not isinstance(self.data, dict):
            raise ValueError(f"A JSON object is wanted, such as {self.example}.")


class VersionField(HiddenField):
    """The row version that the person read: filled when the form is shown, checked when saved."""

    def process_formdata(self, valuelist: list[str]) -> None:
        text = valuelist[0] if valuelist else ""
        sane = text.isascii() and text.isdigit() and len(text) < 19
        self.data = int(text) if sane else UNREAD


class ResourceForm(BaseForm):
    """A form over one row; ``payload`` is what its REST schema takes."""

    version = VersionField()

    def payload(self) -> dict[str, Any]:
        """The fields under their names on the wire."""
        raise NotImplementedError


def key_payload(form: Form) -> dict[str, str | None]:
    """The key as a write-only field means it: entered, to be cleared, or not sent at all."""
    if form.api_key.data:
        return {"api_key": form.api_key.data}
    return {"api_key": None} if form.clear_api_key.data else {}


def show_errors(form: Form, errors: Mapping[Any, Any]) -> list[str]:
    """Put a schema's or a service's errors beside their fields; returns those of no field."""
    homeless = []
    for path, messages in _flat(errors):
        field = _find(form, path)
        if field is None:
            homeless += [f"{'.'.join(path)}: {message}" for message in messages]
        else:
            field.errors = [*field.errors, *messages]
    return homeless


def differences(mine: Form, theirs: Form) -> list[tuple[str, str, str]]:
    """Label, stored value and entered value of every field in which two forms differ."""
    found = []
    for (label, my_field), (_, their_field) in zip(_leaves(mine), _leaves(theirs), strict=False):
        entered, stored = _shown(my_field), _shown(their_field)
        if entered != stored:
            found.append((label, stored, entered))
    return found


def _flat(errors: Mapping[Any, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[Any, Any]]:
    for name, value in errors.items():
        here = (*path, *str(name).split("."))
        if isinstance(value, Mapping):
            yield from _flat(value, here)
        else:
            yield here, value


def _find(form: Form, path: tuple[str, ...]) -> Field | None:
    """The field that a path of a schema's names leads to."""
    name, *rest = path
    field = next((form[n] for n in (name, f"{name}_", f"{name}_id") if n in form), None)
    if isinstance(field, FieldList) and rest and rest[0].isdigit():
        index, *rest = rest
        entry = field.entries[int(index)] if int(index) < len(field.entries) else None
        return _find(entry.form, tuple(rest)) if entry is not None and rest else None
    if isinstance(field, FormField):
        return _find(field.form, tuple(rest)) if rest else None
    # Beside a hidden field nobody would see it.
    return field if not rest and not isinstance(field, IdField) else None


def _leaves(form: Form) -> Iterator[tuple[str, Field]]:
    """The fields that a person fills in, but for keys, which nobody can compare."""
    for field in form:
        if isinstance(field, FormField):
            for label, inner in _leaves(field.form):
                yield f"{field.label.text}: {label}", inner
        elif not isinstance(field, VersionField | KeyField | IdField):
            yield field.label.text, field


def _shown(field: Field) -> str:
    """A field's value as a person would write it."""
    if isinstance(field, FieldList):
        rows = ["; ".join(_row(entry.form)) for entry in field.entries]
        return "\n".join(f"{number}. {row}" for number, row in enumerate(rows, 1))
    if isinstance(field, SelectMultipleField | NamesField):
        return ", ".join(field.data or ())
    if isinstance(field, SelectField):
        return str(next((choice.label for choice in field.iter_choices() if choice.selected), ""))
    if isinstance(field, BooleanField):
        return "yes" if field.data else "no"
    if isinstance(field, JsonField):
        return json.dumps(field.data, sort_keys=True, ensure_ascii=False)
    return "" if field.data is None else str(field.data)


def _row(form: Form) -> Iterator[str]:
    for label, field in _leaves(form):
        text = _shown(field)
        if text and not (isinstance(field, BooleanField) and field.name.endswith("clear_api_key")):
            yield f"{label} {text}"


def _unix_lines(value: str | None) -> str | None:
    # Forms send CRLF: without this, every save of a prompt would be a change of it.
    return value.replace("\r\n", "\n") if value else value


def _id_or_none(value: Any) -> int | None:
    return int(value) if value not in {None, "", "None"} else None
