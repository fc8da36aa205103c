"""Settings: defaults < TOML file < environment < command line. Here: what a file may say, checked.

host = "127.0.0.1"
port = 5672
unix = "/run/amqpy.sock"
profile = "4.0"
definitions = "/etc/amqpy/definitions.json"
log_level = "info"
data_dir = "/var/lib/amqpy"
disk_free_limit = "1GB"
memory_watermark = "2GiB"
vhosts = ["/", "orders"]

[limits]
connection_max = 1000
[limits.vhost]
max_queues = 5000

[[users]]
name = "shop"
password = "secret"
tags = ["monitoring"]
[users.permissions.orders]
configure = "^shop\\\\."
write = ".*"
read = ".*"
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final

from amqpy_broker.core.broker import DEFAULT_USER, DEFAULT_VHOST, BrokerCore
from amqpy_broker.core.limits import CHANNEL_MAX
from amqpy_broker.core.quotas import Limits, VhostLimits
from amqpy_broker.core.users import Permissions, User, hash_password

# Settings that are also options of the command, under the same names.
OPTIONS: Final = frozenset(
    (
        "host",
        "port",
        "unix",
        "profile",
        "data_dir",
        "disk_free_limit",
        "definitions",
        "log_level",
        "memory_watermark",
        "loop",
        "trace",
        "events",
    )
)
_KEYS: Final = OPTIONS | {"vhosts", "users", "limits"}
_LIMITS: Final = frozenset(limit.name for limit in fields(Limits)) - {"vhost"}
_VHOST_LIMITS: Final = frozenset(limit.name for limit in fields(VhostLimits))
# Channel numbers have 16 bits.
_CHANNELS: Final = 1 << 16
_USER_KEYS: Final = frozenset(("name", "password", "tags", "permissions"))
_PERMISSION_KEYS: Final = frozenset(("configure", "write", "read"))
_OPTION_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "port": (int,),
    "memory_watermark": (int, str),
    "disk_free_limit": (int, str),
    "trace": (bool,),
    "events": (bool,),
}
_TYPE_WORDS: Final[Mapping[type, str]] = {int: "a whole number", str: "a string", bool: "true or false"}
_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_UNITS_SHORT: Final = {"kb": 10**3, "mb": 10**6, "gb": 10**9}


class ConfigError(ValueError):
    """What the file says cannot be followed; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Config:
    """What a configuration file says."""

    path: Path | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    vhosts: tuple[str, ...] = (DEFAULT_VHOST,)
    # None: nothing was said, so there is guest.
    users: tuple[User, ...] | None = None
    limits: Limits = field(default_factory=Limits)

    def apply(self, core: BrokerCore) -> None:
        """Create the vhosts and users. Whoever lists users means these: guest is gone unless it is listed.

        What a data directory already knows stays as it is there; what is new in the file is added.
        """
        for vhost in self.vhosts:
            if vhost not in core.vhosts or core.found.is_new:
                core.add_vhost(vhost)
                self._admit_guest(core, vhost)
        if self.users is None:
            return
        if core.found.is_new:
            core.users.remove(DEFAULT_USER)
        for user in self.users:
            if core.users.find(user.name) is None:
                core.users.add(user)

    def _admit_guest(self, core: BrokerCore, vhost: str) -> None:
        guest = core.users.find(DEFAULT_USER)
        if guest is not None and vhost not in guest.permissions:
            guest.permissions[vhost] = Permissions()
            core.users.add(guest)


def load_config(path: Path) -> Config:
    """Read a configuration file.

    Raises:
        ConfigError: it cannot be read, or holds something unknown or of the wrong type.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as failure:
        raise ConfigError(f"{path}: {failure.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as failure:
        raise ConfigError(f"{path}: {failure}") from None
    try:
        return _read(path, document)
    except ConfigError as failure:
        raise ConfigError(f"{path}: {failure}") from None


def parse_size(text: str | int) -> int:
    """Read a size such as `500MB`, `2GiB` or a plain number of bytes.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(text).lower())
    unit = None if found is None else (_UNITS | _UNITS_SHORT).get(found[2])
    if found is None or unit is None or (unit == 1 and "." in found[1]):
        raise ValueError(f"'{text}' is not a size: write bytes, or a number with KB, MB, GB, KiB, MiB or GiB")
    return int(float(found[1]) * unit)


