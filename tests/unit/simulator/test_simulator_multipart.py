import pytest

from edgeclient.simulator.batch.multipart import MultipartError, read_form

TYPE = "multipart/form-data; boundary=XyZ"


def form(*parts: tuple[str, bytes], boundary: str = "XyZ") -> bytes:
    body = b""
    for names, content in parts:
        body += f"--{boundary}\r\nContent-Disposition: form-data; {names}\r\n\r\n".encode() + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


def test_fields_and_file_are_read_with_their_names() -> None:
    body = form(('name="purpose"', b"batch"), ('name="file"; filename="a \\"b\\".jsonl"', b'{"x": 1}\r\n{"y": 2}\n'))
    parts = read_form(TYPE, body)

    assert b"batch" == parts["purpose"].content
    assert parts["purpose"].filename is None
    assert (b'{"x": 1}\r\n{"y": 2}\n', 'a "b".jsonl') == (parts["file"].content, parts["file"].filename)


def test_boundary_may_stand_in_quotes_and_behind_a_preamble() -> None:
    body = b"to be ignored\r\n" + form(('name="file"', b""), boundary="a b")

    assert b"" == read_form('multipart/form-data; boundary="a b"', body)["file"].content


def test_content_that_looks_like_the_boundary_is_content() -> None:
    assert b"--XyZ\r\n" == read_form(TYPE, form(('name="file"', b"--XyZ\r\n")))["file"].content


@pytest.mark.parametrize(
    ("content_type", "body", "part"),
    [
        ("application/json", form(), "multipart/form-data"),
        ("multipart/form-data", form(), "boundary"),
        (TYPE, b"something else", "not in the body"),
        (TYPE, form(('name="file"', b"x"))[:-10], "does not end"),
        (TYPE, form(("no-name", b"x")), "no name"),
        (TYPE, form(*[(f'name="f{number}"', b"x") for number in range(40)]), "more than 32"),
    ],
)
def test_broken_form_is_refused_with_its_reason(content_type: str, body: bytes, part: str) -> None:
    with pytest.raises(MultipartError, match=part):
        read_form(content_type, body)
