"""The night's cap in USD and in calls: money is reserved before a request and settled after it.

What is reserved is the most that the request can cost, so that requests in flight together cannot
pass the cap. A request that fails after it was sent keeps its reservation: it may have been billed.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass
class Budget:
    usd: Decimal
    calls: int
    spent: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)
    used: int = 0

    def reserve(self, most: Decimal) -> bool:
        """Sets the most that a request can cost aside; False when the cap does not hold it."""
        if self.used >= self.calls or self.spent + self.reserved + most > self.usd:
            return False
        self.reserved += most
        self.used += 1
        return True

    def settle(self, most: Decimal, cost: Decimal) -> None:
        """Replaces a reservation by what the request cost."""
        self.reserved -= most
        self.spent += cost
