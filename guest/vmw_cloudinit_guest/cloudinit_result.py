"""What cloud-init has made of this boot, as its own two files in /run tell it; cloud-init itself is not run.

``cloud-init status`` reads the same files, after a quarter of a second of imports. Found in cloud-init 18.5
to 26.2: times are seconds since the epoch up to 24.1, and since the start of the machine from 24.2 on, so
that nothing but their differences can be told.

Errors are told by their places and types alone. cloud-init quotes in them what has failed: a command with its
arguments and output, a line that is no YAML, a URL with a token in it. That is user-data, which reaches
neither a log nor a report: whoever may read reports may not always read definitions.
"""

import json
import re
from typing import Any, Dict, Iterator, List, NamedTuple

from vmw_cloudinit_guest import paths

RESULT = "/run/cloud-init/result.json"
STATUS = "/run/cloud-init/status.json"
INSTANCE_ID = "/var/lib/cloud/data/instance-id"

# A stage that took longer has seen the clock being set, where its times are those of the day.
LONGEST_STAGE = 86400.0

# How cloud-init writes that a module has failed: the repr of a pair of its name and the exception.
_MODULE_FAILED = re.compile(r"\('([A-Za-z0-9_-]{1,64})', ([A-Za-z_]\w{0,63})\(")


class Result(NamedTuple):
    """What became of a boot; see ``read``."""

    status: str  # done, degraded, error, running, or "not run", as cloud-init status says
    datasource: str  # such as DataSourceNoCloud [seed=/var/lib/cloud/seed/nocloud]; empty if there was none
    instance_id: str  # empty if it is not known
    errors: List[str]
    stages: Dict[str, float]  # seconds that each took

    @property
    def went_well(self) -> bool:
        """Whether every stage ended without an error; what cloud-init recovered from is none."""
        return self.status in ("done", "degraded")


def read(root: str = "/") -> Result:
    """Return what cloud-init says of this boot; files that are not there, or make no sense, tell nothing."""
    status = _v1(root, STATUS)
    result = _v1(root, RESULT)
    stages = [(name, stage) for name, stage in status.items() if isinstance(stage, dict)]
    errors = [error for name, stage in stages for error in _errors(name, stage.get("errors"))]
    recovered = [line for name, stage in stages for line in _recovered(name, stage.get("recoverable_errors"))]
    return Result(
        _status(status, result, bool(errors), bool(recovered)),
        _text(result.get("datasource") or status.get("datasource")),
        instance_id(root),
        errors + recovered,
        {name: seconds for name, stage in stages for seconds in _seconds(stage)},
    )


def instance_id(root: str = "/") -> str:
    """Return what cloud-init took this VM to be when it last ran; empty if it has not, or was cleaned."""
    return _first_line(paths.under(root, INSTANCE_ID))


def _status(status: Dict[str, Any], result: Dict[str, Any], failed: bool, recovered: bool) -> str:
    if failed or result.get("errors"):
        return "error"
    if not status:
        return "not run"
    if not result:  # it is written last
        return "running"
    return "degraded" if recovered else "done"


def _errors(stage: str, errors: Any) -> Iterator[str]:
    for error in errors if isinstance(errors, list) else []:
        failed = _MODULE_FAILED.match(_text(error))
        what = "{}: {}".format(*failed.groups()) if failed else "see cloud-init status --long in the VM"
        yield f"{stage}: {what}"


def _recovered(stage: str, levels: Any) -> Iterator[str]:
    """Yield how often something was logged that cloud-init got over, by its level (23.4 and later)."""
    for level, messages in levels.items() if isinstance(levels, dict) else []:
        if isinstance(messages, list) and re.fullmatch("[A-Z]{1,20}", level):
            yield f"{stage}: {len(messages)} {level} in cloud-init.log"


def _seconds(stage: Dict[str, Any]) -> Iterator[float]:
    start, finished = stage.get("start"), stage.get("finished")
    if isinstance(start, (int, float)) and isinstance(finished, (int, float)):
        seconds = finished - start
        if 0 <= seconds <= LONGEST_STAGE:
            yield round(seconds, 3)


def _v1(root: str, path: str) -> Dict[str, Any]:
    try:
        with open(paths.under(root, path), "rb") as file:
            values = json.loads(file.read().decode())["v1"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _first_line(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.readline().decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
