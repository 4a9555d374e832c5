"""A bit that flips in a row, and not in its content: nobody is told what was never written, and the rest is kept.

Here it flips in the label, which is in no index, so that nothing but the checksum of the row can notice.
"""

from pathlib import Path

from spool_bench import SpoolBench, new_job

from edgeclient.core.errors import CallError
from edgeclient.core.job_events import SpoolDamaged

WRITTEN, READ = "label-of-job-1", "label-of-job-9"


async def test_altered_row_is_told_to_nobody_and_is_missing_nowhere(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path)
    spool = await bench.open()
    await spool.accept(new_job("job-1", label=WRITTEN))
    await spool.accept(new_job("job-2", label="another"))
    await bench.close()
    data = bench.database.read_bytes()
    assert 1 == data.count(WRITTEN.encode())
    bench.database.write_bytes(data.replace(WRITTEN.encode(), READ.encode()))

    bench.renew()
    spool = await bench.open()
    told = set()
    for _ in range(2):
        try:
            job = await spool.get("device-7", "job-1")
            told.add("" if job is None else job.label)
        except CallError:
            told.add("")
    other = await spool.get("device-7", "job-2")

    assert {""} == told, "the row was believed"
    assert other is not None
    assert "another" == other.label
    stats = spool.stats()
    assert stats.accepted_total == sum(stats.by_state.values()) + stats.lost_total
    assert [SpoolDamaged] == [type(event) for event in bench.events]
    await bench.close()
