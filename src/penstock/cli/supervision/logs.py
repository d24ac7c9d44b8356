"""What the log of a worker looks like. The root logger is touched only if the app left it alone."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback

from penstock.cli.words import iso
from penstock.engine.nursery import LogFormat
from penstock.model.clock import SECOND


def configure(chosen: LogFormat) -> None:
    """`auto`: text on a terminal, JSON elsewhere."""
    if logging.root.handlers:
        return
    handler = logging.StreamHandler()
    as_json = chosen == "json" or (chosen == "auto" and not sys.stderr.isatty())
    handler.setFormatter(JsonLines() if as_json else Text("%(asctime)s %(process)d %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%SZ"))
    logging.root.addHandler(handler)
    logging.getLogger("penstock").setLevel(logging.INFO)


class Text(logging.Formatter):
    converter = staticmethod(time.gmtime)


class JsonLines(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": iso(round(record.created * SECOND)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name in ("job_id", "task", "queue", "attempt")}
        if record.exc_info and record.exc_info[1] is not None:
            line["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
        return json.dumps(line, ensure_ascii=False, default=str)
