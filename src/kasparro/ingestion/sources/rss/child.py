"""The process in which documents are parsed (see `process.py`): little is imported, for it starts often.

A request is a line of JSON with the length of the body, and the body; an answer is a line with the length of the rest,
a line about the document, and a line for each entry.
"""

import contextlib
import json
import signal
import sys
from dataclasses import asdict, replace
from typing import BinaryIO, Final

from kasparro.ingestion.sources.rss.document import Request, parse_document
from kasparro.ingestion.sources.rss.errors import NoFeedError

MEMORY_BYTES: Final = 1024 * 1024 * 1024


def serve(requests: BinaryIO, answers: BinaryIO, seconds: float) -> None:
    """Answer requests until there are no more; SIGPROF ends the process after `seconds` of computing over one."""
    while line := requests.readline():
        length, about = json.loads(line)
        body = requests.read(length)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        answer = _answer(body, Request(**about))
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(b"%d\n" % len(answer) + answer)
        answers.flush()


def _answer(body: bytes, request: Request) -> bytes:
    try:
        document = parse_document(body, request)
        lines = [json.dumps(entry) for entry in document.entries]
        about = {**asdict(replace(document, entries=[])), "error": None}
        return "\n".join([json.dumps(about), *lines]).encode()
    except NoFeedError as error:
        return json.dumps({"error": str(error)}).encode()
    except MemoryError:
        return json.dumps({"error": f"takes more than {MEMORY_BYTES // 2**20} MiB to parse"}).encode()


def main() -> None:
    """The process: limit memory, take SIGPROF as the kernel does, and serve."""
    import resource

    with contextlib.suppress(ValueError, OSError):  # where the system has no such limit, or a lower one
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    serve(sys.stdin.buffer, sys.stdout.buffer, float(sys.argv[1]))


if __name__ == "__main__":
    main()
