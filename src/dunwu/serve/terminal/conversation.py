"""A conversation in the terminal: its turns, its settings, and the commands that change them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from dunwu.errors import UserError, counted, did_you_mean
from dunwu.runs.atomic import atomic_write
from dunwu.serve.answering import Order
from dunwu.serve.guided import SearchLimits
from dunwu.serve.records import ChatRequest, Choice, derive_seeds
from dunwu.types import Message

MOST_VOTES = 128
MOST_WIDTH = 64
SINGLE = "each answer is a single sample"
NO_GUIDE = "there is no guide: start with dunwu chat MODEL --guide GUIDE"
HELP = """\
/vote N           ask N times and answer with the majority; /vote off
/vote N weighted  votes count as much as the guide scores them
/best N           ask N times and answer with what the guide scores highest; /best off
/guided WIDTH     the guide chooses each step of which the model is not sure; /guided off
/budget N         close the reasoning after N tokens; /budget off
/seed N           the same question has the same answer; /seed random
/temperature T    between 0 and 2
/think            show the last chain of thought
/fold on|off      fold the chain when the answer begins, or print all of it
/new              forget the conversation
/system TEXT      a system message, before the conversation
/save FILE        write the conversation as JSON
/quit             leave; so does Ctrl-D. Ctrl-C stops an answer"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How questions are asked.

    Attributes:
        temperature: see ``ChatRequest``; so are ``top_p`` and ``max_tokens``.
        seed: of every answer; None: another each time.
        vote: samples that vote; 1: none.
        weighted: votes count as much as the guide scores them.
        best: samples of which the guide takes the best; 1: none.
        guided: candidates of which the guide chooses each step; None: it does not.
        budget: tokens of reasoning; None: no bound.
        folds: the chain is folded when the answer begins.
        system: the system message, or "".
    """

    temperature: float
    top_p: float
    max_tokens: int | None = None
    seed: int | None = None
    vote: int = 1
    weighted: bool = False
    best: int = 1
    guided: int | None = None
    budget: int | None = None
    folds: bool = True
    system: str = ""


@dataclass(slots=True, kw_only=True)
class Turn:
    """A question, and what was answered under which seed and settings."""

    question: str
    reasoning: str
    answer: str
    seed: int
    settings: Settings
    votes: dict[str, Any] | None = None
    guidance: dict[str, Any] | None = None

    def describe(self) -> dict[str, Any]:
        """Return it as a saved conversation has it: all that it takes to ask again, its seed once."""
        described = asdict(self)
        for name in ("seed", "folds"):  # the seed that was asked for, if any, and how it was shown
            del described["settings"][name]
        return described


@dataclass(slots=True)
class Conversation:
    """See the module.

    Attributes:
        settings: how questions are asked.
        takes_turns: the model can be shown earlier turns.
        has_guide: something can choose between answers.
        turns: those that have been.
        over: the user has left.
    """

    settings: Settings
    takes_turns: bool
    has_guide: bool = False
    turns: list[Turn] = field(default_factory=list)
    over: bool = False

    @property
    def order(self) -> Order:
        """How questions are answered."""
        settings = self.settings
        return Order(
            votes=settings.vote > 1,
            weighted=settings.weighted,
            best_of=settings.best > 1,
            search=SearchLimits(width=settings.guided) if settings.guided else None,
        )

    def ask(self, question: str) -> tuple[ChatRequest, int]:
        """Make the request of a question.

        Args:
            question: The user's.

        Returns:
            The request, and the seed from which it has its own.
        """
        settings = self.settings
        seed = secrets.randbits(32) if settings.seed is None else settings.seed
        messages = [Message(role="system", content=settings.system)] if settings.system else []
        for turn in self.turns if self.takes_turns else ():
            messages.append(Message(role="user", content=turn.question))
            messages.append(Message(role="assistant", content=turn.answer))
        messages.append(Message(role="user", content=question))
        request = ChatRequest(
            messages=tuple(messages),
            seeds=derive_seeds(seed, max(settings.vote, settings.best)),
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_tokens=settings.max_tokens,
            max_thinking_tokens=settings.budget,
        )
        return request, seed

    def keep(self, question: str, choice: Choice, seed: int, more: Mapping[str, Any]) -> None:
        """Keep an answer as a turn.

        Args:
            question: What was asked.
            choice: What was answered.
            seed: Under which.
            more: The fields of ``Answer`` beside it.
        """
        turn = Turn(
            question=question,
            reasoning=choice.reasoning,
            answer=choice.content,
            seed=seed,
            settings=self.settings,
            votes=more.get("vote"),
            guidance=more.get("guidance"),
        )
        self.turns.append(turn)

    def obey(self, line: str) -> str:
        """Obey a command.

        Args:
            line: What the user wrote, with its slash.

        Returns:
            What to say; "" for nothing.

        Raises:
            UserError: there is no such command, or not with that value.
        """
        name, _, value = line.removeprefix("/").partition(" ")
        commands = self._list_commands()
        if name not in commands:
            raise UserError(f"there is no command /{name:.40}{did_you_mean(name, commands)}; /help names them")
        return commands[name](value.strip())

    def knows(self, line: str) -> bool:
        """Return whether a line begins with a command."""
        return line.startswith("/") and line[1:].partition(" ")[0] in self._list_commands()

    def _list_commands(self) -> dict[str, Callable[[str], str]]:
        return {
            "vote": self._set_vote,
            "best": self._set_best,
            "guided": self._set_guided,
            "budget": self._set_budget,
            "seed": self._set_seed,
            "temperature": self._set_temperature,
            "think": self._show_chain,
            "fold": self._set_fold,
            "new": self._begin_anew,
            "system": self._set_system,
            "save": self._save,
            "help": lambda _: HELP,
            "quit": self._leave,
        }

    def _set_vote(self, value: str) -> str:
        number, _, more = value.partition(" ")
        if more not in ("", "weighted"):
            raise UserError(f"{more!r:.40} is no kind of vote: write /vote {number:.20} weighted", field="/vote")
        count = 1 if value == "off" else _read_number(number, "/vote", 1, MOST_VOTES)
        self._choose(vote=count, weighted=count > 1 and bool(more))
        if count == 1:
            return SINGLE
        return f"{count} samples vote" + (", each with as much weight as the guide scores it" if more else "")

    def _set_best(self, value: str) -> str:
        count = 1 if value == "off" else _read_number(value, "/best", 1, MOST_VOTES)
        self._choose(best=count)
        return f"the best of {count} samples by the guide's score" if count > 1 else SINGLE

    def _set_guided(self, value: str) -> str:
        standard = str(SearchLimits().width)
        width = None if value == "off" else _read_number(value or standard, "/guided", 1, MOST_WIDTH)
        self._choose(guided=width)
        return SINGLE if width is None else f"the guide chooses steps out of {width}"

    def _choose(self, **way: Any) -> None:
        """Have questions answered in one way, and no longer in another."""
        settings = replace(self.settings, **{"vote": 1, "weighted": False, "best": 1, "guided": None} | way)
        if (settings.weighted or settings.best > 1 or settings.guided) and not self.has_guide:
            raise UserError(NO_GUIDE)
        self.settings = settings

    def _set_budget(self, value: str) -> str:
        budget = None if value == "off" else _read_number(value, "/budget", 0, 1 << 20)
        self.settings = replace(self.settings, budget=budget)
        return "the reasoning has no bound" if budget is None else f"the reasoning is closed after {budget} tokens"

    def _set_seed(self, value: str) -> str:
        seed = None if value == "random" else _read_number(value, "/seed", 0, 2**63 - 1)
        self.settings = replace(self.settings, seed=seed)
        return "another seed for each answer" if seed is None else f"seed {seed}"

    def _set_temperature(self, value: str) -> str:
        try:
            temperature = float(value)
        except ValueError:
            temperature = -1.0
        if not 0.0 <= temperature <= 2.0:
            raise UserError(f"{value!r:.40} is no number from 0 to 2", field="/temperature")
        self.settings = replace(self.settings, temperature=temperature)
        return f"temperature {temperature:g}"

    def _show_chain(self, value: str) -> str:
        return (self.turns[-1].reasoning if self.turns else "") or "there is no chain of thought yet"

    def _set_fold(self, value: str) -> str:
        if value not in ("on", "off"):
            raise UserError(f"{value!r:.40} is neither on nor off", field="/fold")
        self.settings = replace(self.settings, folds=value == "on")
        return "chains are folded" if value == "on" else "chains are printed"

    def _begin_anew(self, value: str) -> str:
        self.turns = []
        return "a new conversation"

    def _set_system(self, value: str) -> str:
        self.settings = replace(self.settings, system=value)
        return "a system message stands first" if value else "no system message"

    def _save(self, value: str) -> str:
        if not value:
            raise UserError("name a file", field="/save")
        try:
            path = Path(value).expanduser()
            path.with_name(path.name)
        except (RuntimeError, ValueError):
            raise UserError(f"{value!r:.60} names no file", field="/save") from None
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise UserError(f"{value!r:.60} is there already, and no ordinary file", field="/save")
        content = {"turns": [turn.describe() for turn in self.turns]}
        atomic_write(path, (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode())
        return f"{path}: {counted(len(self.turns), 'turn')}"

    def _leave(self, value: str) -> str:
        self.over = True
        return ""


def _read_number(value: str, field: str, least: int, most: int) -> int:
    if not value.isascii() or not value.isdecimal() or len(value) > 20 or not least <= int(value) <= most:
        raise UserError(f"{value!r:.40} is no whole number from {least} to {most}", field=field)
    return int(value)
