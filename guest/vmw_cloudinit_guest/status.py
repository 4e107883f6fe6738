"""The command status: what the next boot will do, and what is known of the last answer. No secrets."""

import time
from typing import Any, Dict, List

from vmw_cloudinit_guest import activation, binding, defeats, nics, paths, reports, seed
from vmw_cloudinit_guest.binding import Scrub, Standing
from vmw_cloudinit_guest.config import Settings


def gather(settings: Settings, faults: List[str], root: str) -> Dict[str, Any]:
    """Return the status as plain values, for JSON; ``ready`` says whether the next boot asks.

    Raises:
        SeedError: the seed cannot be read, which only root may.
    """
    directory = paths.under(root, settings.seed_directory)
    machine = binding.product_uuid(root)
    instance_id = seed.instance_id(directory)
    state = binding.from_bytes(seed.state(directory))
    missing = [] if activation.cloud_init_code(root) else [activation.NO_CLOUD_INIT]
    standing = binding.judge(instance_id is not None, state, machine)
    return {
        "ready": activation.is_ready(root),
        "enabled": activation.is_enabled(root),
        "unit": activation.unit(root),
        "provisioned": activation.provisioned(root),
        "seed": {
            "directory": directory,
            "instance_id": instance_id,
            "standing": standing.name.lower().replace("_", "-"),
        },
        "answer": state and {"instance_id": state.instance_id, "port": state.port, "fetched": state.fetched},
        "machine": {"product_uuid": machine, "bound_to": state and state.product_uuid},
        "nics": {
            "found": [{"name": nic.name, "mac": nic.mac} for nic in nics.find(root)],
            "filled_in": state.macs if state else {},
        },
        "scrub": {"wanted": settings.scrub, "state": (state.scrub if state else Scrub.NO).value},
        "reports": {
            "unit": activation.unit(root, paths.REPORT_UNIT),
            "pending": [reports.stage_of(report) for report in reports.pending(directory)],
        },
        "warnings": faults + missing + defeats.find(root),
    }


def as_lines(status: Dict[str, Any]) -> List[str]:
    """Return the status for people."""
    answer = status["answer"]
    lines = [
        f"next boot:   {'asks' if status['ready'] else 'does not ask'}",
        f"drop-in:     {'enabled' if status['enabled'] else 'not enabled'}",
        f"unit:        {status['unit']}",
        f"cloud-init:  {'has' if status['provisioned'] else 'has not'} provisioned this VM",
        f"seed:        {_seed(status)}",
    ]
    if answer:
        fetched = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(answer["fetched"]))
        lines.append(
            f"last answer: {answer['instance_id']} from {answer['port']}, {fetched} by the clock at boot"
        )
    bound_to, machine = status["machine"]["bound_to"], status["machine"]["product_uuid"]
    lines.append(f"machine:     {machine or 'not known'}, the seed is bound to {bound_to or 'none'}")
    lines.append(f"cards:       {_cards(status)}")
    lines.append(f"scrub:       {'yes' if status['scrub']['wanted'] else 'no'}{_scrubbed(status)}")
    pending = " and ".join(status["reports"]["pending"])
    lines.append(f"reports:     unit {status['reports']['unit']}; {pending or 'none'} to be sent again")
    return lines + [f"warning:     {sentence}" for sentence in status["warnings"]]


def _seed(status: Dict[str, Any]) -> str:
    instance_id, directory = status["seed"]["instance_id"], status["seed"]["directory"]
    standing = Standing[status["seed"]["standing"].upper().replace("-", "_")]
    if standing is Standing.NO_SEED:
        return f"none in {directory}"
    guessed = standing is Standing.OWN and not status["machine"]["product_uuid"]
    what_it_is = "the seed is taken to be this machine's" if guessed else standing.value
    return f"{instance_id or 'an instance'} in {directory}; {what_it_is}"


def _cards(status: Dict[str, Any]) -> str:
    """Return the NICs in the order of the placeholders, and what those in the seed came to."""
    found, filled_in = status["nics"]["found"], status["nics"]["filled_in"]
    cards = [f"{number} is {nic['name']} {nic['mac']}" for number, nic in enumerate(found, 1)]
    meant = [f"{name} is {mac or 'none of them'}" for name, mac in filled_in.items()]
    return (", ".join(cards) or "none") + (f"; in the seed, {', '.join(meant)}" if meant else "")


def _scrubbed(status: Dict[str, Any]) -> str:
    if status["seed"]["instance_id"] is None:
        return ""
    return {
        Scrub.NO: "; user-data of this instance is as it came",
        Scrub.BEGUN: "; user-data of this instance is blank, cloud-init's copies of it are not all deleted",
        Scrub.DONE: "; user-data of this instance is blank, and cloud-init's copies of it are deleted",
    }[Scrub(status["scrub"]["state"])]
