"""What the broker in an event loop and the broker in a thread have in common: what a test can know of it, and do to it.

Each part is a file of its own; `Kit` puts them together.
"""

from __future__ import annotations

from amqpy_broker.testing.arranging.arrangement import Arrangement
from amqpy_broker.testing.arranging.definitions import Definitions
from amqpy_broker.testing.arranging.policies import Policies
from amqpy_broker.testing.arranging.snapshots import Snapshots
from amqpy_broker.testing.arranging.vhosts import Vhosts
from amqpy_broker.testing.asserting.waits import Conditions
from amqpy_broker.testing.faults.faulty import Faulty
from amqpy_broker.testing.strict.findings import Findings


class Kit(Arrangement, Conditions, Definitions, Faulty, Findings, Policies, Snapshots, Vhosts):
    """What a test can know of a broker, and do to it."""
