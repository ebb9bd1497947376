"""How many are connected at once, and for how long?"""

import asyncio
import threading

from shadow.board import connections
from shadow.board.server import BoardServer
from shadow.board.state import Board, Places
from tests.support.records import bar, write_log


class Slow(Board):
    """Takes its time."""

    def state(self):
        if not self.is_let_through.wait(20):
            raise TimeoutError
        return super().state()


def board(folder, kind=Board) -> Board:
    write_log(folder / "log", [bar(n) for n in range(3)])
    return kind(Places(folder / "log", folder / "models", folder / "run"), days=3650)


def serving(one: Board, visit) -> None:
    """Serve while `visit` asks the port."""

    async def serve() -> None:
        server = BoardServer(one)
        await server.start(0)
        try:
            await asyncio.wait_for(visit(int(server.address.split(":")[-1][:-1])), 30)
        finally:
            await server.stop()

    asyncio.run(serve())


async def answer_to(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


def test_who_does_not_ask_in_time_is_hung_up_on(tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "_MAX_AGE_S", 0.2)

    async def visit(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n")
        assert await reader.read() == b""
        writer.close()

    serving(board(tmp_path), visit)


def test_the_oldest_makes_room(tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 3)

    async def visit(port: int) -> None:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        assert b" 200 " in await answer_to(port, "healthz")
        assert await idle[0][0].read() == b""
        idle[2][1].write(f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        assert b" 200 " in await idle[2][0].read()
        for _, writer in idle:
            writer.close()

    serving(board(tmp_path), visit)


def test_while_it_is_read_what_was_read_before_is_told_and_nobody_waits_for_long(tmp_path, monkeypatch):
    monkeypatch.setattr("shadow.board.server._PATIENCE_S", 0.1)
    monkeypatch.setattr("shadow.board.server._FRESH_S", 0.0)
    slow = board(tmp_path, Slow)
    slow.is_let_through = threading.Event()

    async def visit(port: int) -> None:
        assert b" 503 " in await answer_to(port, "api/state.json")
        assert b" 200 " in await answer_to(port, "healthz")
        slow.is_let_through.set()
        while b" 200 " not in await answer_to(port, "api/state.json"):
            await asyncio.sleep(0.05)
        slow.is_let_through.clear()
        await asyncio.sleep(1.1)
        answer = await answer_to(port, "api/state.json")
        assert b" 200 " in answer
        assert b"Age: 0\r\n" not in answer
        slow.is_let_through.set()

    serving(slow, visit)


def test_a_slip_of_our_own_is_no_answer_and_the_next_one_is(tmp_path):
    class Failing(Board):
        n_calls = 0

        def state(self):
            self.n_calls += 1
            return 1 / 0 if self.n_calls == 1 else super().state()

    async def visit(port: int) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        assert b" 503 " in await answer_to(port, "api/state.json")
        assert b" 200 " in await answer_to(port, "api/state.json")

    serving(board(tmp_path, Failing), visit)
