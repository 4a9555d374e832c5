import pytest
from contracts.accounts_contract import AccountsContract
from fakes.accounts import FakeAccounts


class MemoryBench:
    def __init__(self) -> None:
        self.accounts = FakeAccounts()

    async def restart(self) -> FakeAccounts:
        return self.accounts


class TestFakeAccounts(AccountsContract):
    @pytest.fixture
    def bench(self) -> MemoryBench:
        return MemoryBench()
