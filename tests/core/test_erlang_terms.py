"""The expected texts were printed by Erlang/OTP 25 and 27, started with `+pc unicode` as RabbitMQ 4.0 starts it."""

import pytest

from amqpy_broker.core.erlang_terms import Atom, Term, format_p, format_w, text_of


@pytest.mark.parametrize(
    ("term", "printed"),
    [
        (Atom("no_integer"), "no_integer"),
        ((Atom("value_negative"), -1), "{value_negative,-1}"),
        ((Atom("max_value_exceeded"), 256), "{max_value_exceeded,256}"),
        ((Atom("leftover_string"), "ms"), '{leftover_string,"ms"}'),
        ("unsupported queue type 'foo'", "\"unsupported queue type 'foo'\""),
        (
            (Atom("invalid_stream_offset_arg"), (Atom("longstr"), b"foo")),
            '{invalid_stream_offset_arg,{longstr,<<"foo">>}}',
        ),
        ((Atom("frame_too_large"), 262144, 131064), "{frame_too_large,262144,131064}"),
        (bytes((0, 60, 0, 10)), "<<0,60,0,10>>"),
        (b"", "<<>>"),
        ([(b"a", Atom("signedint"), 1), (b"b", Atom("bool"), True)], '[{<<"a">>,signedint,1},{<<"b">>,bool,true}]'),
        ([], "[]"),
        ((), "{}"),
    ],
)
def test_terms_of_reply_texts_look_as_in_rabbitmq(term: Term, printed: str) -> None:
    assert format_p(term) == printed


@pytest.mark.parametrize(
    ("octets", "printed"),
    [
        (b"foo", '<<"foo">>'),
        (b"\x01\x02\xff", "<<1,2,255>>"),
        (b"a\nb\t\"q'\\", r"""<<"a\nb\t\"q'\\">>"""),
        (b"\b\v\f\r\x1b", r'<<"\b\v\f\r\e">>'),
        (b"a\x00", "<<97,0>>"),
        (b"\x7f", "<<127>>"),
        (b"\x80", "<<128>>"),
        (b"\xa0", '<<"\xa0">>'),
        (b"x\xe9", '<<"xé">>'),
        ("é".encode(), '<<"é"/utf8>>'),
        ("日本".encode(), '<<"日本"/utf8>>'),
        ("\x80".encode(), "<<194,128>>"),
        ("\ufffe".encode(), "<<239,191,190>>"),
    ],
)
def test_a_binary_is_text_if_all_of_it_is_readable(octets: bytes, printed: str) -> None:
    assert format_p(octets) == printed


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("abc", '"abc"'),
        ("a\"b\\c'", r'''"a\"b\\c'"'''),
        ("\n\x1b", r'"\n\e"'),
        ("é", '"é"'),
        ("日本", '"日本"'),
        ("", "[]"),
        ("a\x00", "[97,0]"),
        ("\x80", "[128]"),
    ],
)
def test_a_string_is_a_list_of_numbers_unless_all_of_it_is_readable(text: str, printed: str) -> None:
    assert format_p(text) == printed


@pytest.mark.parametrize(
    ("term", "printed"),
    [
        ("unsupported queue mode 'é'", "\"unsupported queue mode 'é'\""),
        ("日本", "[26085,26412]"),
        ("é".encode(), '<<"é">>'),
        (b"x\xe9", '<<"xé">>'),
        ("日本".encode(), "<<230,151,165,230,156,172>>"),
        (("日", b"foo"), '{[26085],<<"foo">>}'),
    ],
)
def test_without_unicode_only_latin1_is_readable(term: Term, printed: str) -> None:
    assert format_p(term, unicode=False) == printed


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("abc", "abc"),
        ("rabbit@host", "rabbit@host"),
        ("été_9", "été_9"),
        ("rabbit@my-host", "'rabbit@my-host'"),
        ("Abc", "'Abc'"),
        ("_a", "'_a'"),
        ("9", "'9'"),
        ("", "''"),
        ("it's", r"'it\'s'"),
        ("a\nb", r"'a\nb'"),
    ],
)
def test_an_atom_is_quoted_unless_it_looks_like_one(name: str, printed: str) -> None:
    assert format_p(Atom(name)) == printed
    assert format_w(Atom(name)) == printed


@pytest.mark.parametrize(
    ("number", "printed"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (100.0, "100.0"),
        (1000.0, "1.0e3"),
        (100000.0, "1.0e5"),
        (12345.678, "12345.678"),
        (0.0001, "0.0001"),
        (0.000123, "1.23e-4"),
        (1e-5, "1.0e-5"),
        (-1.5e300, "-1.5e300"),
        (9007199254740991.0, "9007199254740991.0"),
        (9007199254740992.0, "9.007199254740992e15"),
        (123456789012345680.0, "1.2345678901234568e17"),
        (5e-324, "5.0e-324"),
    ],
)
def test_a_float_has_the_fewest_digits_in_the_shorter_notation(number: float, printed: str) -> None:
    assert format_p(number) == printed


def test_w_prints_text_as_numbers() -> None:
    assert format_w((Atom("a"), "ms", b"foo", [1.5, True], "")) == "{a,[109,115],<<102,111,111>>,[1.5,true],[]}"


def test_octets_that_are_not_utf8_are_latin1_text() -> None:
    assert text_of("é".encode()) == text_of(b"\xe9") == "é"
