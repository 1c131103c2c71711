"""LiveCodeBench's private tests as they are published: base64 of zlib of a pickled text, which is JSON.

``pickle`` runs whatever a file says, and a data set is somebody else's file. So nothing is unpickled here: the
opcodes are read one by one (``pickletools.genops`` executes none), and only those of which the pickle of a single text
is made are allowed. Whatever else a pickle may hold (a call, a class, a list, a second value) is refused, not skipped.
"""

from __future__ import annotations

import base64
import io
import pickletools
import zlib

MOST_BYTES = 1 << 27
"""The most bytes of an unpacked text; a few kilobytes of zlib could fill any memory."""
TEXTS = ("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8")
AROUND = ("PROTO", "FRAME", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "STOP")
"""What stands around a text in protocols 0 to 5 and says nothing."""


class NotPackedError(ValueError):
    """A text is not what it should be; the message says why."""


def unpack(text: str) -> str:
    """Unpack the text that is packed in ``text``.

    Raises:
        NotPackedError: A layer is not what it should be, the text is too long, or the pickle holds anything else.
    """
    try:
        squeezed = base64.b64decode(text, validate=True)
    except ValueError:
        raise NotPackedError("is neither JSON nor base64") from None
    unzip = zlib.decompressobj()
    try:
        pickled = unzip.decompress(squeezed, MOST_BYTES)
    except zlib.error:
        raise NotPackedError("is base64 of no zlib stream") from None
    if unzip.unconsumed_tail:
        raise NotPackedError(f"unpacks to more than {MOST_BYTES} bytes")
    if not unzip.eof or unzip.unused_data:
        raise NotPackedError("is a zlib stream that is cut, or goes on after its end")
    return _read_pickled_text(pickled)


def _read_pickled_text(pickled: bytes) -> str:
    stream, found = io.BytesIO(pickled), list[str]()
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name in TEXTS:
                found.append(str(argument))
            elif opcode.name not in AROUND:
                raise NotPackedError(f"is a pickle of more than a text: it holds {opcode.name}")
    except NotPackedError:
        raise
    except ValueError:  # cut, or no opcode at all; the message would quote whatever it is
        raise NotPackedError("is no pickle") from None
    if len(found) != 1 or stream.tell() != len(pickled):
        raise NotPackedError("is a pickle of more or less than one text")
    return found[0]
