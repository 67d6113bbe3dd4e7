"""Exercises whose answer is a formula: the right one, those of usual slips, and the cases that tell them apart."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from attention_lite.exercises.answers import ask, close, number, numbers, shown
from attention_lite.exercises.running import Wrong

Values = tuple[Any, ...]           # one number, or as many as are asked for


class Formula(NamedTuple):
    """The right formula, and those of usual slips, each a function of a case's arguments.

    names: of the arguments, divided by blanks.
    cases: the arguments of each case. No two of the formulas may give the same in all of them.
    slips: sentence -> formula. One that speaks of one part alone returns None for the others.
    hint: what to say of a wrong answer that is none of the slips.
    parts: if several numbers are asked for, their names, divided by commas.
    tolerance: relative.
    """

    names: str
    cases: list[tuple]
    right: Callable[..., Any]
    slips: dict[str, Callable[..., Any]]
    hint: str
    parts: str = ""
    tolerance: float = 1e-6

    def check(self, function: Any) -> None:
        """Refuse a function that differs in any case; name the slip that gives its very answers."""
        right = self.values(self.right)
        given = self._given(function, right)
        wrong = [i for i, (got, expected) in enumerate(zip(given, right, strict=False))
                 if not self._agree([got], [expected])]
        if wrong:
            why = self._slip(given, right, wrong) or f"it is {_shown(right[wrong[0]])}. {self.hint}"
            raise Wrong(f"{self._case(wrong[0])} you give {_shown(given[wrong[0]])}: {why}")

    def values(self, formula: Callable[..., Any]) -> list[Values]:
        """What one of the formulas gives in each case."""
        return [_tuple(formula(*case)) for case in self.cases]

    def _given(self, function: Any, right: list[Values]) -> list[Values]:
        """The reader's answers: all of them, or those before one that cannot be had, if they are wrong already."""
        given: list[Values] = []
        for case in self.cases:
            try:
                answer = ask(function, *case)
                given.append(numbers(answer, self.parts) if self.parts else (number(answer),))
            except Wrong:
                if self._agree(given, right[:len(given)]):
                    raise
                break
        return given

    def _slip(self, given: list[Values], right: list[Values], wrong: list[int]) -> str | None:
        """The sentence of the first slip that gives all of the answers, or else all of several wrong ones."""
        slips = {sentence: self.values(formula) for sentence, formula in self.slips.items()}
        got, expected = given[wrong[0]], right[wrong[0]]
        part = next(p for p in range(len(got)) if not close(got[p], expected[p], self.tolerance))
        every = range(len(given))
        for cases in (every, wrong) if len(wrong) > 1 else (every,):
            for whole in (True, False):
                fitting = [sentence for sentence, values in slips.items() if (None not in values[0]) == whole
                           and self._agree([given[i] for i in cases], [values[i] for i in cases], part)]
                if fitting:
                    return fitting[0]
        return None

    def _agree(self, given: Sequence[Values], expected: Sequence[Values], part: int | None = None) -> bool:
        """Whether the numbers are the same: all of them, or those that a formula has, if `part` is among these."""
        pairs = [(got, value) for gots, values in zip(given, expected, strict=True)
                 if part is None or values[part] is not None
                 for got, value in zip(gots, values, strict=True) if value is not None]
        return all(close(got, value, self.tolerance) for got, value in pairs) and bool(pairs or not given)

    def _case(self, i: int) -> str:
        arguments = zip(self.names.split(), self.cases[i], strict=True)
        return "for " + ", ".join(f"{name} = {shown(v) if isinstance(v, float) else v}" for name, v in arguments)


def _tuple(value: Any) -> Values:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _shown(values: Values) -> str:
    return " and ".join(map(shown, values))
