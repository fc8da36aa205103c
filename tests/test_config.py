"""What a configuration file may say."""

from pathlib import Path

import pytest

from amqpy_broker.config import OPTIONS, Config, ConfigError, load_config, parse_size
from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.quotas import Limits
from amqpy_broker.core.users import Permissions, User, hash_password
from tests.memory_journal import Disk, MemoryJournal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "broker.toml"


def load(file: Path, text: str) -> Config:
    file.write_text(text)
    return load_config(file)


def refusal(file: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(file, text)
    said = str(caught.value)
    assert said.startswith(f"{file}: ")
    assert "\n" not in said
    return said.removeprefix(f"{file}: ")


# Options --------------------------------------------------------------------------------------------------------------


def test_an_empty_file_says_nothing(file: Path) -> None:
    config = load(file, "")
    assert config.options == {}
    assert config.vhosts == ("/",)
    assert config.users is None


def test_options_are_handed_to_the_command_line_as_they_stand(file: Path) -> None:
    text = 'host = "0.0.0.0"\nport = 5673\nmemory_watermark = 1000\nprofile = "3.10"\nloop = "trio"'
    assert load(file, text).options == {
        "host": "0.0.0.0",
        "port": 5673,
        "memory_watermark": 1000,
        "profile": "3.10",
        "loop": "trio",
    }


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_an_option_of_the_wrong_type_is_refused(name: str, file: Path) -> None:
    wrong = ["1.5", "[]"] if name in ("events", "trace") else ["1.5", "[]", "true"]
    for value in wrong:
        assert refusal(file, f"{name} = {value}").startswith(f"{name} must be ")


def test_switches_are_true_or_false(file: Path) -> None:
    assert refusal(file, 'trace = "yes"') == "trace must be true or false"
    file.write_text("trace = true\nevents = false")
    assert load_config(file).options == {"trace": True, "events": False}


def test_a_port_is_a_whole_number(file: Path) -> None:
    assert refusal(file, 'port = "5672"') == "port must be a whole number"
    assert refusal(file, "port = 5672.0") == "port must be a whole number"


def test_an_unknown_setting_is_refused_and_the_known_ones_are_listed(file: Path) -> None:
    assert refusal(file, "prot = 5672") == (
        "unknown setting 'prot': there are data_dir, definitions, disk_free_limit, events, host, limits, log_level,"
        " loop, memory_watermark, port, profile, trace, unix, users, vhosts"
    )


# Limits ---------------------------------------------------------------------------------------------------------------


def test_limits_are_those_of_the_file_and_the_rest_as_without_it(file: Path) -> None:
    limits = load(file, "[limits]\nconnection_max = 10\n[limits.vhost]\nmax_queues = 0").limits

    assert (limits.connection_max, limits.vhost.max_queues) == (10, 0)
    assert (limits.channel_max, limits.vhost.max_bindings) == (Limits().channel_max, Limits().vhost.max_bindings)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("limits = 1", "limits: a table is wanted here"),
        ("[limits]\nvhost = 1", "limits.vhost: a table is wanted here"),
        (
            "[limits]\nconnections = 1",
            "unknown limit 'connections': there are channel_max, channel_max_per_node, connection_max,"
            " consumer_max_per_channel",
        ),
        (
            "[limits.vhost]\nqueues = 1",
            "unknown limit of a vhost 'queues': there are max_bindings, max_connections, max_exchanges, max_queues",
        ),
        ("[limits]\nconnection_max = -1", "limits.connection_max must be a whole number, 0 or more"),
        ("[limits.vhost]\nmax_queues = true", "limits.vhost.max_queues must be a whole number, 0 or more"),
        ("[limits]\nchannel_max = 0", "limits.channel_max must be from 1 to 65535"),
        ("[limits]\nchannel_max = 65536", "limits.channel_max must be from 1 to 65535"),
    ],
)
def test_a_limit_that_is_none_is_refused(text: str, said: str, file: Path) -> None:
    assert refusal(file, text) == said


# A data directory that knows better -----------------------------------------------------------------------------------


USERS = """
vhosts = ["/", "orders"]
[[users]]
name = "shop"
password = "secret"
"""


def test_what_a_data_directory_knows_stays_and_what_is_new_in_the_file_is_added(file: Path) -> None:
    disk = Disk()
    config = load(file, USERS)
    first = MemoryJournal(disk)
    core = BrokerCore(journal=first)
    config.apply(core)
    core.users.add(User("shop", hash_password("changed")))
    core.close()

    core = BrokerCore(journal=MemoryJournal(disk))
    load(file, USERS.replace('"orders"', '"orders", "more"') + '[[users]]\nname = "new"\npassword = "p"').apply(core)

    assert set(core.vhosts) == {"/", "orders", "more"}
    assert sorted(user.name for user in core.users) == ["new", "shop"]
    assert core.users.authenticate("shop", "changed") is not None


