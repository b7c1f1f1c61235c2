"""Regular expressions that nobody's engine runs for ever on. Pure.

Ours is linear whatever the pattern, but a schema travels: to clients, to vendors, into forms whose
engines backtrack. Those need exponential time where a text can be read in more than one way within
a loop, as in ``(a+)+`` or ``(a|aa)*``: an automaton of the pattern's places shows whether it can.
"""

import re
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

import jsonschema_rs

MAX_LENGTH = 256
MAX_COST = 1_000
MAX_LOOKS = 100_000
MANY = 10
"""A repetition of at least this many costs a backtracking engine as much as an endless one."""

LINEAR = jsonschema_rs.RegexOptions(size_limit=2**20, dfa_size_limit=2**20)
_ALPHABET = frozenset(string.printable + "é中\u00a0")
_LOOKS = {ops.ASSERT, ops.ASSERT_NOT, ops.GROUPREF, ops.GROUPREF_EXISTS}
_CATEGORIES = {
    ops.CATEGORY_DIGIT: r"\d",
    ops.CATEGORY_NOT_DIGIT: r"\D",
    ops.CATEGORY_SPACE: r"\s",
    ops.CATEGORY_NOT_SPACE: r"\S",
    ops.CATEGORY_WORD: r"\w",
    ops.CATEGORY_NOT_WORD: r"\W",
}

Characters = frozenset[str]
Place = int
Step = tuple[Place, Place]


def cost_of(pattern: str) -> int:
    """How much a search for the pattern costs per character. Raises ValueError, saying why not."""
    if len(pattern) > MAX_LENGTH:
        raise ValueError(f"a pattern has at most {MAX_LENGTH} characters")
    try:
        tree = _parser.parse(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from None
    automaton = _Automaton(_ALPHABET | set(pattern))
    part = automaton.add(tree)
    if part.cost > MAX_COST:
        raise ValueError(f"its repetitions add up to more than {MAX_COST:,}")
    if automaton.is_ambiguous():
        raise ValueError(
            "catastrophic: within a repetition the same text can be read in several ways"
        )
    if not _is_linear(pattern):
        raise ValueError("engines that run in linear time (RE2, Rust) do not support it")
    return part.cost


@dataclass(frozen=True)
class _Part:
    """A piece of a pattern: where it may begin and end, whether it may be empty, what it costs."""

    first: tuple[Place, ...] = ()
    last: tuple[Place, ...] = ()
    empty: bool = True
    cost: int = 0


@dataclass
class _Automaton:
    """The places of a pattern's characters, and which may follow which (Glushkov's automaton)."""

    alphabet: Characters
    reads: list[Characters] = field(default_factory=list)
    steps: dict[Place, set[Place]] = field(default_factory=dict)
    doubled: set[Step] = field(default_factory=set)
    """Steps that can be taken in two ways: through the inner and the outer of two loops."""
    looked: int = 0

    def add(self, nodes: Any) -> _Part:
        """Add a sequence of the parser's nodes."""
        whole = _Part()
        for op, argument in nodes:
            whole = self._join(whole, self._add_node(op, argument))
        return whole

    def is_ambiguous(self) -> bool:
        """Whether two ways lead from a place back to itself over the same text."""
        reachable = {place: self._reachable(place) for place in self.steps}
        if any(before in reachable.get(after, ()) for before, after in self.doubled):
            return True
        loops = {
            frozenset(other for other in others if place in reachable.get(other, ()))
            for place, others in reachable.items()
        }
        return any(self._parts_and_meets(loop) for loop in loops)

    def _add_node(self, op: Any, argument: Any) -> _Part:
        if op in _LOOKS:
            raise ValueError("looking ahead, looking behind and back references are not supported")
        if op is ops.AT:
            return _Part()
        if op is ops.SUBPATTERN:
            return self.add(argument[3])
        if op is ops.ATOMIC_GROUP:
            return self.add(argument)
        if op is ops.BRANCH:
            return self._either([self.add(branch) for branch in argument[1]])
        if op in {ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT}:
            return self._repeat(*argument)
        place = len(self.reads)
        self.reads.append(_characters(op, argument, self.alphabet))
        return _Part((place,), (place,), empty=False, cost=1)

    def _join(self, left: _Part, right: _Part) -> _Part:
        self._connect(left.last, right.first)
        return _Part(
            left.first + right.first if left.empty else left.first,
            left.last + right.last if right.empty else right.last,
            left.empty and right.empty,
            left.cost + right.cost,
        )

    @staticmethod
    def _either(parts: list[_Part]) -> _Part:
        return _Part(
            tuple(place for part in parts for place in part.first),
            tuple(place for part in parts for place in part.last),
            any(part.empty for part in parts),
            sum(part.cost for part in parts),
        )

    def _repeat(self, least: int, most: int, nodes: Any) -> _Part:
        body = self.add(nodes)
        if most >= MANY or (most > 1 and least != most):
            self._connect(body.last, body.first)
            if body.empty:  # a round may read something or nothing: two ways again
                self._connect(body.last, body.first)
        times = max(least, 1) if most == ops.MAXREPEAT else max(int(most), 1)
        return _Part(body.first, body.last, body.empty or least == 0, body.cost * times)

    def _connect(self, before: tuple[Place, ...], after: tuple[Place, ...]) -> None:
        for step in product(before, after):
            following = self.steps.setdefault(step[0], set())
            if step[1] in following:
                self.doubled.add(step)
            following.add(step[1])

    def _reachable(self, start: Place) -> set[Place]:
        seen: set[Place] = set()
        waiting = [start]
        while waiting:
            new = self.steps.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        return seen

    def _parts_and_meets(self, loop: frozenset[Place]) -> bool:
        """Whether two walkers in a loop who read the same text may part and meet again."""
        apart = {
            pair for place in loop for pair in self._pairs(place, place, loop) if pair[0] < pair[1]
        }
        waiting = list(apart)
        while waiting:
            for pair in self._pairs(*waiting.pop(), loop):
                if pair[0] == pair[1]:
                    return True
                if pair not in apart:
                    apart.add(pair)
                    waiting.append(pair)
        return False

    def _pairs(self, one: Place, other: Place, loop: frozenset[Place]) -> Iterator[Step]:
        """Where two walkers can step next within the loop, over the same character."""
        for pair in product(self.steps[one] & loop, self.steps[other] & loop):
            self.looked += 1
            if self.looked > MAX_LOOKS:
                raise ValueError("too complex")
            if not self.reads[pair[0]].isdisjoint(self.reads[pair[1]]):
                yield pair


def _characters(op: Any, argument: Any, alphabet: Characters) -> Characters:
    """Which of a sample of all characters a node reads."""
    if op is ops.LITERAL:
        return frozenset({chr(argument)})
    if op is ops.NOT_LITERAL:
        return alphabet - {chr(argument)}
    if op is ops.ANY:
        return alphabet - {"\n"}
    if op is ops.RANGE:
        return frozenset(c for c in alphabet if argument[0] <= ord(c) <= argument[1])
    if op is ops.CATEGORY:
        return frozenset(c for c in alphabet if re.match(_CATEGORIES[argument], c))
    if op is ops.IN:
        negated = argument[0][0] is ops.NEGATE
        items = argument[1:] if negated else argument
        read = (_characters(kind, value, alphabet) for kind, value in items)
        found = frozenset[str]().union(*read)
        return alphabet - found if negated else found
    raise ValueError(f"{op} is not supported")


def _is_linear(pattern: str) -> bool:
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=LINEAR)
    except jsonschema_rs.ValidationError:
        return False
    return True
