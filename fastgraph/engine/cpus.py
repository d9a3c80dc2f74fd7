"""CPUs: how many this process may keep busy. In: affinity, and the quota of its control group. Out: a number."""

import math
import os
from functools import cache
from pathlib import Path


def available_cpus():
    """Number of CPUs that affinity leaves to this process, or fewer where a container's quota does."""
    if hasattr(os, "process_cpu_count"):
        count = os.process_cpu_count()
    elif hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count()
    return min(count or 1, quota())


@cache
def quota(root=Path("/")):
    """CPU time per time that the control groups of this process allow, rounded up; infinite without one.

    Read once: it takes as long as hundreds of small calls, and rarely changes while a process lives.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # no control groups on this system
        return math.inf
    lowest = math.inf
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / "sys/fs/cgroup" / ("" if not controllers else "cpu")
        # A container may see the path from outside it, which does not exist inside: its own group is then the base.
        group = base / path.strip("/")
        for directory in (group, *group.parents):
            lowest = min(lowest, _of_group(directory))
            if directory == base:
                break
    return max(1, math.ceil(lowest)) if lowest < math.inf else lowest


def _of_group(directory):
    """Quota over period of one control group: ``cpu.max`` of version 2, two files of version 1."""
    for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        try:
            quota, period = " ".join((directory / name).read_text() for name in names).split()
            if quota not in ("max", "-1"):
                return int(quota) / int(period)
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return math.inf
