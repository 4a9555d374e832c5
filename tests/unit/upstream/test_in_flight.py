import asyncio
import contextlib

from edgeclient.upstream.in_flight import InFlight


async def test_places_are_given_in_the_order_of_asking() -> None:
    places = InFlight(1)
    await places.acquire()
    order: list[int] = []

    async def take(number: int) -> None:
        await places.acquire()
        order.append(number)
        places.release()

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(take(number))
        await asyncio.sleep(0)
        assert 5 == places.waiting
        places.release()

    assert [0, 1, 2, 3, 4] == order
    assert 0 == places.taken


async def test_who_gives_up_waiting_takes_no_place() -> None:
    places = InFlight(1)
    await places.acquire()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await places.acquire()
    places.release()

    assert "<InFlight 0 of 1, 0 waiting>" == repr(places)


async def test_a_place_that_comes_in_the_moment_of_giving_up_is_passed_on() -> None:
    places = InFlight(1)
    await places.acquire()
    first = asyncio.ensure_future(places.acquire())
    second = asyncio.ensure_future(places.acquire())
    await asyncio.sleep(0)

    places.release()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await second

    assert "<InFlight 1 of 1, 0 waiting>" == repr(places)


async def test_release_passes_over_who_gave_up_in_the_same_moment() -> None:
    places = InFlight(1)
    await places.acquire()
    waiter = asyncio.ensure_future(places.acquire())
    await asyncio.sleep(0)

    waiter.cancel()
    places.release()
    await asyncio.gather(waiter, return_exceptions=True)

    assert "<InFlight 0 of 1, 0 waiting>" == repr(places)