def _read(path: Path, document: Mapping[str, object]) -> Config:
    _refuse_unknown(document, _KEYS, "setting")
    options = {name: _option(name, value) for name, value in document.items() if name in OPTIONS}
    vhosts = tuple(_strings(document.get("vhosts", [DEFAULT_VHOST]), "vhosts"))
    limits = _limits(document.get("limits", {}))
    if "users" not in document:
        return Config(path, options, vhosts, limits=limits)
    tables = document["users"]
    if not isinstance(tables, list):
        raise ConfigError("users must be tables: [[users]]")
    users: dict[str, User] = {}
    for table in tables:
        user = _user(table, vhosts)
        if user.name in users:
            raise ConfigError(f"user '{user.name}' is there twice")
        users[user.name] = user
    return Config(path, options, vhosts, tuple(users.values()), limits)


def _limits(value: object) -> Limits:
    table = dict(_table(value, "limits"))
    of_vhost = _table(table.pop("vhost", {}), "limits.vhost")
    _refuse_unknown(table, _LIMITS, "limit")
    _refuse_unknown(of_vhost, _VHOST_LIMITS, "limit of a vhost")
    numbers = {name: _limit(f"limits.{name}", number) for name, number in table.items()}
    if not 0 < numbers.get("channel_max", CHANNEL_MAX) < _CHANNELS:
        raise ConfigError(f"limits.channel_max must be from 1 to {_CHANNELS - 1}")
    vhost = VhostLimits(**{name: _limit(f"limits.vhost.{name}", number) for name, number in of_vhost.items()})
    return Limits(**numbers, vhost=vhost)


def _limit(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigError(f"{name} must be a whole number, 0 or more")
    return value


def _option(name: str, value: object) -> object:
    """Check the type; which values there are is the command line's affair."""
    wanted = _OPTION_TYPES.get(name, (str,))
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise ConfigError(f"{name} must be {' or '.join(_TYPE_WORDS[kind] for kind in wanted)}")
    return value


def _user(entry: object, vhosts: tuple[str, ...]) -> User:
    table = _table(entry, "users")
    _refuse_unknown(table, _USER_KEYS, "setting of a user")
    name, password = table.get("name"), table.get("password")
    if not isinstance(name, str) or not isinstance(password, str):
        raise ConfigError("a user needs a name and a password, both strings")
    # As the guest that comes with the broker, a user of whom nothing else is said may do everything everywhere.
    permissions = dict.fromkeys(vhosts, Permissions())
    if "permissions" in table:
        given = _table(table["permissions"], f"permissions of user '{name}'")
        permissions = {vhost: _permissions(rights, name, vhost) for vhost, rights in given.items()}
        for vhost in given:
            if vhost not in (DEFAULT_VHOST, *vhosts):
                raise ConfigError(f"permissions of user '{name}' in vhost '{vhost}': vhosts does not list it")
    return User(name, hash_password(password), tuple(_strings(table.get("tags", []), "tags")), permissions)


def _permissions(entry: object, user: str, vhost: str) -> Permissions:
    where = f"permissions of user '{user}' in vhost '{vhost}'"
    table = _table(entry, where)
    _refuse_unknown(table, _PERMISSION_KEYS, f"key in the {where}")
    patterns = {}
    for name in _PERMISSION_KEYS:
        pattern = table.get(name, "")
        if not isinstance(pattern, str):
            raise ConfigError(f"{where}: {name} must be a regular expression")
        try:
            re.compile(pattern)
        except re.error as failure:
            raise ConfigError(f"{where}: {name} is no regular expression: {failure}") from None
        patterns[name] = pattern
    return Permissions(**patterns)


def _table(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ConfigError(f"{what}: a table is wanted here")
    return value


def _strings(value: object, what: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{what} must be a list of strings")
    return value


def _refuse_unknown(table: Mapping[str, object], known: frozenset[str], what: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise ConfigError(f"unknown {what} '{unknown[0]}': there are {', '.join(sorted(known))}")
