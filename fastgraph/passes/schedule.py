"""Schedule: choose an order of execution made of long runs of one opcode. In: ``Columns``, flags. Out: ``Schedule``.

An interpreter loses its time to mispredicted branches, so operations that are ready together and share an opcode
are done together: a greedy list scheduler always takes the largest group of ready operations. It works on blocks of
consecutive recorded nodes, so that a large graph's working set stays near a cache's size. ``docs/design.md`` has
the measurements.
"""

from dataclasses import dataclass

import numpy as np

from fastgraph.graph import CONSTANT, INPUT
from fastgraph.jit import adaptive, helper
from fastgraph.ops.arrays import ARITY, FORWARD_ARITY, FORWARD_IMMEDIATE, IMMEDIATE
from fastgraph.ops.row import MASKED
from fastgraph.passes.columns import NO_MASK
from fastgraph.passes.flow import active_operands
from fastgraph.passes.prune import needed_by

SEARCHED = 64  # keys looked at for the largest group, so that thousands of immediates do not make it quadratic
BLOCK = 1 << 15  # nodes scheduled together: their values and adjoints fit a 1 MiB L2 cache


@dataclass(frozen=True)
class Schedule:
    """Runs and operands of a program, in order of execution; see ``Program`` for what they mean."""

    opcodes: np.ndarray
    flags: np.ndarray
    immediates: np.ndarray
    counts: np.ndarray
    n_value_runs: int
    operands: np.ndarray
    outputs: np.ndarray
    slots: np.ndarray  # of every node


def schedule(columns, n_leaves, block=BLOCK):
    """Order the operations into runs, and give every node its slot: leaves, constants, then operations in order.

    Pairs, which only forward sweeps know, have no flags.
    """
    rows = columns.rows
    paired = ((rows[:, 0] >= len(ARITY)) & (rows[:, 0] < len(FORWARD_ARITY))).any()
    flags = np.zeros(len(rows), np.uint16) if paired else active_operands(columns)
    masks = np.full(len(rows), NO_MASK, np.int64) if columns.masks is None else columns.masks.copy()
    masks[flags == 0] = NO_MASK
    flags[masks != NO_MASK] |= MASKED
    valued = needed_by(rows, columns.outputs, np.empty(0, np.int64), FORWARD_ARITY)
    operation = rows[:, 0] < len(FORWARD_ARITY)
    parts = [np.flatnonzero(valued & operation), np.flatnonzero(~valued & operation)]
    keys, n_keys = _keys(rows, flags)
    ordered = [_order(part, rows, keys, n_keys, FORWARD_ARITY, block) for part in parts]
    order = np.concatenate([nodes for nodes, _ in ordered])
    counts = np.concatenate([sizes for _, sizes in ordered])
    slots = _slots(rows, order, n_leaves)
    opcodes, run_flags, immediates, operands = _lay_out(
        rows, flags, masks, order, counts, slots, FORWARD_ARITY, FORWARD_IMMEDIATE
    )
    return Schedule(opcodes, run_flags, immediates, counts, len(ordered[0][1]), operands, slots[columns.outputs], slots)


def _keys(rows, flags):
    """A number per node that two operations share if they may share a run: opcode, flags and immediate agree."""
    keys = rows[:, 0].astype(np.int64) * 16 + flags
    n_keys = 16 * len(FORWARD_ARITY)
    with_immediate = np.flatnonzero(np.isin(rows[:, 0], np.flatnonzero(IMMEDIATE)))
    if len(with_immediate):
        immediates = rows[with_immediate, 1 + ARITY[rows[with_immediate, 0]]]
        _, numbers = np.unique(keys[with_immediate] << 32 | immediates, return_inverse=True)
        keys[with_immediate] = n_keys + numbers
        n_keys += len(with_immediate)
    return keys, n_keys