def test_guest_may_enter_a_vhost_that_is_new_in_the_file_and_still_after_a_restart(file: Path) -> None:
    disk = Disk()
    for _ in range(2):
        core = BrokerCore(journal=MemoryJournal(disk))
        load(file, 'vhosts = ["orders"]').apply(core)
        guest = core.users.find("guest")
        assert guest is not None
        assert set(guest.permissions) == {"/", "orders"}
        core.close()


# ----------------------------------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_read_is_refused(file: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory"):
        load_config(file)
    file.write_bytes(b'host = "\xff"')
    with pytest.raises(ConfigError, match="codec can't decode"):
        load_config(file)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1000", 1000),
        (1000, 1000),
        ("1k", 1000),
        ("1 KB", 1000),
        ("1KiB", 1024),
        ("1.5MiB", 1_572_864),
        ("500MB", 500_000_000),
        ("2 gib", 2_147_483_648),
        (" 3g ", 3_000_000_000),
    ],
)
def test_a_size_is_bytes_or_a_number_with_a_unit(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1", "0.4", "1.", "60%", "1 XB", "1 MB 2", "1e6"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


# Vhosts and users -----------------------------------------------------------------------------------------------------


def applied(config: Config) -> BrokerCore:
    core = BrokerCore()
    config.apply(core)
    return core


def test_without_users_guest_may_do_everything_in_every_vhost(file: Path) -> None:
    core = applied(load(file, 'vhosts = ["/", "orders"]'))
    guest = core.users.authenticate("guest", "guest")
    assert guest is not None
    assert guest.permissions == {"/": Permissions(), "orders": Permissions()}
    assert set(core.vhosts) == {"/", "orders"}


def test_who_lists_users_means_these(file: Path) -> None:
    core = applied(load(file, '[[users]]\nname = "shop"\npassword = "secret"'))
    assert core.users.find("guest") is None
    assert core.users.authenticate("shop", "secret") is not None
    assert core.users.authenticate("shop", "Secret") is None


def test_guest_stays_if_it_is_listed(file: Path) -> None:
    core = applied(load(file, '[[users]]\nname = "guest"\npassword = "other"'))
    assert core.users.authenticate("guest", "guest") is None
    assert core.users.authenticate("guest", "other") is not None


def test_a_user_without_permissions_may_do_everything_everywhere(file: Path) -> None:
    users = load(file, 'vhosts = ["a", "b"]\n[[users]]\nname = "u"\npassword = "p"\ntags = ["monitoring"]').users
    assert users is not None
    assert users[0].permissions == {"a": Permissions(), "b": Permissions()}
    assert users[0].tags == ("monitoring",)


def test_a_permission_that_is_not_given_allows_nothing(file: Path) -> None:
    users = load(file, '[[users]]\nname = "u"\npassword = "p"\n[users.permissions."/"]\nread = "^logs"').users
    assert users is not None
    assert users[0].permissions == {"/": Permissions(configure="", write="", read="^logs")}


def test_passwords_are_kept_as_salted_hashes(file: Path) -> None:
    text = '[[users]]\nname = "a"\npassword = "p"\n[[users]]\nname = "b"\npassword = "p"'
    users = load(file, text).users
    assert users is not None
    assert users[0].password_hash != users[1].password_hash


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("users = 1", "users must be tables: [[users]]"),
        ("users = [1]", "users: a table is wanted here"),
        ('[[users]]\nname = "u"', "a user needs a name and a password, both strings"),
        ('[[users]]\nname = "u"\npassword = 1', "a user needs a name and a password, both strings"),
        ('[[users]]\nname = "u"\npassword = "p"\ntags = "administrator"', "tags must be a list of strings"),
        (
            '[[users]]\nname = "u"\npassword = "p"\npasword = "p"',
            "unknown setting of a user 'pasword': there are name, password, permissions, tags",
        ),
        ('[[users]]\nname = "u"\npassword = "p"\n' * 2, "user 'u' is there twice"),
        ("vhosts = [1]", "vhosts must be a list of strings"),
        ('vhosts = "orders"', "vhosts must be a list of strings"),
    ],
)
def test_bad_users_and_vhosts_are_refused(text: str, words: str, file: Path) -> None:
    assert refusal(file, text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('permissions = "all"', "permissions of user 'u': a table is wanted here"),
        ('permissions."/" = ".*"', "permissions of user 'u' in vhost '/': a table is wanted here"),
        (
            'permissions."/".wirte = ".*"',
            "unknown key in the permissions of user 'u' in vhost '/' 'wirte': there are configure, read, write",
        ),
        ('permissions."/".read = 1', "permissions of user 'u' in vhost '/': read must be a regular expression"),
        ('permissions.orders.read = "."', "permissions of user 'u' in vhost 'orders': vhosts does not list it"),
    ],
)
def test_bad_permissions_are_refused(text: str, words: str, file: Path) -> None:
    assert refusal(file, f'[[users]]\nname = "u"\npassword = "p"\n{text}') == words


def test_a_permission_that_is_no_regular_expression_is_refused(file: Path) -> None:
    said = refusal(file, '[[users]]\nname = "u"\npassword = "p"\npermissions."/".read = "("')
    assert said.startswith("permissions of user 'u' in vhost '/': read is no regular expression: ")
