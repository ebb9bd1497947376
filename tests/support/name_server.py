"""A name server that knows no name and says which ones it was asked for: `asked NAME`, a line each."""

import socket

_NO_SUCH_NAME = b"\x81\x83"
_HEADER_BYTES = 12


def main() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))
        while True:
            question, asker = server.recvfrom(512)
            print("asked", name_in(question))
            # The same question back, with the answer that there is none.
            server.sendto(
                question[:2] + _NO_SUCH_NAME + question[4:6] + bytes(6) + asked(question), asker
            )


def asked(question: bytes) -> bytes:
    """The name, its type and its class, without what may follow."""
    end = question.index(b"\0", _HEADER_BYTES) + 5
    return question[_HEADER_BYTES:end]


def name_in(question: bytes) -> str:
    labels, at = [], _HEADER_BYTES
    while question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode("ascii", "replace"))
        at += 1 + question[at]
    return ".".join(labels)


if __name__ == "__main__":
    main()
