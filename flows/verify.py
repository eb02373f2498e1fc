"""The flow that reads a published subset again."""

from prefect import flow, get_run_logger

from flows.artifacts import announce_problems
from flows.verification import verified
from schemas.reports import VerifyReport
from schemas.verification import Verification
from tasks.verify.subset import NotSound
from tasks.versions import followed


@flow(name="verify", flow_run_name="verify {job.subset.name}", persist_result=False)
def verify(job: Verification) -> VerifyReport:
    """Read the latest version of a published subset again, and hold it against its manifest, and against its source.

    Raises:
        NotSound: if it is not what its manifest says, or no subset; the table ``problems-<subset>`` lists all of it.
        SourceError: if the source cannot be read.
    """
    report = verified(job)
    if not report.sound:
        announce_problems(job.subset.name, report)
        raise NotSound(f"{report}\nRemove {followed(job.subset)} and curate again, or go back to a former version.")
    get_run_logger().info("%s", report)
    return report
