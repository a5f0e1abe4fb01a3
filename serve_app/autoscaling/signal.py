"""What the reports of all replicas say together: the load of either deployment."""

from collections.abc import Iterable

from serve_app.autoscaling.policy import Load
from serve_app.autoscaling.reports import ClassifierReport, GatewayReport


def classifier_load(
    classifiers: Iterable[ClassifierReport | None], gateways: Iterable[GatewayReport | None]
) -> Load | None:
    """Return the load of the classifiers, in tokens.

    What arrives is what comes to the gateways, whether or not replicas are there to take it: what
    classifiers take tells what they can do, not what is asked for. A classifier that has not
    measured its rate counts with the mean of those that have.

    Args:
        classifiers: One entry per running replica; None where it has not reported lately.
        gateways: Likewise.

    Returns:
        None while no classifier has measured its rate: nothing can be said then.
    """
    workers, callers = list(classifiers), list(gateways)
    known = [report for report in workers if report]
    asking = [report for report in callers if report]
    rates = [report.rate for report in known if report.rate is not None]
    ratios = [report.per_char for report in known if report.per_char is not None]
    if not rates or not ratios:
        return None
    per_char = sum(ratios) / len(ratios)
    wanted = [report.wanted for report in asking if report.wanted is not None]
    rising = [report.rising for report in asking if report.rising is not None]
    held = sum(report.held for report in asking)
    return Load(
        arriving=sum(wanted) * per_char,
        waiting=sum(report.waiting for report in known) + held * per_char,
        rate=sum(rates) / len(rates),
        complete=len(known) == len(workers) and len(wanted) == len(callers) > 0,
        rising=sum(rising) * per_char,
    )


def gateway_load(gateways: Iterable[GatewayReport | None]) -> Load | None:
    """Return the load of the gateways, in CPU seconds, of which one does one each second.

    Args:
        gateways: One entry per running replica; None where it has not reported lately.

    Returns:
        None while nothing is known of any.
    """
    reports = list(gateways)
    used = [report.cpu for report in reports if report and report.cpu is not None]
    if not used:
        return None
    return Load(arriving=sum(used), waiting=0.0, rate=1.0, complete=len(used) == len(reports))
