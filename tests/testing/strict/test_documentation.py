import re
from pathlib import Path

from amqpy_broker.testing.strict.rules import RULES

PAGE = Path(__file__).parents[3] / "docs" / "testing" / "strict.md"


def test_every_rule_is_documented_by_its_name_and_no_other_is() -> None:
    assert re.findall(r"^### (.*)$", PAGE.read_text(), re.MULTILINE) == [rule.name for rule in RULES]