@adaptive
def _order(nodes, rows, keys, n_keys, arity, block):
    """Reorder ``nodes`` block by block into runs of one key; return the order and the runs' sizes."""
    n = len(nodes)
    order = np.empty(n, np.int64)
    sizes = np.empty(n, np.int64)
    place = np.full(len(rows), -1, np.int64)  # node -> place in its block, while the block is scheduled
    done = n_runs = 0
    head = np.empty(n_keys, np.int64)
    tail = np.empty(n_keys, np.int64)
    ready = np.zeros(n_keys, np.int64)  # operations waiting, by key
    live = np.empty(n_keys, np.int64)  # keys with operations waiting
    for low in range(0, n, block):
        m = min(block, n - low)
        part = nodes[low : low + m]
        for i in range(m):
            place[part[i]] = i
        # Users of each operation inside the block, as a compressed list.
        pending = np.zeros(m, np.int64)
        first = np.zeros(m + 1, np.int64)
        for i in range(m):
            for k in range(arity[rows[part[i], 0]]):
                operand = place[rows[part[i], 1 + k]]
                if operand >= 0:
                    pending[i] += 1
                    first[operand + 1] += 1
        for i in range(m):
            first[i + 1] += first[i]
        users = np.empty(first[m], np.int64)
        fill = np.empty(m, np.int64)
        for i in range(m):
            fill[i] = first[i]
        for i in range(m):
            for k in range(arity[rows[part[i], 0]]):
                operand = place[rows[part[i], 1 + k]]
                if operand >= 0:
                    users[fill[operand]] = i
                    fill[operand] += 1
        follow = np.full(m, -1, np.int64)
        n_live = 0
        for i in range(m):
            if pending[i] == 0:
                n_live = _enqueue(i, keys[part[i]], head, tail, follow, ready, live, n_live)
        begin = done
        while done < begin + m:
            best = 0
            for j in range(1, min(n_live, SEARCHED)):
                if ready[live[j]] > ready[live[best]]:
                    best = j
            key = live[best]
            live[best] = live[n_live - 1]
            n_live -= 1
            start = done
            i = head[key]
            while i >= 0:
                order[done] = part[i]
                done += 1
                i = follow[i]
            ready[key] = 0
            sizes[n_runs] = done - start
            n_runs += 1
            for j in range(start, done):
                i = place[order[j]]
                for u in range(first[i], first[i + 1]):
                    user = users[u]
                    pending[user] -= 1
                    if pending[user] == 0:
                        n_live = _enqueue(user, keys[part[user]], head, tail, follow, ready, live, n_live)
        for i in range(m):
            place[part[i]] = -1
    return order, sizes[:n_runs]


@helper
def _enqueue(i, key, head, tail, follow, ready, live, n_live):
    if ready[key] == 0:
        head[key] = i
        live[n_live] = key
        n_live += 1
    else:
        follow[tail[key]] = i
    tail[key] = i
    ready[key] += 1
    return n_live


@adaptive
def _slots(rows, order, n_leaves):
    slots = np.full(len(rows), -1, np.int64)
    constants = n_leaves
    for node in range(len(rows)):
        if rows[node, 0] == INPUT:
            slots[node] = rows[node, 1]
        elif rows[node, 0] == CONSTANT:
            slots[node] = constants  # constants keep their order, which is that of their index
            constants += 1
    for i in range(len(order)):
        slots[order[i]] = constants + i
    return slots


@adaptive
def _lay_out(rows, flags, masks, order, counts, slots, arity, immediate):
    """The runs' fields, and their operands: column after column, run after run."""
    n_runs = len(counts)
    opcodes = np.empty(n_runs, np.int64)
    run_flags = np.empty(n_runs, np.int64)
    immediates = np.zeros(n_runs, np.int64)
    total = 0
    for j in range(len(order)):
        total += arity[rows[order[j], 0]] + (1 if flags[order[j]] & MASKED else 0)
    operands = np.empty(total, np.int64)
    at = start = 0
    for r in range(n_runs):
        node = order[start]
        code = np.int64(rows[node, 0])
        opcodes[r] = code
        run_flags[r] = flags[node]
        if immediate[code]:
            immediates[r] = np.int32(rows[node, 1 + arity[code]])
        for k in range(arity[code]):
            for j in range(counts[r]):
                operands[at] = slots[rows[order[start + j], 1 + k]]
                at += 1
        if flags[node] & MASKED:
            for j in range(counts[r]):
                operands[at] = slots[masks[order[start + j]]]
                at += 1
        start += counts[r]
    return opcodes, run_flags, immediates, operands
