"""Who carries what is run: a courier for runs, another one for batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

from penstock.engine.batch import BatchCourier
from penstock.engine.delivery import Courier
from penstock.engine.executors.places import Places
from penstock.engine.gather import Gather
from penstock.engine.program import Program
from penstock.engine.stages.chain import compile_chains
from penstock.engine.stages.kit import Kit
from penstock.ports.handler import Next


class Carriers(NamedTuple):
    courier: Courier
    batches: BatchCourier
    gather: Gather
    """Makes the batches."""


def carriers(program: Program, kit: Kit, places: Places, gather: Gather) -> Carriers:
    chains = compile_chains(program, kit, places)
    single = cast(Mapping[str, Next], chains)  # only a batch ends in a Split
    holding = frozenset(each.name for each in program.subscriptions if each.hold)
    return Carriers(Courier(single, kit, holding), BatchCourier(chains, kit), gather)
